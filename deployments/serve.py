"""`python -m deployments.serve`: registers every deployment of the catalog, runs what is due, watches the drop folder.

One light process per host; each flow run is a process of its own, so that a crash takes one run and no more.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx

from config.errors import InputRefused
from config.settings import read_settings
from deployments.automations import register_automations
from deployments.catalog import ONBOARDING, Deployed, onboarding_parameters, with_nightly_feed
from deployments.environment import HEARTBEAT_S, complete
from deployments.runs import FeedRuns
from deployments.watcher import Watcher

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.flows import Flow

RETRY_S = 5.0
AT_ONCE = 5

log = logging.getLogger("callwright.serve")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; gives the exit code."""
    os.environ.update(complete(os.environ))  # before Prefect is imported
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        options = _options(arguments)
        serve_catalog(
            with_nightly_feed(options.nightly_feed, options.mapping),
            drop_folder=options.drop_folder or read_settings().drop_folder,
            mapping=options.mapping,
            at_once=options.at_once,
        )
    except InputRefused as error:
        print(f"callwright: {error}", file=sys.stderr)  # noqa: T201 - the one line a person reads
        return 2
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.serve", description=__doc__)
    parser.add_argument("--mapping", type=Path, required=True, help="feed mapping for files and for the nightly run")
    parser.add_argument("--nightly-feed", type=Path, help="file that the nightly run reads; without it there is none")
    parser.add_argument("--drop-folder", type=Path, help="folder to watch; default: the setting drop_folder")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="flow runs at the same time on this host")
    return parser.parse_args(arguments)


def serve_catalog(catalog: tuple[Deployed, ...], *, drop_folder: Path, mapping: Path, at_once: int = AT_ONCE) -> None:
    """Serve these deployments and watch the drop folder until told to stop. Raises InputRefused."""
    if not os.environ.get("PREFECT_API_URL"):
        remedy = "set PREFECT_API_URL to the address of the Prefect server, ending in /api"
        raise InputRefused("no Prefect server is set", where="environment PREFECT_API_URL", remedy=remedy)
    deployments = [deployment_of(each) for each in catalog]
    stop = Event()
    watcher = Watcher(drop_folder, _feed_runs(deployments, mapping))
    watching = Thread(target=watcher.watch, args=(stop,), name="watcher", daemon=True)
    watching.start()
    try:
        while not _run(deployments, at_once):
            time.sleep(RETRY_S)
    finally:
        stop.set()
        watching.join(RETRY_S)


def _feed_runs(deployments: list[RunnerDeployment], mapping: Path) -> FeedRuns:
    onboarding = next(each for each in deployments if each.name == ONBOARDING.name)
    return FeedRuns(onboarding.full_name, lambda feed: onboarding_parameters(feed, mapping, "drop folder"))


def _run(deployments: list[RunnerDeployment], at_once: int) -> bool:
    """Register and run until told to stop (True) or until the server is away for longer than a runner bears (False)."""
    from prefect import get_client, serve
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            register_automations(client, HEARTBEAT_S)
        # Schedules stay as a person left them: pausing at every stop would undo and redo their choice.
        serve(*deployments, pause_on_shutdown=False, print_starting_message=False, limit=at_once)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError, ExceptionGroup) as error:
        log.warning("the Prefect server does not answer (%s); trying again in %.0f s", error, RETRY_S)
        return False
    return True


def deployment_of(each: Deployed) -> RunnerDeployment:
    """Turn an entry of the catalog into a Prefect deployment."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    return RunnerDeployment.from_flow(
        load_flow(each.flow),
        name=each.name,
        description=each.description,
        tags=list(each.tags),
        cron=each.cron,
        parameters=dict(each.parameters),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy(each.collision)),
        # Otherwise Prefect asks git, which a host may not have; its enum is private.
        version_type="prefect:simple",  # type: ignore[arg-type] # becomes the enum on validation
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def load_flow(entry_point: str) -> Flow[Any, Any]:
    """Load a flow from `module:name`, strictly: a broken import is an error, never a placeholder."""
    module, _, name = entry_point.partition(":")
    flow: Flow[Any, Any] = getattr(importlib.import_module(module), name)
    return flow
