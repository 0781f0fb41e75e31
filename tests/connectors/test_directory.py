"""The directory connector: what it asks Active Directory and what it makes of the answers."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from connectors.directory import Directory
from connectors.errors import Ambiguous, Invalid, NotAllowed, NotFound, Unreachable
from connectors.shell_sessions import SessionLostError
from datasets.phone_attributes import PhoneAttributes
from datasets.users import AdUser
from tests.fakes.shell_host import Answer, FakeHost

ADA: dict[str, JsonValue] = {
    "SamAccountName": "Ada",
    "UserPrincipalName": "ada@example.com",
    "telephonenumber": "+4311",
    "ipPhone": None,
    "mobile": "",
    "msRTCSIP-Line": "tel:+4311",
    "EmployeeID": "007",
}


def test_user_is_read_whatever_the_case_of_names() -> None:
    """Account and property names have no case; absent and empty attributes are None."""
    host = FakeHost([Answer([ADA])])
    assert Directory(host.shell()).user("ADA") == AdUser(
        sam_account_name="Ada",
        user_principal_name="ada@example.com",
        telephone_number="+4311",
        msrtcsip_line="tel:+4311",
        employee_id="007",
    )
    assert host.sent().parameters["Filter"] == "SamAccountName -eq 'ADA'"


def test_unknown_user_is_none() -> None:
    """A filter without a match gives nothing."""
    assert Directory(FakeHost().shell()).user("nobody") is None


def test_many_users_are_asked_for_in_few_filters() -> None:
    """Fifty-one names, one of them given twice, take three questions."""
    host = FakeHost()
    Directory(host.shell()).users([*(f"u{n}" for n in range(50)), "ada", "ada"])
    assert [str(call.parameters["Filter"]).count("-eq") for _, call in host.calls] == [20, 20, 11]


def test_users_are_keyed_as_they_were_asked_for() -> None:
    """The key is the spelling of the caller, not of the directory."""
    assert list(Directory(FakeHost([Answer([ADA])]).shell()).users(["aDA", "bob"])) == ["aDA"]


def test_employee_id_is_a_literal() -> None:
    """Text in a filter cannot end its literal."""
    host = FakeHost([Answer([ADA])])
    assert len(Directory(host.shell()).find_by_employee_id("0' -or Name -like '*")) == 1
    assert host.sent().parameters["Filter"] == "employeeID -eq '0'' -or Name -like ''*'"


def test_everybody_is_streamed() -> None:
    """A read of all users gives them one by one."""
    host = FakeHost([Answer([ADA, ADA | {"SamAccountName": "bob"}])])
    assert [user.sam_account_name for user in Directory(host.shell()).everybody(deadline_s=60)] == ["Ada", "bob"]
    assert host.sent().parameters["Filter"] == "*"


def test_values_are_replaced_and_none_clears() -> None:
    """The directory refuses to replace with nothing, so None and empty text are cleared."""
    host = FakeHost([Answer([{"key": "ada", "ok": True}])])
    Directory(host.shell()).write_phone_attributes("ada", {"telephoneNumber": "+4312", "ipPhone": None})
    assert host.sent().parameters == {
        "Rows": [
            {
                "key": "ada",
                "parameters": {"Identity": "ada", "Replace": {"telephoneNumber": "+4312"}, "Clear": ["ipPhone"]},
            }
        ]
    }


@pytest.mark.parametrize("attribute", ["msRTCSIP-Line", "mobile", "description"])
def test_other_attributes_are_never_written(attribute: str) -> None:
    """Above all the on-premises number, which would take the number away from the cloud."""
    host = FakeHost()
    with pytest.raises(Invalid, match="telephoneNumber and ipPhone"):
        Directory(host.shell()).write_phone_attributes("ada", {attribute: "x"})
    assert not host.calls


def test_row_without_attributes_is_refused() -> None:
    """A row that names no attribute would write nothing and seem to have succeeded."""
    with pytest.raises(Invalid, match="no attribute"):
        Directory(FakeHost().shell()).set_phone_attributes([PhoneAttributes(sam_account_name="ada", attributes={})])


def test_each_row_has_its_outcome() -> None:
    """One unknown user does not spoil the others, and the order is that of the rows."""
    answers: list[JsonValue] = [
        {"key": "bob", "ok": False, "message": "Cannot find an object", "reason": "ADIdentityNotFoundException"},
        {"key": "ada", "ok": True},
    ]
    directory = Directory(FakeHost([Answer(answers)]).shell())
    ada, bob = directory.set_phone_attributes([row("ada"), row("bob")])
    assert ada.ok
    assert isinstance(bob.error, NotFound)


def test_lost_write_of_one_user_is_ambiguous() -> None:
    """A reply that got lost is a doubt, not a failure."""
    host = FakeHost([Answer(error=SessionLostError("gone", sent=True), breaks=True)])
    with pytest.raises(Ambiguous):
        Directory(host.shell()).write_phone_attributes("ada", {"ipPhone": "11"})
    assert len(host.calls) == 1


def test_probe_says_what_to_do() -> None:
    """A working endpoint is one good finding; a failing one names its own remedy, or else what usually helps."""
    (good,) = Directory(FakeHost().shell()).probe()
    (refused,) = Directory(FakeHost(opening=[NotAllowed("sign-in to host failed")]).shell()).probe()
    (reasoned,) = Directory(FakeHost(opening=[NotAllowed("not trusted ; set ca_bundle")]).shell()).probe()
    (down,) = Directory(FakeHost(opening=[Unreachable("no answer")] * 2).shell()).probe()
    assert (good.ok, refused.ok, reasoned.ok, down.ok) == (True, False, False, False)
    assert reasoned.fix == "set ca_bundle"
    assert "password" in refused.fix
    assert "firewall" in down.fix


def row(name: str) -> PhoneAttributes:
    """Make a row that sets one attribute."""
    return PhoneAttributes(sam_account_name=name, attributes={"telephoneNumber": "+4311"})
