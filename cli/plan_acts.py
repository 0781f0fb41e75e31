"""What a person does with a plan: approve it, apply it, or take back what a run changed, restore a moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import acts, opened, output, plans
from cli.acts import Act
from cli.onboarding import report

if TYPE_CHECKING:
    from engine.approvals import Person

APPLY = Act("plan-apply", "flows.plan_apply", "PlanApplyRequest")
ROLLBACK = Act("rollback", "flows.rollback", "RollbackRequest")
RESTORE = Act("restore", "flows.restore", "RestoreRequest")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PlanId = Annotated[str, typer.Argument(help="The plan's id, as 'plan list' shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def approve(
    plan_id: PlanId,
    reason: Annotated[str, typer.Option(help="Why it may be applied; goes into the record.")],
    name: Annotated[
        str, typer.Option(help="A typed name instead of a sign-in; recorded as unverified, if the site allows it.")
    ] = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let a plan be applied as it reads now: see it, sign in, and put who, why and until when on record."""
    from datetime import UTC, datetime

    from config.settings import read_settings
    from config.site_policy import read_approvals
    from engine import approvals, plan_store

    with opened.database() as database:
        with database.read() as connection:
            seen_hash = plan_store.header(connection, plan_id).hash
        if not yes:
            plans.show_plan(plan_id)
        if not output.confirmed(f"approve plan {plan_id} ({seen_hash[:12]})?", yes=yes):
            raise typer.Exit(1)
        person = typed(name) if name else signed_in()
        approval_id = approvals.approve(
            database,
            plan_id,
            seen_hash,
            person,
            reason=reason,
            rules=read_approvals(read_settings().site),
            now=datetime.now(UTC),
        )
    told = {"approval_id": approval_id, "plan_id": plan_id, "person": person.name, "verified": person.verified}
    output.as_json(told) if as_json else output.say(f"plan {plan_id} is approved by {person.name} ({approval_id})")


def apply(plan_id: PlanId, yes: Yes = False, as_json: Json = False) -> None:
    """Apply a stored plan exactly as it was reviewed; one that must be approved first waits until it is."""
    if not output.confirmed(f"apply plan {plan_id}?", yes=yes):
        raise typer.Exit(1)
    report(acts.run(APPLY, {"plan_id": plan_id}), as_json=as_json)


def undo(
    run: Annotated[str, typer.Argument(help="Request id, plan id or Prefect flow run id.")],
    line: Annotated[list[int] | None, typer.Option(help="Only this line of the plan; may be repeated.")] = None,
    change: Annotated[list[str] | None, typer.Option(help="Only this change, such as 1.3; may be repeated.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Only this attribute, such as TenantDialPlan; may be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop after the plan; nothing outside is changed.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take back what a run changed, or parts of it; what somebody changed since is named and stays."""
    chosen = {"run": run, "lines": line or [], "changes": change or [], "attributes": attribute or []}
    summary = acts.run(ROLLBACK, chosen | {"dry_run": True})
    preview_and_apply(summary, dry_run=dry_run, yes=yes, as_json=as_json)


def restore(
    at: Annotated[str, typer.Option(help="The moment, such as 2026-03-01T08:00:00+01:00; without a zone it is UTC.")],
    user: Annotated[list[str] | None, typer.Option(help="Object id or UPN; may be repeated.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody whom Callwright changed since then.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop after the plan; nothing outside is changed.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Give users the voice state they had at a moment; what cannot be restored is named."""
    request = {"moment": _moment(at), "users": user or [], "everybody": everybody}
    summary = acts.run(RESTORE, request | {"dry_run": True})
    preview_and_apply(summary, dry_run=dry_run, yes=yes, as_json=as_json)


def _moment(text: str) -> str:
    from datetime import UTC, datetime

    from config.errors import InputRefused

    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "write it like 2026-03-01T08:00:00+01:00"
        raise InputRefused(f"{text} is no moment", where="--at", remedy=remedy) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def preview_and_apply(summary: Mapping[str, Any], *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show a plan and, when it is confirmed, apply it."""
    plan_id = str(summary["plan_id"])
    if not as_json:
        plans.show_plan(plan_id)
    if dry_run or not output.confirmed(f"apply plan {plan_id}?", yes=yes):
        output.note(f"nothing was changed ; apply it with: ./callwright plan apply {plan_id}")
        report(summary, as_json=as_json)
        return
    warned = {"warnings": summary["warnings"]} if summary.get("warnings") else {}
    report(warned | acts.run(APPLY, {"plan_id": plan_id}), as_json=as_json)


def typed(name: str) -> Person:
    """Give who a typed name says: nobody verified it."""
    from engine.approvals import Person

    return Person(id=name, name=name, verified=False)


def signed_in() -> Person:
    """Give who signs in with Entra in a browser. Raises InputRefused and what signing in raises."""
    from config.settings import read_settings
    from connectors.sign_in import sign_in
    from engine.approvals import Person
    from engine.opening import app_registration

    tenant = read_settings().require_tenant()
    found = sign_in(app_registration(tenant), tenant.tenant_id, _open_browser)
    return Person(id=found.object_id, name=found.upn or found.name, verified=True)


def _open_browser(address: str) -> None:
    import webbrowser

    output.note(f"sign in here, if no browser opens: {address}")
    webbrowser.open(address)
