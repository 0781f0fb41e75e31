"""On-premises users: reading, enabling, lines, policies, moving, disabling, and what the cloud sees of it."""

from __future__ import annotations

from typing import Any

import pytest

from lab.catalogue import E3, E5
from lab.hybrid import adopt
from lab.records import User, Voice
from lab.skype_records import SkypeUser
from tests.fakes.script_runner import FREE, ScriptRunner, last_call

CLOUD = "sipfed.online.lync.com"
MOVE = f"param($I) Move-CsUser -Identity $I -Target {CLOUD} -Confirm:$false"
ASSIGN = "param($I, $N) Set-CsPhoneNumberAssignment -Identity $I -TelephoneNumber $N -NumberType DirectRouting"


def one(run: ScriptRunner, text: str, *arguments: object) -> dict[str, Any]:
    """Run a script with one object as its output."""
    (found,) = run(text, *arguments)
    assert isinstance(found, dict)
    assert run.errors == []
    return found


def homed(run: ScriptRunner, *, voice: bool = True) -> tuple[SkypeUser, User]:
    """Give a user who is homed on premises, with or without Enterprise Voice, and the account in the cloud."""
    for user in run.tenant.skype.values():
        account = run.tenant.users[run.tenant.by_sam[user.sam]]
        if user.enterprise_voice == voice and account.text("usageLocation"):
            run.tenant.change_licences(account.id, remove=[held.sku_id for held in account.licences])
            return user, run.tenant.users[account.id]
    raise AssertionError


def connect(run: ScriptRunner) -> None:
    """Let the runspace speak to the cloud too."""
    way = "-ApplicationId 5c1de2ab-0c4f-4b6c-8b7e-6f6ce1d0f001 -CertificateThumbprint " + "A1" * 20
    run(f"Connect-MicrosoftTeams -TenantId contoso.example {way} | Out-Null")


def test_a_hybrid_estate_has_its_share(skype: ScriptRunner) -> None:
    """Half of the people are on premises, three in five with a line that the cloud shows as its own kind."""
    assert len(skype.tenant.skype) == 12
    lines = [n for n in skype.tenant.numbers.values() if n.source == "onPremises"]
    assert len(lines) >= 8
    assert len(skype("Get-CsUser")) == 12
    assert len(skype("Get-CsAdUser")) == len(skype.tenant.ad_users)


@pytest.mark.parametrize("form", ["{sip}", "{upn}", "CONTOSO\\{sam}", "{dn}", "{name}", "{sam}"])
def test_every_form_of_an_identity_works(skype: ScriptRunner, form: str) -> None:
    """SIP address, UPN, domain and logon, distinguished and display name find the user."""
    user, account = homed(skype)
    row = skype.tenant.ad_users[user.sam]
    skype.tenant.set_ad_user(user.sam, {"displayName": "Only One"})
    text = form.format(sip=user.sip_address, upn=account.upn, sam=user.sam, dn=row.distinguished_name, name="Only One")
    found = one(skype, "param($I) Get-CsUser -Identity $I", text)
    assert (found["SipAddress"], found["HostingProvider"]) == (user.sip_address, "SRV:")


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ("-Filter {EnterpriseVoiceEnabled -eq $true}", 8),
        ("-Filter \"LineURI -like 'tel:*' -and HostingProvider -eq 'SRV:'\"", 8),
        ("-ResultSize 3", 3),
        ("-OU 'OU=People,DC=contoso,DC=example'", 12),
        ("-LdapFilter '(msRTCSIP-Line=*)'", 8),
    ],
)
def test_users_are_filtered(skype: ScriptRunner, parameters: str, count: int) -> None:
    """Filters over the server's and the directory's attributes, units and sizes."""
    parameters = parameters.replace("{", "'").replace("}", "'") if "{" in parameters else parameters
    assert len(skype(f"Get-CsUser {parameters}")) == count
    assert skype.errors == []


def test_enabling_and_disabling(skype: ScriptRunner) -> None:
    """An account is enabled once, shows up, and is as before when disabled; the account stays."""
    sam = next(sam for sam in skype.tenant.ad_users if sam not in skype.tenant.skype)
    enable = f"Enable-CsUser -Identity {sam} -RegistrarPool pool1.contoso.example "
    skype(enable + "-SipAddressType SamAccountName")
    assert "SipDomain" in skype.errors[0].message
    found = one(skype, enable + "-SipAddressType SamAccountName -SipDomain contoso.example -PassThru")
    assert found["SipAddress"] == f"sip:{skype.tenant.ad_users[sam].sam_account_name}@contoso.example"
    assert skype.tenant.voice(skype.tenant.by_sam[sam]).homed_on_premises
    skype(enable + "-SipAddress sip:x@contoso.example")
    assert "already enabled" in skype.errors[0].message
    skype(f"Grant-CsVoicePolicy -Identity {sam} -PolicyName tag:International; Disable-CsUser -Identity {sam}")
    assert sam not in skype.tenant.skype
    assert not any(name.startswith("msRTCSIP") for name in skype.tenant.ad_users[sam].attributes)
    skype(f"Get-CsUser -Identity {sam}")
    assert skype.error_ids[0].startswith("ManagementObjectNotFound,")


@pytest.mark.parametrize(
    "text",
    [
        "Enable-CsUser -Identity nobody -SipAddress sip:a@b.example -RegistrarPool pool1.contoso.example",
        "Enable-CsUser -Identity {free} -SipAddress a@b.example -RegistrarPool pool1.contoso.example",
        "Enable-CsUser -Identity {free} -SipAddress sip:a@b.example -RegistrarPool pool9.contoso.example",
        "Enable-CsUser -Identity {free} -SipAddress {taken} -RegistrarPool pool1.contoso.example",
        "Enable-CsUser -Identity {free} -RegistrarPool pool1.contoso.example",
        "Set-CsUser -Identity {user} -LineURI +431",
        "Set-CsUser -Identity {user} -LineURI {line}",
        "Grant-CsVoicePolicy -Identity {user} -PolicyName Nope",
        'Get-CsUser -Filter "Nonsense -eq 1"',
    ],
)
def test_wrong_calls_are_refused(skype: ScriptRunner, text: str) -> None:
    """Unknown people and pools, taken addresses and lines, missing parameters: refused without an effect."""
    users = list(skype.tenant.skype.values())
    free = next(sam for sam in skype.tenant.ad_users if sam not in skype.tenant.skype)
    lines = [str(skype.tenant.ad_users[u.sam].attributes.get("msRTCSIP-Line")) for u in users if u.enterprise_voice]
    other = next(u for u in users if not u.enterprise_voice)
    skype(text.format(free=free, taken=users[0].sip_address, user=other.sip_address, line=lines[0]))
    assert len(skype.errors) == 1
    assert all(call["effects"] == [] for call in skype.parts.calls.since(0))


def test_an_extension_makes_another_line(skype: ScriptRunner) -> None:
    """The same base with an extension is no duplicate."""
    user, _ = homed(skype)
    other, _ = homed(skype, voice=False)
    line = skype.tenant.ad_users[user.sam].attributes["msRTCSIP-Line"]
    skype("param($I, $L) Set-CsUser $I -LineURI $L -EnterpriseVoiceEnabled $true", other.sip_address, f"{line};ext=7")
    assert skype.errors == []
    attributes = {effect["attribute"] for effect in last_call(skype)["effects"]}
    assert attributes == {"enterprise_voice", "msRTCSIP-Line"}


def test_a_policy_both_sides_have_goes_where_one_is_connected(skype: ScriptRunner) -> None:
    """ExternalAccessPolicy is granted on premises until the runspace is connected to Teams."""
    user, account = homed(skype)
    text = f"Grant-CsExternalAccessPolicy -Identity {account.upn} -PolicyName Federation-Only"
    skype(text)
    assert skype.tenant.skype[user.sam].policies["ExternalAccessPolicy"] == "Federation-Only"
    connect(skype)
    skype(text)
    assert skype.tenant.voice(account.id).policies["ExternalAccessPolicy"] == "Federation-Only"


# Moving


def test_a_moved_user_is_online_and_the_line_still_blocks(skype: ScriptRunner) -> None:
    """After the move: TeamsOnly, homed online; a number only after the local line was cleared and synchronised."""
    user, account = homed(skype)
    skype.tenant.assign_licence(account.id, E5)
    skype.parts.settings.directory_sync_delay_s = 1800
    skype(MOVE, user.sip_address)
    assert skype.errors == []
    assert one(skype, "param($I) Get-CsUser $I", account.upn)["HostingProvider"] == CLOUD
    connect(skype)
    shown = one(skype, "param($I) Get-CsOnlineUser $I", account.id)
    assert shown["TeamsUpgradeEffectiveMode"] == "TeamsOnly"
    assert shown["InterpretedUserType"] == "DirSyncEnabledOnlineTeamsOnlyUser"
    assert shown["EnterpriseVoiceEnabled"] is True
    skype(ASSIGN, account.id, FREE)
    assert "on-premises Active Directory" in skype.errors[0].message
    skype("param($I) Set-CsUser -Identity $I -LineURI $null", account.upn)
    skype(ASSIGN, account.id, FREE)
    assert len(skype.errors) == 1
    skype.parts.clock.advance(1800)
    skype(ASSIGN, account.id, FREE)
    assert skype.errors == []


@pytest.mark.parametrize(
    ("build", "module", "moves"),
    [
        ("7.0.2046.385", "7.4.0", True),
        ("7.0.2046.384", "7.4.0", False),
        ("6.0.9319.619", "7.4.0", True),
        ("6.0.9319.537", "7.4.0", False),
        ("6.0.10000.1", "7.4.0", True),
        ("5.0.8308.1182", "7.4.0", True),
        ("7.0.2046.524", "6.2.0", False),
    ],
)
def test_old_builds_may_not_move(skype: ScriptRunner, build: str, module: str, *, moves: bool) -> None:
    """Server and module must be new enough, compared as numbers; the refusal names both versions (M6)."""
    user, account = homed(skype)
    skype.tenant.assign_licence(account.id, E5)
    skype.parts.settings.skype_build, skype.parts.settings.module_version = build, module
    skype(MOVE, user.sip_address)
    assert (skype.errors == []) == moves
    assert (skype.tenant.skype[user.sam].provider == CLOUD) == moves


@pytest.mark.parametrize(
    ("licence", "more", "message"),
    [
        (None, "", "is not licensed"),
        (E3, "", "no Phone System licence"),
        (E3, " -BypassEnterpriseVoiceCheck", None),
        (E5, " -TenantAdminUserName admin@contoso.example", "HostedMigrationOverrideUrl"),
        (E5, " -TenantAdminUserName admin@contoso.onmicrosoft.com", None),
        (E5, " -MoveToTeams -BypassAudioConferencingCheck", None),
    ],
)
def test_moving_checks_licences_and_administrators(
    skype: ScriptRunner, licence: str | None, more: str, message: str | None
) -> None:
    """Teams, Skype and, with Enterprise Voice, Phone System; a foreign administrator needs the address."""
    user, account = homed(skype)
    if licence:
        skype.tenant.assign_licence(account.id, licence)
    skype(MOVE + more, user.sip_address)
    assert [message in error.message for error in skype.errors if message] == ([True] if message else [])
    assert (skype.tenant.skype[user.sam].provider == CLOUD) == (message is None)


def test_one_of_many_fails_to_move(skype: ScriptRunner) -> None:
    """A fault for one user's name stops that one only."""
    ready = []
    for user in list(skype.tenant.skype.values())[:4]:
        account = skype.tenant.users[skype.tenant.by_sam[user.sam]]
        skype.tenant.patch_user(account.id, {"usageLocation": "AT"}, forced=True)
        if not account.licences or account.licences[0].sku_id != E5:
            skype.tenant.assign_licence(account.id, E5)
        ready.append(user)
    skype.parts.faults.add({"name": "error", "match": {"operation": "Move-CsUser", "target": ready[1].sip_address}})
    skype(
        MOVE.replace("$I)", "$U)").replace(" Move", " foreach ($I in $U) { Move") + " }", [u.sip_address for u in ready]
    )
    assert len(skype.errors) == 1
    assert [skype.tenant.skype[u.sam].provider == CLOUD for u in ready] == [True, False, True, True]


def test_moving_back_and_between_pools(skype: ScriptRunner) -> None:
    """A user goes to the other pool and back from the cloud; the same target again is refused."""
    user, account = homed(skype)
    skype.tenant.assign_licence(account.id, E5)
    other = next(pool for pool in ("pool1.contoso.example", "pool2.contoso.example") if pool != user.pool)
    to_pool = "param($I, $P) Move-CsUser -Identity $I -Target $P -Confirm:$false"
    skype(to_pool, user.sip_address, other)
    skype(to_pool, user.sip_address, other)
    assert "already homed" in skype.errors[0].message
    skype(MOVE, user.sip_address)
    skype(to_pool, user.sip_address, other)
    assert skype.errors == []
    assert skype.tenant.voice(account.id).homed_on_premises


def test_people_of_a_loaded_tenant_are_adopted(teams: ScriptRunner) -> None:
    """Who is said to be homed on premises becomes a user of the servers, with Enterprise Voice when there is a line."""
    homes = [user for user in teams.tenant.users.values() if user.text("onPremisesSamAccountName")][:2]
    for user in homes:
        teams.tenant.put_voice(Voice(user.id, homed_on_premises=True))
    sam = str(homes[0].text("onPremisesSamAccountName"))
    teams.tenant.set_ad_user(sam, {"msRTCSIP-Line": "tel:+431934699998"})
    adopt(teams.tenant)
    assert [one(teams, f"Get-CsUser {user.upn}")["EnterpriseVoiceEnabled"] for user in homes] == [True, False]
