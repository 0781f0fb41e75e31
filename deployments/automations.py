"""Prefect automations that every server of ours has; registering them again changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

ZOMBIES = "callwright: mark runs without a heartbeat as crashed"
_HEARTBEAT = "prefect.flow-run.heartbeat"
# A process may die before its first heartbeat, or before it says Running: its states count as signs of life too.
_SIGNS = {_HEARTBEAT, "prefect.flow-run.Pending", "prefect.flow-run.Running"}
_ENDINGS = (
    "Completed",
    "Failed",
    "Cancelled",
    "Crashed",
    "Suspended",
    "Paused",
    "Cancelling",
    "AwaitingRetry",
    "Scheduled",
)


def zombie_automation(heartbeat_s: int) -> AutomationCore:
    """Describe the automation: a run silent for three heartbeats has lost its process (the server does not look)."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    minutes = 3 * heartbeat_s / 60
    return AutomationCore(
        name=ZOMBIES,
        description="A run whose process died sends no heartbeat; without this it would stay Running for ever.",
        trigger=EventTrigger(
            after=_SIGNS,
            expect=_SIGNS | {f"prefect.flow-run.{name}" for name in _ENDINGS},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=3 * heartbeat_s),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"No heartbeat for {minutes:g} minutes: the process is gone. Nothing is lost; start the run "
                "again and it continues where the journal ends.",
            )
        ],
    )


def register_automations(client: SyncPrefectClient, heartbeat_s: int) -> None:
    """Bring the server's automation to what `zombie_automation` says; safe to repeat, also after an upgrade."""
    wanted = zombie_automation(heartbeat_s)
    known = client.read_automations_by_name(ZOMBIES)
    if not known:
        client.create_automation(wanted)
        return
    for surplus in known[1:]:
        client.delete_automation(surplus.id)
    if _content(known[0]) != _content(wanted):
        client.update_automation(known[0].id, wanted)


def _content(automation: AutomationCore) -> object:
    return automation.model_dump(
        mode="json", include={"name", "description", "enabled", "actions"}
    ) | automation.trigger.model_dump(mode="json", exclude={"id"})
