"""Watches the drop folder: every complete file becomes one run, whatever dies in between.

The folder itself is the memory. A file is claimed by renaming it into `processing/` and leaves to `done/` or `refused/`
when its run has ended. The idempotency key of the run comes from the content, so a claim can be started again safely.
What was said before something else was said since is news again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from threading import Event
from typing import Protocol, assert_never

POLL_S = 5.0
MOST_ATTEMPTS = 3
_STILL_WRITING = (".part", ".tmp", ".partial", ".filepart", ".crdownload", ".swp")
_DIGEST_LETTERS = 16
_CLAIM = re.compile(r"(?P<digest>[0-9a-f]{16})\.(?P<attempt>\d+)\.(?P<name>.+)")
_REASON = ".reason.txt"

log = logging.getLogger("callwright.watcher")


class Outage(Exception):
    """Report that runs cannot be started or looked at just now."""


class Outcome(Enum):
    """How the run of a file stands."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"
    CRASHED = "crashed"  # its process died: nothing is wrong with the file


@dataclass(frozen=True)
class Standing:
    """How a run stands, with a sentence for people."""

    outcome: Outcome
    message: str = ""


class Runs(Protocol):
    """What the watcher needs of Prefect; both raise Outage while the server is away."""

    def start(self, feed: Path, key: str) -> str:
        """Start the run of a feed, or find the one started earlier with this key; gives its id."""

    def standing(self, run_id: str) -> Standing:
        """Tell how a run stands."""


@dataclass(frozen=True)
class Claim:
    """A claimed file, named `<digest>.<attempt>.<name>` wherever it lies."""

    folder: Path
    digest: str
    attempt: int
    name: str

    @classmethod
    def at(cls, path: Path) -> Claim | None:
        """Read the claim from a path; None for a file that somebody else put there."""
        match = _CLAIM.fullmatch(path.name)
        return cls(path.parent, match["digest"], int(match["attempt"]), match["name"]) if match else None

    @property
    def path(self) -> Path:
        """Give the file's place."""
        return self.folder / f"{self.digest}.{self.attempt}.{self.name}"

    @property
    def key(self) -> str:
        """Give the idempotency key: the content, and which attempt at it."""
        return f"feed:{self.digest}:{self.attempt}"

    def move(self, folder: Path, attempt: int | None = None) -> None:
        """Move the file to another folder, or to its next attempt."""
        self.path.replace(replace(self, folder=folder, attempt=attempt or self.attempt).path)


class Watcher:
    """One drop folder, looked at every few seconds; several watchers on one folder do no harm."""

    def __init__(self, folder: Path, runs: Runs, *, poll_s: float = POLL_S) -> None:
        self.folder, self.runs, self.poll_s = folder.resolve(), runs, poll_s
        self.processing, self.done, self.refused = (self.folder / name for name in ("processing", "done", "refused"))
        for each in (self.processing, self.done, self.refused):
            each.mkdir(parents=True, exist_ok=True)
        self._seen: dict[Path, tuple[int, int]] = {}
        self._started: dict[Claim, str] = {}
        self._is_away = False

    def watch(self, stop: Event) -> None:
        """Look until told to stop; an outage is waited for."""
        while not stop.is_set():
            self.look()
            stop.wait(self.poll_s)

    def look(self) -> None:
        """Claim what is complete, then start or follow the run of every claimed file."""
        for path in self._complete():
            self._try_to_claim(path)
        try:
            for claim in _claims(self.processing):
                self._try_to_follow(claim)
            self._back()
        except Outage as error:
            self._away(error)

    def _complete(self) -> list[Path]:
        """Give the files whose size and time were the same at the last look."""
        before, self._seen = self._seen, {path: shape for path in self._candidates() if (shape := _shape(path))}
        return [path for path, shape in self._seen.items() if before.get(path) == shape]

    def _candidates(self) -> Iterator[Path]:
        # A link could point outside the folder, and an empty file is one whose writer has only just begun.
        for path in sorted(self.folder.iterdir()):
            finished = not path.name.startswith((".", "~")) and path.suffix.lower() not in _STILL_WRITING
            if finished and path.is_file() and not path.is_symlink():
                yield path

    def _try_to_claim(self, path: Path) -> None:
        try:
            digest = _digest(path)
            attempt = self._next_attempt(digest)
            if _shape(path) == self._seen[path]:
                path.rename(Claim(self.processing, digest, attempt, path.name).path)
                log.info("claimed %s", path.name)
        except OSError as error:
            self._report(path, error)

    def _next_attempt(self, digest: str) -> int:
        """Give which attempt at a content this is: a finished one is the same run until another file came after it."""
        done = [(_moved_at(claim), claim) for claim in _claims(self.done)]
        mine = max((at for at, claim in done if claim.digest == digest), default=None)
        others = any(claim.digest != digest and mine is not None and at > mine for at, claim in done)
        is_overtaken = others or any(claim.digest != digest for claim in _claims(self.processing))
        earlier = [*_claims(self.refused), *((claim for _, claim in done) if is_overtaken else ())]
        return max((claim.attempt for claim in earlier if claim.digest == digest), default=0) + 1

    def _try_to_follow(self, claim: Claim) -> None:
        try:
            self._follow(claim)
        except OSError as error:
            self._report(claim.path, error)

    def _report(self, path: Path, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # gone: another watcher was faster, or its owner took it back
            log.error("cannot move %s: %s ; give this account read and write access", path, error.strerror)

    def _follow(self, claim: Claim) -> None:
        run_id = self._started.get(claim) or self.runs.start(claim.path, claim.key)
        self._started[claim] = run_id
        standing = self.runs.standing(run_id)
        match standing.outcome:
            case Outcome.OPEN:
                return
            case Outcome.DONE:
                claim.move(self.done)
            case Outcome.CRASHED if claim.attempt % MOST_ATTEMPTS:
                claim.move(self.processing, claim.attempt + 1)
            case Outcome.REFUSED | Outcome.CRASHED:
                self._refuse(claim, f"run {run_id}: {standing.message}")
            case _:
                assert_never(standing.outcome)
        del self._started[claim]
        log.info("%s is %s", claim.name, standing.outcome.value)

    def _refuse(self, claim: Claim, message: str) -> None:
        reason = self.refused / f"{claim.path.name}{_REASON}"
        reason.write_text(f"{message}\nCorrect the cause, then drop the file again.\n", encoding="utf-8")
        claim.move(self.refused)

    def _away(self, error: Outage) -> None:
        if not self._is_away:
            log.warning("runs cannot be started now (%s); files wait in %s", error, self.processing)
        self._is_away = True

    def _back(self) -> None:
        if self._is_away:
            log.info("runs can be started again")
        self._is_away = False


def _shape(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None


def _moved_at(claim: Claim) -> int:
    return claim.path.stat().st_ctime_ns


def _claims(folder: Path) -> list[Claim]:
    claims = (Claim.at(path) for path in sorted(folder.iterdir()) if not path.name.endswith(_REASON))
    return [claim for claim in claims if claim]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGEST_LETTERS]
