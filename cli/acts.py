"""An act on the command line: a story told in this process, or a run of its deployment on a Prefect server."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import prefect_runs

if TYPE_CHECKING:
    from engine.requests import Actor


class Act(NamedTuple):
    """A deployment, and the names of its request and its story in a module, imported when they are needed."""

    deployment: str
    module: str
    request: str
    story: str = "story"


def run(act: Act, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run an act in this process, or on the Prefect server if there is one; gives its summary."""
    asked = {**request, "requested_by": getpass.getuser()}
    return prefect_runs.run(act.deployment, asked) if prefect_runs.server_url() else run_here(act, asked)


def run_here(act: Act, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run an act in this process, whatever servers there are; gives its summary."""
    from importlib import import_module

    from tasks.stage import InProcess

    module = import_module(act.module)
    asked, story = getattr(module, act.request)(**request), getattr(module, act.story)
    with quietly():
        summary: dict[str, Any] = story(asked, InProcess(), actor())
    return summary


def actor() -> Actor:
    """Give who runs the command."""
    from engine.requests import Actor

    return Actor(kind="os_user", name=getpass.getuser())


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the chatter of libraries off the terminal: what matters to a person is in the summary."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
