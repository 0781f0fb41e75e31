"""Versions of servers and modules, compared as numbers (pure): 6.0.9319.1000 is newer than 6.0.9319.537."""

from __future__ import annotations

import re
from collections.abc import Iterable


def parts(version: str) -> tuple[int, ...]:
    """Read a version as numbers; what follows them, such as `-preview`, is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0]))


def is_older(version: str, oldest: str) -> bool:
    """Tell whether a version is older than the oldest one allowed; missing parts count as zero."""
    mine, theirs = parts(version), parts(oldest)
    length = max(len(mine), len(theirs))
    return mine + (0,) * (length - len(mine)) < theirs + (0,) * (length - len(theirs))


def too_old_for(build: str, oldest_builds: Iterable[str]) -> str | None:
    """Give the build that is needed instead; None when this one may move users.

    Each major version has an oldest build of its own; a server older than all of them needs the oldest named.
    """
    needed = sorted(oldest_builds, key=parts)
    of_major = [oldest for oldest in needed if parts(oldest)[0] <= parts(build)[0]]
    oldest = of_major[-1] if of_major else needed[0]
    return oldest if is_older(build, oldest) else None
