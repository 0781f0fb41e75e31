"""Tenant behaviour as an unmodified pypsrp client sees it: types, secure strings, dictionaries, nested objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypsrp.complex_objects import GenericComplexObject, ObjectMeta
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

from lab.server import Lab
from lab.settings import Settings
from tests.fakes.script_runner import FREE

APPLICATION = "5c1de2ab-0c4f-4b6c-8b7e-6f6ce1d0f001"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run a hybrid lab for all tests of the file."""
    settings = Settings(module_version="8.0.0", hybrid_share=0.5)
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=24, seed=1, settings=settings) as running:
        yield running


def pool(lab: Lab, name: str) -> RunspacePool:
    """Open a pool at one of the two addresses."""
    place: Any = lab.endpoints[name]
    password = Path(place["password_file"]).read_text().strip()
    wsman = WSMan(
        place["server"],
        port=place["port"],
        path=place["path"],
        ssl=True,
        auth="basic",
        username=place["username"],
        password=password,
        cert_validation=str(lab.endpoints["ca_bundle"]),
    )
    return RunspacePool(wsman)


@pytest.fixture(scope="module")
def teams(lab: Lab) -> Iterator[RunspacePool]:
    """Open a pool that is connected to Teams."""
    with pool(lab, "powershell") as opened:
        call(opened, "Connect-MicrosoftTeams", **_application())
        yield opened


def _application() -> dict[str, object]:
    thumbprint = "A1" * 20
    return {"TenantId": "contoso.example", "ApplicationId": APPLICATION, "CertificateThumbprint": thumbprint}


def call(opened: RunspacePool, cmdlet: str, **parameters: object) -> list[Any]:
    """Run one cmdlet with parameters; its errors fail the test."""
    with PowerShell(opened) as shell:
        shell.add_cmdlet(cmdlet)
        for name, value in parameters.items():
            shell.add_parameter(name, value)
        found: list[Any] = shell.invoke()
        assert [str(error) for error in shell.streams.error] == []
        return found


def props(item: GenericComplexObject) -> dict[str, Any]:
    """Read an object whichever way its properties travelled."""
    return {**item.adapted_properties, **item.extended_properties}


def test_an_upload_by_file_is_reported_as_a_dictionary(lab: Lab, teams: RunspacePool) -> None:
    """Bytes go in, an order id comes out, its report is a table of names and values."""
    content = b"TelephoneNumber\n+431934655001\n+431934655002\n"
    (order,) = call(teams, "New-CsOnlineDirectRoutingTelephoneNumberUploadOrder", FileContent=content)
    kind = "DirectRoutingNumberCreation"
    (report,) = call(teams, "Get-CsOnlineTelephoneNumberOrder", OrderId=order, OrderType=kind)
    assert (report["Status"], report["SuccessCount"]) == ("Success", 2)
    assert "+431934655002" in lab.tenant.numbers


def test_usages_change_by_a_hashtable_with_one_key(teams: RunspacePool) -> None:
    """A dictionary with one key is a change of a list."""
    call(teams, "Set-CsOnlinePstnUsage", Identity="Global", Usage={"Add": ["Over the wire"]})
    (found,) = call(teams, "Get-CsOnlinePstnUsage")
    assert props(found)["Usage"][-1] == "Over the wire"


def test_a_rule_that_travelled_is_no_rule(lab: Lab, teams: RunspacePool) -> None:
    """An in-memory rule that came to the client and went back is refused; in one script it works."""
    (rule,) = call(teams, "New-CsVoiceNormalizationRule", Parent="P", Name="a", InMemory=True)
    with PowerShell(teams) as shell:
        shell.add_cmdlet("New-CsTenantDialPlan").add_parameters({"Identity": "Wire", "NormalizationRules": [rule]})
        shell.invoke()
        assert "NormalizationRule" in str(shell.streams.error[0])
    with PowerShell(teams) as shell:
        shell.add_script(
            "$r = New-CsVoiceNormalizationRule -Parent Wire -Name a -InMemory; "
            "New-CsTenantDialPlan -Identity Wire -NormalizationRules $r | Out-Null"
        )
        shell.invoke()
        assert shell.streams.error == []
    assert lab.tenant.find_policy("TenantDialPlan", "Wire") is not None


def test_a_batch_comes_back_with_its_users(lab: Lab, teams: RunspacePool) -> None:
    """Operation and per-user states are nested objects."""
    ids = [user.id for user in list(lab.tenant.users.values())[:3]]
    parameters = {"PolicyType": "TeamsCallingPolicy", "PolicyName": "Frontline", "Identity": [*ids, "nobody"]}
    (operation,) = call(teams, "New-CsBatchPolicyAssignmentOperation", **parameters)
    (found,) = call(teams, "Get-CsBatchPolicyAssignmentOperation", OperationId=operation)
    results = [props(row)["Result"] for row in props(found)["UserState"]]
    assert results == ["Success", "Success", "Success", "User not found"]


def test_a_pin_travels_as_a_secure_string(lab: Lab) -> None:
    """At `/OcsPowershell` a plain cmdlet takes a SecureString after a key exchange; the log has no PIN."""
    user = next(iter(lab.tenant.skype.values()))
    with pool(lab, "ocs_powershell") as opened:
        opened.exchange_keys()
        call(
            opened,
            "Set-CsClientPin",
            Identity=user.sip_address,
            Pin=opened.serialize("739154", metadata=ObjectMeta("SS")),
        )
        (info,) = call(opened, "Get-CsClientPinInfo", Identity=user.sip_address)
    assert props(info)["IsPinSet"] is True
    assert "739154" not in json.dumps(lab.calls.since(0), default=str)


def test_numbers_and_users_keep_their_types(lab: Lab, teams: RunspacePool) -> None:
    """Flags are booleans, lists are lists, and a hybrid user is shown as one."""
    (number,) = call(teams, "Get-CsPhoneNumberAssignment", TelephoneNumber=FREE)
    assert props(number)["LocationUpdateSupported"] is True
    assert "UserAssignment" in props(number)["Capability"]
    user = next(iter(lab.tenant.skype.values()))
    (shown,) = call(teams, "Get-CsOnlineUser", Identity=user.sip_address)
    assert (props(shown)["AccountType"], props(shown)["OnPremHostingProvider"]) == ("SfBOnPremUser", "SRV:")
