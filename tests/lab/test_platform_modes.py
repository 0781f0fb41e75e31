"""Every failure mode of the real platform by its name: unmodified clients meet it, and only while it plays."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import RunspacePool

from lab.catalogue import E5
from lab.fault_modes import MODES
from lab.records import User
from lab.server import Lab
from lab.settings import Settings
from tests.fakes.checkout import ROOT
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_people import ready
from tests.fakes.lab_shells import pool_at, run, teams_pool

QUOTA = 2150859173
ABROAD = "+4366412345"
FIRST_GATEWAY = "sbc-vienna.contoso.example"


@dataclass
class Site:
    """A lab with its stock clients: Graph over HTTPS, and PowerShell at both addresses."""

    lab: Lab
    graph: GraphClient
    teams: RunspacePool
    skype: RunspacePool
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(431934660001))

    def person(self) -> tuple[User, str]:
        """Give somebody who may have a number, and a free number."""
        tenant = self.lab.tenant
        (user,) = ready(tenant, 1, among=lambda one: not tenant.numbers_of.get(one.id))
        return user, f"+{next(self.numbers)}"

    def holder(self) -> tuple[User, str]:
        """Give somebody with a number."""
        user, number = self.person()
        assert self.assign(user.id, number) == ""
        return user, number

    def assign(self, identity: str, number: str) -> str:
        """Assign a number; gives the error's text, or that of an error object."""
        given = {"Identity": identity, "TelephoneNumber": number, "NumberType": "DirectRouting"}
        return run(self.teams, "Set-CsPhoneNumberAssignment", **given)[1]

    def user(self, identity: str) -> dict[str, Any]:
        """Read a person through the Teams module."""
        (found,), _ = run(self.teams, "Get-CsOnlineUser", Identity=identity)
        properties: dict[str, Any] = found.adapted_properties
        return properties

    def release(self, user: User) -> None:
        """Take a person's numbers."""
        assert run(self.teams, "Remove-CsPhoneNumberAssignment", Identity=user.id, RemoveAll=True)[1] == ""

    def owner(self, number: str) -> str | None:
        """Tell the id that a number belongs to, as Graph shows it."""
        row = self.graph.number(number)
        return row["assignmentTargetId"] if row else None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run one lab for the file: half of the people are on premises, and losing a licence releases nothing by itself."""
    settings = Settings(module_version="8.0.0", hybrid_share=0.5, shells_per_user=9, licence_loss_releases=False)
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(folder=tmp_path_factory.mktemp("lab"), users=400, seed=1, settings=settings))
        graph = stack.enter_context(GraphClient(lab))
        teams, skype = stack.enter_context(teams_pool(lab)), stack.enter_context(pool_at(lab, "ocs_powershell"))
        yield Site(lab, graph, teams, skype)


def error_object(site: Site) -> bool:
    """A refusal is an object among the output, and no error."""
    _, number = site.person()
    given = {"Identity": "nobody", "TelephoneNumber": number, "NumberType": "DirectRouting"}
    found, error = run(site.teams, "Set-CsPhoneNumberAssignment", **given)
    assert bool(found) != bool(error)
    return bool(found) and found[0].adapted_properties["Code"] == "NotFound"


def ghost_assignment(site: Site) -> bool:
    """A released number belongs to an id that nobody has."""
    user, number = site.holder()
    site.release(user)
    owner = site.owner(number)
    return owner is not None and site.graph.get(f"/users/{owner}").status_code == 404


def service_unavailable(site: Site) -> bool:
    """A call is refused with words that ask to try again, coded as a bad request."""
    user, number = site.person()
    return site.assign(user.id, number) == "Service is unavailable. Please try again"


def not_effective(site: Site) -> bool:
    """An assignment is accepted and there is no dial pad."""
    user, _ = site.holder()
    return site.user(user.id)["EnterpriseVoiceEnabled"] is False


def on_premises_number(site: Site) -> bool:
    """An assignment is refused because of a number of the local directory."""
    user, number = site.person()
    return "set in the on-premises Active Directory" in site.assign(user.id, number)


def line_left_behind(site: Site) -> bool:
    """After RemoveAll the on-premises line shows."""
    user, number = site.holder()
    site.release(user)
    return bool(site.user(user.id)["OnPremLineURI"] == f"tel:{number}")


def extension_clash(site: Site) -> bool:
    """The extension of somebody's number is taken."""
    _, number = site.holder()
    other, _ = site.person()
    return "has already been assigned" in site.assign(other.id, f"{number};ext=12")


def shell_quota(site: Site) -> bool:
    """No further shell of this user."""
    return "concurrent shells for this user has been exceeded" in opening(site)


def tenant_shell_quota(site: Site) -> bool:
    """No further shell of this tenant."""
    return "concurrent shells for this tenant has been exceeded" in opening(site)


def opening(site: Site) -> str:
    """Open one more shell; gives the fault's text."""
    try:
        with pool_at(site.lab, "powershell"):
            return ""
    except WSManFaultError as error:
        return str(error.reason) if error.code == QUOTA else f"another fault: {error}"


def licence_releases_number(site: Site) -> bool:
    """Taking the licence takes the number, and nothing says so."""
    user, number = site.holder()
    answer = site.graph.post(f"/users/{user.id}/assignLicense", {"addLicenses": [], "removeLicenses": [E5]})
    assert answer.status_code == 200
    return site.owner(number) is None


def move_fails(site: Site) -> bool:
    """Somebody does not move."""
    homed = next(user for user in site.lab.tenant.skype.values() if user.pool == "pool1.contoso.example")
    target = {"Identity": homed.sip_address, "Target": "pool2.contoso.example", "Confirm": False}
    return "Move failed" in run(site.skype, "Move-CsUser", **target)[1]


def held_by_deleted_user(site: Site) -> bool:
    """The number is a soft-deleted account's: no live account has it."""
    owner = taken(site)
    gone = f"/directory/deletedItems/{owner}"
    return bool(owner) and site.graph.get(gone).status_code == 200


def held_by_resource_account(site: Site) -> bool:
    """The number is a resource account's."""
    owner = taken(site)
    return bool(owner) and site.user(str(owner))["AccountType"] == "ResourceAccount"


def taken(site: Site) -> str | None:
    """Ask for a free number; gives who else turned out to have it."""
    user, number = site.person()
    refused = "has already been assigned to another user" in site.assign(user.id, number)
    assert refused != (site.owner(number) == user.id)
    return site.owner(number) if refused else None


def usage_overflow(site: Site) -> bool:
    """A call whose gateway is down goes to the next usage."""
    user, _ = site.holder()
    run(site.teams, "Grant-CsOnlineVoiceRoutingPolicy", Identity=user.id, PolicyName="Two")
    answer: Any = site.lab.control("POST", "/route", {"user": user.upn, "number": ABROAD})
    assert answer["tried"] == [FIRST_GATEWAY]
    return answer["gateway"] is not None


DRIVES: tuple[Callable[[Site], bool], ...] = (
    error_object,
    ghost_assignment,
    service_unavailable,
    not_effective,
    on_premises_number,
    line_left_behind,
    extension_clash,
    shell_quota,
    tenant_shell_quota,
    licence_releases_number,
    move_fails,
    held_by_deleted_user,
    held_by_resource_account,
    usage_overflow,
)


@pytest.fixture(scope="module")
def _routes(site: Site) -> None:
    """Give a policy two usages and take the gateway of the first."""
    usages = ["Vienna-National", "Berlin-National"]
    assert run(site.teams, "New-CsOnlineVoiceRoutingPolicy", Identity="Two", OnlinePstnUsages=usages)[1] == ""
    assert run(site.teams, "Set-CsOnlinePSTNGateway", Identity=FIRST_GATEWAY, Enabled=False)[1] == ""


@pytest.mark.usefixtures("_routes")
@pytest.mark.parametrize("drive", DRIVES, ids=lambda drive: drive.__name__)
def test_mode_shows_while_it_plays(site: Site, drive: Callable[[Site], bool]) -> None:
    """By name alone, over the control port: not before, while it is on, and not afterwards."""
    assert not drive(site)
    answer: Any = site.lab.control("POST", "/faults", {"name": drive.__name__})
    shown = drive(site)
    site.lab.control("DELETE", f"/faults/{answer['id']}")
    assert shown
    assert not drive(site)


def test_every_mode_is_driven_and_documented() -> None:
    """The modes of the lab are those of this file, and each has its line in the table of the page."""
    page = (ROOT / "docs" / "lab.md").read_text()
    table = page.partition("Modes of the real platform")[2].partition("\n\nThe rest")[0]
    assert {drive.__name__ for drive in DRIVES} == set(MODES) == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
