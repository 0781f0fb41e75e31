"""Approve a whole batch on the command line: see who and how, sign in, and put who, why and until when on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import opened, output, plan_acts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.batches import Batch

APPROVED = ("by", "why", "at", "until", "users", "waves planned then", "it")


def approve(
    batch: Annotated[str, typer.Argument(help="Name or id of the batch.")],
    reason: Annotated[str, typer.Option(help="Why it may be applied; goes into the record.")],
    name: Annotated[
        str, typer.Option(help="A typed name instead of a sign-in; recorded as unverified, if the site allows it.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Let every wave of a batch be applied: those planned already, and later ones that do what its options say."""
    from config.settings import read_settings
    from config.site_policy import read_approvals
    from engine import batch_approvals, batches
    from engine.runtime import utc_now

    rules = read_approvals(read_settings().site)
    with opened.database() as database:
        with database.read() as connection:
            found = batches.find(connection, batch)
            seen = batch_approvals.scope_of(connection, found.id)
            facts, waves = described(connection, found)
        if not yes:
            output.pairs(facts, title="batch")
            output.show(waves, ("wave", "users", "plan", "look at"), json_wanted=False, title="waves", empty="no wave")
        if not output.confirmed(f"approve batch {found.name} ({seen.users} users, {seen.hash[:12]})?", yes=yes):
            raise typer.Exit(1)
        person = plan_acts.typed(name) if name else plan_acts.signed_in()
        approval_id = batch_approvals.approve(
            database, found.id, seen, person, reason=reason, rules=rules, now=utc_now()
        )
    told = {"approval_id": approval_id, "batch": found.name, "batch_id": found.id, "users": seen.users}
    if as_json:
        output.as_json({**told, "person": person.name, "verified": person.verified})
        return
    output.say(
        f"batch {found.name} is approved by {person.name} for {rules.batch_expires_hours:g} hours ({approval_id})"
    )
    output.say("changing its options, window or users makes it void ; next: ./callwright batch run " + repr(found.name))


def described(connection: Connection, batch: Batch) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Give what somebody must know of a batch before approving it: facts, and its waves with what stands out."""
    from config.settings import read_settings
    from config.site_policy import read_approvals
    from engine import batches, plan_store
    from engine.review import review

    rules = read_approvals(read_settings().site)
    facts = {
        "name": batch.name,
        "made by": batch.created_by,
        "users of": batch.source.get("text"),
        "users": dict(batches.counts(connection, batch.id)),
        "options": batch.options.model_dump(mode="json", exclude_defaults=True),
    }
    waves: list[Mapping[str, Any]] = []
    for wave, plan_id, counts in batches.wave_counts(connection, batch.id):
        risks = review(plan_store.load_lines(connection, plan_id), rules).risks if plan_id else []
        row = {"wave": wave, "users": sum(counts.values()), "plan": plan_id or "later, as the options say"}
        waves.append(row | {"look at": "\n".join(risks)})
    return facts, waves


def given(connection: Connection, batch_id: str) -> list[dict[str, Any]]:
    """List the approvals of a batch as a table shows them."""
    from engine import batch_approvals
    from engine.runtime import utc_now

    return [
        {
            "by": row["person_name"] + ("" if row["verified"] else " (unverified)"),
            "why": row["reason"],
            "at": row["at"],
            "until": row["expires"],
            "users": row["users"],
            "waves planned then": len(row["plans"]),
            "it": row["standing"],
        }
        for row in batch_approvals.of_batch(connection, batch_id, utc_now())
    ]
