"""A site whose tenant is in memory: policy and feed files in a folder, and the stories of the flows as functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.database import Database
from engine import feeds
from engine.requests import Actor
from flows import continue_waiting, onboarding, quarantine_retry
from tasks.stage import InProcess
from tasks.work import working_on
from tests.fakes.databases import upgraded_sqlite
from tests.fakes.tenant import FakeClock, FakeTenant

ACTOR = Actor(kind="os_user", name="tess")
POOLS = """[[pools]]
name = "vienna"
country = "AT"
number_type = "directRouting"
ranges = [{ start = "+431234500", end = "+431234509" }]
"""
TEMPLATES = """[[templates]]
name = "phones"
match = { department = ["Sales"] }
pool = "vienna"
licences = ["MCOEV"]
policies = { OnlineVoiceRoutingPolicy = "Vienna", TenantDialPlan = "AT" }
write_back = ["telephoneNumber", "ipPhone"]
"""
MAPPING = """name = "hr"
[columns]
Id = "employee_id"
Department = "department"
Country = "usage_location"
Status = "status"
[values.status]
Active = "active"
"""


def memory_settings(folder: Path) -> dict[str, str]:
    """Write the site policy and give the environment names that point at it and at a database of its own."""
    (folder / "mappings").mkdir()
    for name, text in {"pools": POOLS, "templates": TEMPLATES, "mappings/hr": MAPPING}.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    short = {"CALLWRIGHT_WAIT__POLL_S": "0.001", "CALLWRIGHT_WAIT__LAG_WINDOW_S": "0.001"}
    database = upgraded_sqlite(folder / "ours.db")
    return {"CALLWRIGHT_DATABASE_URL": database, "CALLWRIGHT_SITE": str(folder), **short}


@dataclass
class FlowSite:
    """What a test of a flow works with."""

    folder: Path
    tenant: FakeTenant

    def feed(self, *ids: str) -> str:
        """Write a feed of people of the sales department; one whose id ends in `?` has a status nobody knows."""
        rows = [f"{each.rstrip('?')},Sales,AT,{'Aktiv' if each.endswith('?') else 'Active'}" for each in ids]
        path = self.folder / "hires.csv"
        path.write_text("\n".join(["Id,Department,Country,Status", *rows, ""]), encoding="utf-8")
        return str(path)

    def onboard(self, *ids: str, dry_run: bool = False) -> dict[str, Any]:
        """Onboard these people."""
        return self.onboard_file(Path(self.feed(*ids)), dry_run=dry_run)

    def onboard_file(self, feed: Path, *, dry_run: bool = False) -> dict[str, Any]:
        """Onboard the people of a feed file."""
        request = onboarding.OnboardingRequest(feed=str(feed), mapping="hr", dry_run=dry_run, requested_by="tess")
        return self._told(lambda run: onboarding.story(request, run, ACTOR))

    def go_on(self) -> dict[str, Any]:
        """Continue what waits."""
        request = continue_waiting.ContinueRequest(requested_by="tess")
        return self._told(lambda run: continue_waiting.story(request, run, ACTOR))

    def retry(self, *ids: int) -> dict[str, Any]:
        """Try quarantined rows again."""
        return self._told(lambda run: quarantine_retry.story("hr", list(ids), run, ACTOR))

    def quarantined(self, state: str = "open") -> list[int]:
        """List the quarantined rows of a state."""
        database = Database(f"sqlite:///{self.folder / 'ours.db'}")
        with database.read() as connection:
            found = [int(row.id) for row in feeds.list_quarantine(connection, state)]
        database.close()
        return found

    def correct_mapping(self) -> None:
        """Teach the mapping the status that it did not know."""
        path = self.folder / "mappings" / "hr.toml"
        path.write_text(path.read_text(encoding="utf-8") + 'Aktiv = "active"\n', encoding="utf-8")

    def phones(self) -> dict[str, str]:
        """Give who has which number; fails when one was given twice."""
        owners = self.tenant.owners()
        assert all(len(users) == 1 for users in owners.values())
        assert self.tenant.double_owners == 0
        return {users[0]: number for number, users in owners.items()}

    def writes(self) -> Counter[str]:
        """Count the writes that had an effect, by kind."""
        return Counter(name for name, _ in self.tenant.writes())

    def _told(self, story: Callable[[InProcess], dict[str, Any]]) -> dict[str, Any]:
        with working_on(self.tenant.systems()):
            return story(InProcess())


def site_of(folder: Path) -> FlowSite:
    """Give a site with six users whose licences work at once, at the present moment."""
    return FlowSite(folder, FakeTenant(FakeClock(datetime.now(UTC)), 6, licence_delay_s=0))
