"""The lab's ActiveDirectory cmdlets: finding accounts and writing attributes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.posh_values import Value
from tests.fakes.script_runner import ScriptRunner


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ScriptRunner]:
    """Give a runspace without a Teams connection; the directory needs none."""
    runner = ScriptRunner(tmp_path, users=24, connected=False)
    yield runner
    runner.parts.calls.close()


@pytest.fixture
def sam(run: ScriptRunner) -> str:
    """Name an account that has telephone attributes."""
    return next(row.sam_account_name for row in run.tenant.ad_users.values() if "ipPhone" in row.attributes)


def attributes(run: ScriptRunner, sam: str) -> dict[str, str]:
    """Read the attributes the tenant keeps."""
    return dict(run.tenant.ad_users[sam.casefold()].attributes)


def test_identity_gives_default_and_wanted_properties(run: ScriptRunner, sam: str) -> None:
    """Without -Properties the telephone attributes are not there; with it they are, under the name asked for."""
    (plain,), (full,) = (
        run("param($I, $P) Get-ADUser $I -Properties $P", sam, wanted) for wanted in ([], ["ipPhone", "OfficePhone"])
    )
    assert isinstance(plain, dict)
    assert isinstance(full, dict)
    assert "ipPhone" not in plain
    assert plain["SamAccountName"] == sam
    assert (full["ipPhone"], full["OfficePhone"]) == (
        attributes(run, sam)["ipPhone"],
        attributes(run, sam)["telephoneNumber"],
    )


def test_unknown_identity_ends_the_statement(run: ScriptRunner) -> None:
    """An identity that does not exist is a terminating error, whatever -ErrorAction says."""
    assert run("try { Get-ADUser nobody -ErrorAction SilentlyContinue } catch { $_.CategoryInfo.Category }") == [
        "ObjectNotFound"
    ]
    run("Get-ADUser nobody; 'on'")
    wanted = "ActiveDirectoryCmdlet:Microsoft.ActiveDirectory.Management.ADIdentityNotFoundException"
    assert run.error_ids[0].startswith(wanted)


@pytest.mark.parametrize("form", ["SamAccountName", "DistinguishedName", "ObjectGUID"])
def test_identity_takes_every_form(run: ScriptRunner, sam: str, form: str) -> None:
    """An account is found by name, distinguished name and GUID."""
    text = f"param($I) $u = Get-ADUser $I; (Get-ADUser -Identity $u.{form}).SamAccountName"
    assert run(text, sam) == [sam]


@pytest.mark.parametrize(
    "text",
    [
        "SamAccountName -eq '{sam}'",
        'SamAccountName -eq "{sam}" -and Enabled -eq $true',
        "ipPhone -like '*' -and SamAccountName -like '{sam}'",
        "-not (SamAccountName -ne '{sam}')",
        "SamAccountName -eq 'nobody' -or samaccountname -eq '{sam}'",
    ],
)
def test_filter_finds(run: ScriptRunner, sam: str, text: str) -> None:
    """The documented operators and connectives find the account."""
    assert run("param($F) (Get-ADUser -Filter $F).SamAccountName", text.format(sam=sam)) == [sam]


def test_filter_without_a_match_is_empty_and_no_error(run: ScriptRunner) -> None:
    """A filter that finds nothing says nothing."""
    assert run("Get-ADUser -Filter \"SamAccountName -eq 'nobody'\"") == []
    assert run.errors == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(sAMAccountName={sam})", True),
        ("(&(objectClass=user)(ipPhone=*)(sAMAccountName={sam}))", True),
        ("(|(sAMAccountName=nobody)(!(sAMAccountName=*)))", False),
        ("(sAMAccountName={sam}\\2a)", False),
    ],
)
def test_ldap_filter(run: ScriptRunner, sam: str, text: str, *, found: bool) -> None:
    """Equality, presence and connectives work, escapes are literal."""
    assert run("param($F) (Get-ADUser -LDAPFilter $F).SamAccountName", text.format(sam=sam)) == ([sam] if found else [])


@pytest.mark.parametrize("text", ["Nonsense -eq 1", "SamAccountName -eq", "SamAccountName -regex 'x'", "'"])
def test_bad_filters_are_refused(run: ScriptRunner, text: str) -> None:
    """A broken filter is an error, not everybody."""
    assert run("param($F) Get-ADUser -Filter $F", text) == []
    assert len(run.errors) == 1


def test_writes_apply_in_the_documented_order(run: ScriptRunner, sam: str) -> None:
    """Remove comes before Add, Add before Replace, Replace before Clear."""
    run("param($I) Set-ADUser $I -Replace @{ ipPhone = '1'; homePhone = '+43 1' } -Clear homePhone, mobile", sam)
    assert run.errors == []
    found = attributes(run, sam)
    assert found["ipPhone"] == "1"
    assert "homePhone" not in found
    assert "mobile" not in found
    run("param($I) Set-ADUser $I -Remove @{ ipPhone = '1' } -Add @{ ipPhone = '2' }", sam)
    assert attributes(run, sam)["ipPhone"] == "2"


def test_direct_parameters_write_ldap_names(run: ScriptRunner, sam: str) -> None:
    """OfficePhone, MobilePhone and HomePhone are the attributes telephoneNumber, mobile and homePhone."""
    run("param($I) Set-ADUser $I -OfficePhone '+1' -MobilePhone '+2' -HomePhone '+3'", sam)
    found = attributes(run, sam)
    assert (found["telephoneNumber"], found["mobile"], found["homePhone"]) == ("+1", "+2", "+3")
    effects = run.parts.calls.since(0)[-1]["effects"]
    assert isinstance(effects, list)
    assert {effect["object"] for effect in effects} == {f"ad:{sam}"}


@pytest.mark.parametrize(
    "parameters",
    [
        "-Replace @{ ipPhone = '' }",
        "-Replace @{ ipPhone = $null }",
        "-Replace @{ noSuchAttribute = 'x' }",
        "-Replace @{ ipPhone = 'a', 'b' }",
        "-Add @{ ipPhone = 'second' }",
        "-Remove @{ ipPhone = 'other' }",
        "-Clear noSuchAttribute",
    ],
)
def test_wrong_writes_change_nothing(run: ScriptRunner, sam: str, parameters: str) -> None:
    """Empty and unknown values are errors, and nothing of the call is done."""
    before = attributes(run, sam)
    run(f"param($I) Set-ADUser $I -OfficePhone '+9' {parameters}", sam)
    assert len(run.errors) == 1
    assert attributes(run, sam) == before


def test_hostile_values_are_stored_as_they_are(run: ScriptRunner, sam: str) -> None:
    """A value is data whatever it looks like."""
    hostile: Value = "'; $(1) -or 1 -eq 1 \" ` #"
    run("param($I, $V) Set-ADUser -Identity $I -Replace @{ ipPhone = $V }", sam, hostile)
    assert attributes(run, sam)["ipPhone"] == hostile
    assert run("param($F) Get-ADUser -Filter $F", "ipPhone -eq '''; $(1) -or 1 -eq 1 \" ` #'") != []


def test_domain(run: ScriptRunner) -> None:
    """The domain is the tenant's."""
    assert run("(Get-ADDomain).DistinguishedName") == ["DC=contoso,DC=example"]
