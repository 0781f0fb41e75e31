"""Events on the command line: what came in over HTTP, and what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import opened, output

app = typer.Typer(help="Look at the events that came in over HTTP.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
LISTED = ("id", "received_at", "door", "sender", "key", "state", "callback_state", "message")


@app.command("list")
def list_events(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List events, newest first: through which door they came, from whom, and how they stand."""
    from engine import events

    with opened.database() as database, database.read() as connection:
        rows = [{name: getattr(row, name) for name in LISTED} for row in events.latest(connection, limit)]
    output.show(rows, LISTED, json_wanted=as_json, empty="no event came in yet ; start with: ./callwright listen")


@app.command("show")
def show_event(event: Annotated[str, typer.Argument(help="The event's id.")], as_json: Json = False) -> None:
    """Show one event and what became of each person in it."""
    from engine import events, feeds

    with opened.database() as database, database.read() as connection:
        row = events.load(connection, event)
        facts: dict[str, object] = {name: getattr(row, name) for name in LISTED}
        facts["outcomes"] = dict(feeds.outcome_counts(connection, events.feed_of(event)))
    output.as_json(facts) if as_json else output.pairs(facts)


@app.command("retry")
def retry_event(event: Annotated[str, typer.Argument(help="The event's id.")]) -> None:
    """Let a refused or failed event come in again, once its reason is mended."""
    from engine import events
    from engine.runtime import utc_now

    with opened.database() as database, database.write() as connection:
        made = events.retry(connection, event, utc_now())
    output.say(f"event {made} takes the place of {event} ; ./callwright listen carries it out")
