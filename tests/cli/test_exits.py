"""How a command line ends: the code, the one line, and where the details go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.exits import DependencyMissing, FinishedWithFailures, guarded
from config.errors import InputRefused
from connectors.errors import Invalid, NotAllowed, Throttled, Unreachable


def raising(error: BaseException) -> Callable[[], None]:
    """Give a command that ends with this error."""

    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputRefused("the column 'Name' is missing", where="feed.csv", remedy="correct the mapping"), 2),
        (Unreachable("Graph does not answer"), 3),
        (Throttled("Graph asks to wait", retry_after_s=30), 3),
        (NotAllowed("the client secret was refused ; renew it"), 3),
        (Invalid("the tenant refused the policy"), 3),
        (DependencyMissing("the lab needs libraries ; run: make env"), 3),
        (FinishedWithFailures("2 failed"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_known_error_is_one_line(error: Exception, code: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A known error gives its exit code and exactly one line on standard error, and no log file."""
    assert guarded(raising(error)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"callwright: {error}\n"
    assert not (folder / ".callwright").exists()


def test_message_of_many_lines_becomes_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A message that spans lines is printed as one."""
    assert guarded(raising(Unreachable("first\n  second"))) == 3
    assert capsys.readouterr().err == "callwright: first second\n"


def test_unexpected_error_hides_its_details_in_the_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unexpected error names the log file; the traceback is only there, readable by the owner only."""
    assert guarded(raising(KeyError("secret-looking detail"))) == 70
    printed = capsys.readouterr().err
    log = folder / ".callwright" / "callwright.log"
    assert printed == f"callwright: internal error: KeyError ; details in {log}\n"
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o077 == 0


def test_interrupt_says_what_becomes_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with 130 and says how to go on."""
    assert guarded(raising(KeyboardInterrupt())) == 130
    assert "./callwright continue" in capsys.readouterr().err


def test_success_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that ends well ends with 0 and prints nothing of its own."""
    assert guarded(lambda: None) == 0
    assert capsys.readouterr().err == ""
