"""How a command ends: exit codes, one line for an error, and tracebacks in the log file only.

0 done · 1 finished, but some lines failed · 2 input refused · 3 a system we depend on · 70 internal · 130 interrupted
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

DONE, FAILURES, INPUT, DEPENDENCY, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 70, 130
LOG_FOLDERS = (Path(".callwright"), Path.home() / ".callwright")


class FinishedWithFailures(Exception):
    """End with exit code 1: the command did its work and some of it failed; the output has said what."""


class DependencyMissing(Exception):
    """End with exit code 3: something this command needs is not there; the message says what to do."""


def guarded(run: Callable[[], object]) -> int:
    """Run a command and turn whatever it raises into an exit code and at most one line."""
    try:
        run()
    except BrokenPipeError:
        return _closed_pipe()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else FAILURES
    except KeyboardInterrupt:
        return tell("interrupted ; what was begun is in the journal: ./callwright continue picks it up", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the one door through which a command line ends
        return tell(*explain(error))
    return DONE


def explain(error: Exception) -> tuple[str, int]:
    """Give the line and the exit code for an error; an unexpected one goes to the log file with its traceback."""
    from config.errors import InputRefused  # known errors are looked at only when one happened

    if isinstance(error, FinishedWithFailures):
        return str(error), FAILURES
    if isinstance(error, InputRefused):
        return one_line(error), INPUT
    if isinstance(error, DependencyMissing) or _is_dependency(error):
        return one_line(error), DEPENDENCY
    where = log_traceback(error)
    return f"internal error: {type(error).__name__} ; details in {where}", INTERNAL


def tell(line: str, code: int) -> int:
    """Print the line on standard error, if there is one, and give the code back."""
    if line:
        print(f"callwright: {line}", file=sys.stderr)  # noqa: T201 - the one line of an error
    return code


def one_line(error: Exception) -> str:
    """Give the message of an error on one line."""
    return " ".join(str(error).split())


def log_traceback(error: Exception) -> Path:
    """Append the traceback to the log file, readable by its owner only, and give the file's path."""
    text = "".join(traceback.format_exception(error))
    entry = f"--- {datetime.now(UTC).isoformat()} {' '.join(sys.argv[1:3])}\n{text}"
    for folder in LOG_FOLDERS:
        path = (folder / "callwright.log").absolute()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            with path.open("a", encoding="utf-8") as log:
                log.write(entry)
            return path
    return Path(os.devnull)


def _is_dependency(error: Exception) -> bool:
    from connectors.errors import ConnectorError

    return isinstance(error, ConnectorError)


def _closed_pipe() -> int:
    # The reader (head, less) has gone; Python would complain once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
