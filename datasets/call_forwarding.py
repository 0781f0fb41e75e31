"""Call forwarding of a user of Skype for Business Server, and which answer of several front ends is newest (pure).

No answer says how old it is. What was kept before tells: settings that were known are older than others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from datasets.record import Record


class CallForwarding(Record):
    """Where the calls of a user go, as one front end has it; an empty text for what is not set."""

    identity: ClassVar[tuple[str, ...]] = ("sip_address",)

    sip_address: str
    forwarded_to: str = ""
    rings_too: str = ""
    unanswered_to: str = ""

    @property
    def text(self) -> str:
        """Give it as a search shows it."""
        forwarded = f"to {self.forwarded_to}" if self.forwarded_to else ""
        ringing = f"rings too {self.rings_too}" if self.rings_too else ""
        unanswered = f"unanswered to {self.unanswered_to}" if self.unanswered_to and not self.forwarded_to else ""
        return ", ".join(part for part in (forwarded, ringing, unanswered) if part)


class KeptForwarding(Record):
    """What the cache keeps: the newest settings as text, and when they were read (empty: never).

    `older` are settings that some front end still answers although they are known to be older.
    """

    forwarding: str = ""
    as_of: str = ""
    older: tuple[str, ...] = ()

    @property
    def turn(self) -> tuple[bool, str]:
        """Give what users are ordered by to be read: those never read or not settled first, then the oldest."""
        return (bool(self.as_of) and not self.older, self.as_of)


def newest(answers: Sequence[str], front_ends: int, kept: KeptForwarding, as_of: str) -> KeptForwarding:
    """Give what to keep of the answers of so many front ends, some of which may not have answered.

    Where all agree there is no doubt. Else an answer that was not known before is newer than one that was; of several
    such the rarest, because a change reaches one front end first.
    """
    counts, is_whole = Counter(answers), len(answers) >= front_ends
    if is_whole and len(counts) == 1:
        return KeptForwarding(forwarding=answers[0], as_of=as_of)
    before = {kept.forwarding, *kept.older} if kept.as_of else set()
    news = [text for text in counts if text not in before]
    is_kept = not news and (kept.forwarding in counts or not is_whole)
    found = kept.forwarding if is_kept else _rarest(counts, news or [*counts])
    older = {*counts, *before} - {found}
    return KeptForwarding(forwarding=found, as_of=as_of, older=tuple(sorted(older)))


def _rarest(counts: Counter[str], texts: Sequence[str]) -> str:
    return min(texts, key=lambda text: (counts[text], text))
