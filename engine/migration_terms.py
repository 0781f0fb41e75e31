"""What holds for every wave of a site: how long claims last, which server builds may move users, how much at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from config.sections import SkypeSettings
from config.settings import Settings

_DEFAULTS = SkypeSettings(server="-")


@dataclass(frozen=True)
class WaveTerms:
    """The terms of a wave; a test makes its own, everybody else takes them from the settings."""

    claim: timedelta = timedelta(hours=48)
    grace: timedelta = timedelta(days=30)
    oldest_builds: tuple[str, ...] = _DEFAULTS.oldest_builds
    oldest_module: str = _DEFAULTS.oldest_module
    bypass_voice_check: bool = False
    sessions: int = 3

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give the terms that the settings make."""
        skype = settings.ocs_powershell or _DEFAULTS
        return cls(
            claim=timedelta(hours=settings.wait.claim_hours),
            grace=timedelta(days=settings.wait.grace_days),
            oldest_builds=skype.oldest_builds,
            oldest_module=skype.oldest_module,
            bypass_voice_check=skype.bypass_voice_check,
            sessions=skype.sessions,
        )
