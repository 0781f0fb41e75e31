"""Read what Teams knows of many people, so that one who cannot be read does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.errors import ConnectorError, NotAllowed, Throttled
from datasets.users import VoiceUser
from engine.systems import TeamsSystem

_AT_ONCE = 20  # as many as one request holds
_IN_A_ROW = 3  # after so many it is not the people, it is the system


def read_voices(teams: TeamsSystem, user_ids: Sequence[str]) -> tuple[dict[str, VoiceUser], dict[str, str]]:
    """Give the users that Teams knows, and of others why they could not be read; both by id.

    Raises what the connector raises when it is the system that fails, not one user.
    """
    found: dict[str, VoiceUser] = {}
    unreadable: dict[str, str] = {}
    for start in range(0, len(user_ids), _AT_ONCE):
        some = user_ids[start : start + _AT_ONCE]
        try:
            found |= teams.voice_users_by_ids(some)
        except (Throttled, NotAllowed):
            raise
        except ConnectorError:
            _one_by_one(teams, some, found, unreadable)
    return found, unreadable


def _one_by_one(
    teams: TeamsSystem, user_ids: Sequence[str], found: dict[str, VoiceUser], unreadable: dict[str, str]
) -> None:
    in_a_row = 0
    for user_id in user_ids:
        try:
            voice = teams.voice_user(user_id)
        except ConnectorError as error:
            in_a_row += 1
            if in_a_row == _IN_A_ROW or isinstance(error, Throttled | NotAllowed):
                raise
            unreadable[user_id] = str(error)
            continue
        in_a_row = 0
        if voice is not None:
            found[user_id] = voice
