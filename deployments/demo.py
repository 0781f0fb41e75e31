"""`make demo`: starts a stand-in tenant and everything of ours, runs onboarding on a feed, and says what came of it.

It stays up until Ctrl-C for looking around; with `--once` it runs the same feed a second time and ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType

from rich.console import Console

from config.errors import InputRefused
from config.settings import read_settings
from deployments.demo_feed import Feed, compose, write_feed
from deployments.demo_play import Story
from deployments.demo_report import print_report
from deployments.environment import OURS, PROJECT, settings_of
from deployments.stage import Stage, Wishes, staged
from deployments.watcher import Outage
from engine.opening import open_systems
from engine.runtime import utc_now


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; gives the exit code."""
    options = _options(arguments)
    console = Console(stderr=options.json)  # with --json, standard output is for programs
    interrupted = _end_on_signals()
    wishes = Wishes(options.folder, options.users, options.seed, options.prefect_port, options.control_port)
    try:
        return _demo(wishes, console, once=options.once, as_json=options.json)
    except (InputRefused, Outage) as error:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201 - the one line a person reads
        return 2
    except (KeyboardInterrupt, Exception):
        if not interrupted.is_set():  # else a library has wrapped our interruption in an error of its own
            raise
        console.print("stopped")
        return 130 if options.once else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo ARGS=", description=__doc__)
    parser.add_argument("--once", action="store_true", help="run the feed twice and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--users", type=int, default=200, help="people in the stand-in tenant")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same people")
    folder = PROJECT / ".callwright" / "demo"
    parser.add_argument("--folder", type=Path, default=folder, help="where everything lies; emptied at the start")
    parser.add_argument("--prefect-port", type=int, default=0, help="port of the Prefect pages (4200 if it is free)")
    parser.add_argument("--control-port", type=int, default=0, help="port of the tenant's control (any free)")
    return parser.parse_args(arguments)


def _end_on_signals() -> Event:
    """Turn every signal that ends a program into one KeyboardInterrupt; the event tells that it was raised."""
    interrupted = Event()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not interrupted.is_set():  # a second one must not stop us from stopping the children
            interrupted.set()
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    return interrupted


def _demo(wishes: Wishes, console: Console, *, once: bool, as_json: bool) -> int:
    path = wishes.folder.resolve() / "feed" / "hires.csv"
    with staged(wishes, nightly_feed=path) as stage, settings_of(stage.place):
        _adopt(stage)
        console.print(f"ready after {stage.setup_s:.0f} s; Prefect is at {stage.place.url}")
        feed = _feed(path)
        console.print(f"the feed, as an HR system would write it: {feed.path}", soft_wrap=True)
        with closing(Story(stage, feed, partial(console.print, soft_wrap=True))) as story:
            report = story.play(twice=once)
        print_report(console, report)
        if as_json:
            print(report.as_json(), flush=True)  # noqa: T201 - this is the output
        if not once:
            _stay(stage, console)
    return 0 if report.is_sound else 1


def _adopt(stage: Stage) -> None:
    """Use the set-up's settings in this process."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    os.environ.update(stage.environment)


def _feed(path: Path) -> Feed:
    """Write a feed about the people of the tenant."""
    with open_systems(read_settings()) as systems:
        users = [user for user in systems.graph.users() if user.employee_id and user.account_enabled]
        numbered = {voice.id for voice in systems.teams.voice_users() if voice.number}
    located = [user for user in users if user.usage_location]
    without = [user for user in located if user.id not in numbered]
    return write_feed(path, compose(without, [user for user in located if user.id in numbered], utc_now().date()))


def _stay(stage: Stage, console: Console) -> None:
    console.print(f"\nFor another terminal:  . {stage.write_exports()}", highlight=False, soft_wrap=True)
    console.print(f"The pages are at {stage.place.url}, the tenant's control at {stage.control_url}.", soft_wrap=True)
    console.print(f"A file put into {stage.drop_folder} is onboarded by itself. Ctrl-C stops it all.", soft_wrap=True)
    while not (ended := stage.ended()):
        time.sleep(1)
    raise InputRefused(f"the {ended.name} ended by itself: {ended.last_line()}", remedy=f"read {ended.log}")


if __name__ == "__main__":
    sys.exit(main())
