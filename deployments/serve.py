"""`python -m deployments.serve`: registers every deployment of the catalog, runs what is due, watches the drop folder.

One light process per host; each flow run is a process of its own, so that a crash takes one run and no more.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx

from config.errors import InputRefused
from config.settings import read_settings
from deployments.automations import register_automations
from deployments.catalog import OF_FEEDS, TIMEZONE, Deployed, Feeds, feed_parameters, for_site
from deployments.choices import Choices
from deployments.environment import HEARTBEAT_S, complete
from deployments.runs import FeedRuns
from deployments.watcher import POLL_S, Watcher

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.deployments.runner import RunnerDeployment
    from prefect.flows import Flow
    from prefect.runner import Runner

RETRY_S = 5.0
AT_ONCE = 5

log = logging.getLogger("callwright.serve")


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; gives the exit code."""
    os.environ.update(complete(os.environ))  # before Prefect is imported
    try:
        options = _options(arguments)
        serve_catalog(
            for_site(options.mapping, options.nightly_feed, options.feeds),
            feeds=options.feeds,
            drop_folder=options.drop_folder or read_settings().drop_folder,
            mapping=options.mapping,
            at_once=options.at_once,
            poll_s=options.poll_s,
        )
    except InputRefused as error:
        print(f"callwright: {error}", file=sys.stderr)  # noqa: T201 - the one line a person reads
        return 2
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.serve", description=__doc__)
    parser.add_argument(
        "--mapping", type=Path, required=True, help="mapping of the feeds: a file, or a name in the site policy"
    )
    parser.add_argument(
        "--feeds",
        choices=list(OF_FEEDS),
        default="lifecycle",
        help="what a dropped file and the nightly feed start: joiners, movers and leavers, or joiners alone",
    )
    parser.add_argument("--nightly-feed", type=Path, help="file that the nightly run reads; without it there is none")
    parser.add_argument("--drop-folder", type=Path, help="folder to watch; default: the setting drop_folder")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="flow runs at the same time on this host")
    parser.add_argument("--poll-s", type=float, default=POLL_S, help="seconds between two looks at the drop folder")
    return parser.parse_args(arguments)


def serve_catalog(
    catalog: tuple[Deployed, ...],
    *,
    feeds: Feeds,
    drop_folder: Path,
    mapping: Path,
    at_once: int = AT_ONCE,
    poll_s: float = POLL_S,
) -> None:
    """Serve these deployments and watch the drop folder until told to stop. Raises InputRefused."""
    if not os.environ.get("PREFECT_API_URL"):
        remedy = "set PREFECT_API_URL to the address of the Prefect server, ending in /api"
        raise InputRefused("no Prefect server is set", where="environment PREFECT_API_URL", remedy=remedy)
    deployments = [deployment_of(each) for each in catalog]
    _write_our_log()
    choices, stop = Choices(deployments), Event()
    choices.fill()
    watcher = Watcher(drop_folder, _feed_runs(deployments, mapping, feeds), poll_s=poll_s)
    watching = Thread(target=watcher.watch, args=(stop,), name="watcher", daemon=True)
    looking = Thread(target=choices.keep_fresh, args=(stop,), name="choices", daemon=True)
    helpers = (watching, looking)
    for each in helpers:
        each.start()
    try:
        while not _run(deployments, at_once):
            time.sleep(RETRY_S)
    finally:
        stop.set()
        for each in helpers:
            each.join(RETRY_S)


def _write_our_log() -> None:
    """Write our lines to standard error; Prefect sets up the root logger for itself on import and mutes them."""
    ours = logging.getLogger("callwright")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)


def _feed_runs(deployments: list[RunnerDeployment], mapping: Path, feeds: Feeds) -> FeedRuns:
    chosen = next(each for each in deployments if each.name == OF_FEEDS[feeds][0].name)
    return FeedRuns(chosen.full_name, lambda feed: feed_parameters(feed, mapping, "drop folder"))


def _run(deployments: list[RunnerDeployment], at_once: int) -> bool:
    """Register and run until told to stop (True) or until the server is away for longer than a runner bears (False)."""
    from prefect import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            register_automations(client, HEARTBEAT_S)
            for each in deployments:
                keep_choices(client, each)
            retire_the_other(client, {each.name for each in deployments})
        asyncio.run(_runner(deployments, at_once).start())
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError, ExceptionGroup) as error:
        log.warning("the Prefect server does not answer (%s); trying again in %.0f s", error, RETRY_S)
        return False
    except KeyboardInterrupt:
        log.info("stopped")
    return True


def _runner(deployments: list[RunnerDeployment], at_once: int) -> Runner:
    from prefect.runner import Runner

    class QuietRunner(Runner):
        def handle_sigterm(self, *_arguments: object) -> None:
            # Prefect's own handler leaves a coroutine unawaited and a traceback in the log at every stop.
            os.kill(os.getpid(), signal.SIGINT)

    runner = QuietRunner(name="callwright", limit=at_once, pause_on_shutdown=False)
    for deployment in deployments:
        runner.add_deployment(deployment)
    return runner


def keep_choices(client: SyncPrefectClient, deployment: RunnerDeployment) -> None:
    """Leave paused what a person paused: registering again would start it."""
    from prefect.exceptions import ObjectNotFound

    try:
        known = client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return
    deployment.paused = known.paused
    active = {schedule.slug: schedule.active for schedule in known.schedules}
    for schedule in deployment.schedules or []:
        schedule.active = active.get(schedule.slug, True)


def retire_the_other(client: SyncPrefectClient, served: Collection[str]) -> None:
    """Delete the nightly run of the choice that was changed: the clock would go on with runs that nobody takes."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    nightly = {each.name for _, each in OF_FEEDS.values()}
    if nightly.isdisjoint(served):  # another host may serve it
        return
    names = DeploymentFilterName(any_=sorted(nightly.difference(served)))
    for found in client.read_deployments(deployment_filter=DeploymentFilter(name=names)):
        client.delete_deployment(found.id)
        log.info("%s is served no more: --feeds was changed", found.name)


def deployment_of(each: Deployed) -> RunnerDeployment:
    """Turn an entry of the catalog into a Prefect deployment."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    return RunnerDeployment.from_flow(
        load_flow(each.flow),
        name=each.name,
        description=each.description,
        tags=list(each.tags),
        schedule=Cron(each.cron, timezone=TIMEZONE, slug="by-the-clock") if each.cron else None,
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


if __name__ == "__main__":
    sys.exit(main())
