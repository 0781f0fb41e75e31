"""`python -m deployments.listen`: the HTTP endpoint for HR systems, and the thread that starts a run for each event."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from threading import Event, Thread
from typing import Any

from config.errors import InputRefused
from deployments.environment import complete

STOP_WITHIN_S = 30


def main(arguments: list[str] | None = None) -> int:
    """Listen until told to stop; gives the exit code."""
    os.environ.update(complete(os.environ))  # before Prefect is imported
    options = _options(arguments)
    if options.openapi:
        print(openapi())  # noqa: T201 - what was asked for
        return 0
    try:
        listen(options.port)
    except InputRefused as error:
        print(f"callwright: {error}", file=sys.stderr)  # noqa: T201 - the one line a person reads
        return 2
    return 0


def openapi() -> str:
    """Give the description of the endpoint as JSON."""
    from deployments.door import make_app

    return json.dumps(make_app().openapi(), indent=1, sort_keys=True, ensure_ascii=False)


def listen(port: int | None = None) -> None:
    """Serve until told to stop. Raises InputRefused for settings that do not do."""
    import uvicorn

    from deployments.door import make_app
    from deployments.door_guard import Guard, secret_of
    from tasks.hr_event import answer_callers, mapping_of
    from tasks.work import open_work

    with open_work() as work:
        mine = work.settings.listen
        guard = Guard(mine, work.settings.tenant, time.monotonic, secret_of(mine))
        mapping_of(work, "events")  # a mapping that is missing is told now, not to the first sender
        dispatcher, stop = _dispatcher(work, answer_callers.plain), Event()
        _write_our_log()
        thread = Thread(target=dispatcher.work_until, args=(stop,), name="dispatcher", daemon=True)
        thread.start()
        try:
            _serve(uvicorn, make_app(_door(work, guard, dispatcher)), mine, mine.port if port is None else port)
        finally:
            stop.set()
            dispatcher.wake()
            thread.join(STOP_WITHIN_S)


def _serve(uvicorn: Any, app: Any, mine: Any, port: int) -> None:
    """Serve with the access log off: addresses of requests hold user names."""
    files = {"ssl_certfile": mine.certificate, "ssl_keyfile": mine.private_key} if mine.certificate else {}
    limits = {"limit_concurrency": 100, "timeout_keep_alive": 10, "h11_max_incomplete_event_size": 16_384}
    config = uvicorn.Config(
        app, host=mine.host, port=port, access_log=False, server_header=False, log_level="warning", **limits, **files
    )
    scheme = "https" if mine.certificate else "http"
    logging.getLogger("callwright.listen").info("listening at %s://%s:%s", scheme, mine.host, port)
    for each in (signal.SIGTERM, signal.SIGINT):
        # The server stops by them, and sends them once more when it has: by then there is nothing left to stop.
        signal.signal(each, lambda *_: None)
    uvicorn.Server(config).run()


def _dispatcher(work: Any, answer: Any) -> Any:
    from deployments.dispatcher import Dispatcher, InThisProcess, OnServer

    return Dispatcher(work, OnServer() if os.environ.get("PREFECT_API_URL") else InThisProcess(), answer)


def _door(work: Any, guard: Any, dispatcher: Any) -> Any:
    from deployments.door import Door

    return Door(work, guard, dispatcher.wake)


def _write_our_log() -> None:
    """Write our lines to standard error; Prefect sets up the root logger for itself on import and mutes them."""
    ours, handler = logging.getLogger("callwright"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.listen", description=__doc__)
    parser.add_argument("--port", type=int, help="port to listen at; default: the setting listen.port")
    parser.add_argument("--openapi", action="store_true", help="print the description of the endpoint and end")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
