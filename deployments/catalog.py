"""The list of everything that is deployed: which flow, under which name, when, and what happens on a collision.

Plain data without Prefect, so that tests and documents can read it; `deployments/serve.py` turns it into deployments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

# A run that a person or a file asked for waits for its turn; a scheduled one gives way, the next does the same work.
Collision = Literal["ENQUEUE", "CANCEL_NEW"]
# The deployment that a file in the drop folder starts, and whose sibling reads the feed every night: a site's choice.
Feeds = Literal["lifecycle", "onboarding"]
# Days and moments of ours are UTC, and so are the hours of the schedules: no hour comes twice or not at all.
TIMEZONE = "UTC"


@dataclass(frozen=True)
class Deployed:
    """One deployment of one flow; `flow` is an entry point such as `flows.onboarding:onboard`."""

    name: str
    flow: str
    description: str
    tags: tuple[str, ...] = ()
    cron: str | None = None
    collision: Collision = "ENQUEUE"
    parameters: Mapping[str, object] = field(default_factory=dict)


ONBOARDING = Deployed(
    name="onboarding",
    flow="flows.onboarding:onboard",
    description="Give the people of a feed file their numbers and policies; nobody moves or leaves by it. With "
    "*dry run* it stops after the plan. One run at a time, the next one waits.",
    tags=("voice", "onboarding"),
)

HR_EVENT = Deployed(
    name="hr-event",
    flow="flows.hr_event:carry_out",
    description="Carry out one event that an HR system, a SCIM client or a lifecycle workflow sent over HTTP. Started "
    "by the endpoint (`./callwright listen`), which stored the event before it answered.",
    tags=("voice", "events"),
)

NIGHTLY = Deployed(
    name="onboarding-nightly",
    flow="flows.onboarding:onboard",
    description="Read the feed again every night, so that a missed file or a corrected account is caught up with. "
    "A feed without news changes nothing.",
    tags=("voice", "onboarding", "nightly"),
    cron="15 2 * * *",
    collision="CANCEL_NEW",
)

LIFECYCLE = Deployed(
    name="lifecycle",
    flow="flows.lifecycle:live",
    description="Carry out what a feed says of joiners, movers, leaves of absence and leavers; with *dry run* it stops "
    "after the plan. One run at a time, the next one waits.",
    tags=("voice", "lifecycle"),
)

LIFECYCLE_NIGHTLY = Deployed(
    name="lifecycle-nightly",
    flow="flows.lifecycle:live",
    description="Read the feed again every night, so that a missed file, a corrected account or a day that has come is "
    "caught up with, for joiners, movers and leavers. A feed without news changes nothing.",
    tags=("voice", "lifecycle", "nightly"),
    cron="15 2 * * *",
    collision="CANCEL_NEW",
)

LEAVER_STEPS = Deployed(
    name="leaver-steps",
    flow="flows.lifecycle:take_steps",
    description="Take the steps that are due today for everybody who leaves or is being deleted, each only after the "
    "one before it was seen to be done. It changes what is due: *dry run* is off by default.",
    tags=("voice", "lifecycle", "nightly"),
    cron="35 2 * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"dry_run": False}},
)

DELETION = Deployed(
    name="user-deletion",
    flow="flows.lifecycle:delete",
    description="Disable a user now and delete them from the named systems after some days. The form opens as a dry "
    "run, and the name has to be typed again.",
    tags=("voice", "lifecycle"),
)

LIVES = (LEAVER_STEPS, DELETION)
CONTINUE = Deployed(
    name="continue-waiting",
    flow="flows.continue_waiting:continue_waiting",
    description="Go on with every line that waits for a licence, an account or a directory sync, as soon as it is due.",
    tags=("voice", "waiting"),
    cron="*/5 * * * *",
    collision="CANCEL_NEW",
    parameters={"request": {}},
)

HEADS = Deployed(
    name="journal-heads",
    flow="flows.record_keeping:export_heads",
    description="Note the heads of the journal in a file outside the database, so that a cut at its end would show.",
    tags=("record",),
    cron="*/15 * * * *",
    collision="CANCEL_NEW",
)

RETENTION = Deployed(
    name="retention",
    flow="flows.record_keeping:retain",
    description="Erase personal data whose date has come; who did what and when stays, and stays provable.",
    tags=("record", "nightly"),
    cron="40 3 * * *",
    collision="CANCEL_NEW",
    parameters={"request": {}},
)

PLAN_APPLY = Deployed(
    name="plan-apply",
    flow="flows.plan_apply:apply_stored",
    description="Apply a stored plan exactly as it was reviewed; one that must be approved first waits until it is.",
    tags=("voice", "plan"),
)

ROLLBACK = Deployed(
    name="rollback",
    flow="flows.rollback:roll_back",
    description="Take back what a run changed, or chosen lines, changes or attributes of it; what somebody changed "
    "since is named and stays.",
    tags=("voice", "plan"),
)

RESTORE = Deployed(
    name="restore",
    flow="flows.restore:restore",
    description="Give users, or everybody, the voice state they had at a moment: number, Enterprise Voice, policies, "
    "licences and write-back, as far as the record knows them.",
    tags=("voice", "plan"),
)

RECONCILE = Deployed(
    name="reconcile",
    flow="flows.reconcile:reconcile",
    description="Settle what processes left behind that died: intents without an outcome, claims, leases, streams and "
    "requests. Repairs nothing by guessing: it reads the tenant.",
    tags=("record",),
    cron="7 * * * *",
    collision="CANCEL_NEW",
    parameters={"request": {}},
)


EXPIRY = Deployed(
    name="reservation-expiry",
    flow="flows.reservation_expiry:release_expired",
    description="Free every reserved number whose time is over. It changes what is due: *dry run* is off by default.",
    tags=("numbers", "nightly"),
    cron="5 * * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"dry_run": False}},
)

GRACE = Deployed(
    name="grace-release",
    flow="flows.grace_release:release_rested",
    description="Free every number whose grace period is over and lift what Teams still blocks of them. "
    "It changes what is due: *dry run* is off by default.",
    tags=("numbers", "nightly"),
    cron="20 * * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"dry_run": False}},
)

ASSIGN = Deployed(
    name="number-assign",
    flow="flows.number_assignment:assign",
    description="Give one user a named number, the next free one of a pool, or the one that is kept for them.",
    tags=("numbers",),
)

UNASSIGN = Deployed(
    name="number-unassign",
    flow="flows.number_assignment:unassign",
    description="Take one user's number away; it rests, here and in Teams, before anybody else gets it.",
    tags=("numbers",),
)

SYNC = Deployed(
    name="number-sync",
    flow="flows.number_sync:sync",
    description="Compare inventory, Teams, on-premises lines and the directory every night, fix what is safe (*dry "
    "run* is off by default, 100 fixes at most) and report the rest with what to do.",
    tags=("numbers", "nightly"),
    cron="30 1 * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"dry_run": False}},
)

ORDERS = Deployed(
    name="number-orders",
    flow="flows.number_orders:order",
    description="Upload Direct Routing numbers of a pool or range into Teams' inventory, or release them from it. "
    "The form opens as a dry run.",
    tags=("numbers",),
)

USAGE = Deployed(
    name="number-usage",
    flow="flows.number_usage:show_usage",
    description="Show how full every pool is, and raise or clear the alert of those that run low.",
    tags=("numbers", "nightly"),
    cron="10 4 * * *",
    collision="CANCEL_NEW",
)

NUMBERS = (USAGE, ORDERS, SYNC, EXPIRY, GRACE, ASSIGN, UNASSIGN)
CACHE_SYNC = Deployed(
    name="cache-sync",
    flow="flows.cache_sync:sync_cache",
    description="Read what changed in the tenant and the directory, so that users are found at once. What fails "
    "is called degraded and keeps what was known.",
    tags=("users", "nightly"),
    cron="45 1 * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"requested_by": "schedule"}},
)

CACHE_REFRESH = Deployed(
    name="cache-refresh",
    flow="flows.cache_sync:sync_cache",
    description="Read again the users whom Callwright changed since the last look.",
    tags=("users",),
    cron="*/10 * * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"only_touched": True, "requested_by": "schedule"}},
)

BULK_EDIT = Deployed(
    name="bulk-edit",
    flow="flows.bulk_edit:edit_users",
    description="Set policies, licences, location, numbers or telephone attributes of many users: of a saved filter, a "
    "text, a list or a sheet. The form opens as a dry run; the plan is then reviewed and applied.",
    tags=("users", "plan"),
)

DRIFT = Deployed(
    name="drift",
    flow="flows.drift:compare",
    description="Compare onboarded users with their templates every night, report what differs, and plan what "
    "may converge: policies, calling settings and licences, never a number. Applied only if `drift.apply` says so.",
    tags=("users", "nightly"),
    cron="20 3 * * *",
    collision="CANCEL_NEW",
    parameters={"request": {"requested_by": "schedule"}},
)


USERS = (CACHE_SYNC, CACHE_REFRESH, BULK_EDIT, DRIFT)

BATCH_CREATE = Deployed(
    name="batch-create",
    flow="flows.batches:create_batch",
    description="Make a batch of users who move to Teams, of a filter, a file, a group or a list, and examine, plan or "
    "launch it.",
    tags=("voice", "migration"),
)

BATCH_PREFLIGHT = Deployed(
    name="batch-preflight",
    flow="flows.migration:examine_batch",
    description="Find out what stands in the way of each user of a batch, with remedies, and how long it will take.",
    tags=("voice", "migration"),
)

BATCH_RUN = Deployed(
    name="batch-run",
    flow="flows.migration:run_batch",
    description="Move a batch to Teams, wave by wave; with *dry run* it stops after the plan of the next wave.",
    tags=("voice", "migration"),
)

BATCH_ADVANCE = Deployed(
    name="batch-advance",
    flow="flows.migration:advance_batches",
    description="Go on with every batch that was started: what waited, the next wave, a window that opened.",
    tags=("voice", "migration", "waiting"),
    cron="2-59/5 * * * *",
    collision="CANCEL_NEW",
    parameters={"request": {}},
)

BATCH_CONTROL = Deployed(
    name="batch-control",
    flow="flows.batches:control_batch",
    description="Pause, resume or cancel a batch; what has begun is finished in every case.",
    tags=("voice", "migration"),
)

BATCH_RETRY = Deployed(
    name="batch-retry",
    flow="flows.batches:retry_batch",
    description="Try again for the users of a batch for whom it failed, and for nobody else.",
    tags=("voice", "migration"),
)

BATCH_UNDO = Deployed(
    name="batch-undo",
    flow="flows.migration:undo_wave",
    description="Take a wave back to Skype for Business with numbers and policies. The form opens as a dry run.",
    tags=("voice", "migration"),
)

MIGRATION = (BATCH_CREATE, BATCH_PREFLIGHT, BATCH_RUN, BATCH_ADVANCE, BATCH_CONTROL, BATCH_RETRY, BATCH_UNDO)

EVERYWHERE = (
    HR_EVENT,
    CONTINUE,
    HEADS,
    RETENTION,
    PLAN_APPLY,
    ROLLBACK,
    RESTORE,
    *LIVES,
    *NUMBERS,
    *USERS,
    *MIGRATION,
    RECONCILE,
)
OF_FEEDS: Mapping[Feeds, tuple[Deployed, Deployed]] = {
    "lifecycle": (LIFECYCLE, LIFECYCLE_NIGHTLY),
    "onboarding": (ONBOARDING, NIGHTLY),
}
CATALOG = (*(each for pair in OF_FEEDS.values() for each in pair), *EVERYWHERE)


def feed_parameters(feed: Path, mapping: Path, requested_by: str) -> dict[str, object]:
    """Give the parameters of a run of a feed; runs work in a folder of their own, so paths are absolute.

    A mapping that is no file here is the name of one in the site policy.
    """
    request = {"feed": str(feed.resolve()), "mapping": _name_or_path(mapping), "requested_by": requested_by}
    return {"request": request}


def _name_or_path(mapping: Path) -> str:
    return str(mapping.resolve()) if mapping.is_file() else str(mapping)


def for_site(mapping: Path, nightly_feed: Path | None, feeds: Feeds = "lifecycle") -> tuple[Deployed, ...]:
    """Give the catalog for a site: forms open with its mapping; the nightly run needs a feed at a fixed place."""
    forms = [_form(by_hand, mapping, name == feeds) for name, (by_hand, _) in OF_FEEDS.items()]
    if nightly_feed is None:
        return *forms, *EVERYWHERE
    parameters = feed_parameters(nightly_feed, mapping, "schedule")
    return *forms, replace(OF_FEEDS[feeds][1], parameters=parameters), *EVERYWHERE


def _form(by_hand: Deployed, mapping: Path, is_started_by_files: bool) -> Deployed:
    more = " A file in the drop folder starts it, too." if is_started_by_files else ""
    parameters = {"request": {"mapping": _name_or_path(mapping)}}
    return replace(by_hand, description=by_hand.description + more, parameters=parameters)
