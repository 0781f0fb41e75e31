"""Users of the Skype for Business Server over its own endpoint: reading, moving, lines, and what failures mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.errors import AlreadyThere, Invalid, NotFound, Unsupported
from connectors.quoting import ldap_any_of
from connectors.skype import MoveOptions, SkypeServer
from lab.catalogue import E5
from lab.records import User
from lab.server import Lab
from lab.settings import Settings
from lab.skype_records import Forwarding
from tests.fakes.shell_site import endpoint_of, shell_of

ONLINE = "sipfed.online.lync.com"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run one lab with everybody on the servers."""
    settings = Settings()
    settings.change({"hybrid_share": 0.9})
    with Lab(folder=tmp_path_factory.mktemp("skype"), users=20, seed=4, settings=settings) as running:
        yield running


@pytest.fixture
def server(lab: Lab) -> Iterator[SkypeServer]:
    """Give the connector, with an administrator of another domain."""
    options = MoveOptions(
        tenant_admin="a@contoso.example", hosted_migration_url="https://admin1a.online.lync.com/x.svc"
    )
    with SkypeServer(shell_of(endpoint_of(lab.endpoints, "ocs_powershell")), options) as opened:
        yield opened


def licensed(lab: Lab, place: int) -> User:
    """Give a user of the servers who has a line and may be moved."""
    sam = sorted(name for name, user in lab.tenant.skype.items() if user.enterprise_voice)[place]
    user = lab.tenant.users[lab.tenant.by_sam[sam]]
    lab.tenant.change_licences(user.id, add={E5: ()}, remove=[])
    return user


def moves(lab: Lab) -> list[dict[str, Any]]:
    """Give the calls of Move-CsUser."""
    return [call for call in lab.calls.since() if call["operation"] == "Move-CsUser"]


def test_users_are_read_by_account_and_by_address(lab: Lab, server: SkypeServer) -> None:
    """Whatever the case of the name; home, line and voice are there, and nobody is made up."""
    user = licensed(lab, 0)
    sam = str(user.text("onPremisesSamAccountName"))
    found = server.users([sam.upper(), "nobody"])
    assert list(found) == [sam.upper()]
    read = found[sam.upper()]
    assert read == server.user(read.sip_address)
    assert (read.sip_address, read.is_on_premises, read.is_enterprise_voice_enabled) == (user.upn.lower(), True, True)
    assert (read.line_uri or "").startswith("tel:+")
    assert server.user("nobody@contoso.example") is None


def test_everybody_is_read_as_they_come(lab: Lab, server: SkypeServer) -> None:
    """A stream of every enabled user, none twice."""
    names = [user.sip_address for user in server.everybody(deadline_s=20)]
    assert len(names) == len(set(names)) == len(lab.tenant.skype)


def test_the_server_tells_its_build_and_where_the_cloud_is(server: SkypeServer) -> None:
    """The four numbers are read out of the sentence, and the hosting provider is asked once."""
    assert server.server_build() == "7.0.2046.524"
    assert (server.cloud_host(), server.cloud_host()) == (ONLINE, ONLINE)


def test_call_forwarding_is_read_from_one_front_end(lab: Lab, server: SkypeServer) -> None:
    """M99: where calls go is read by address, and each pool has three front ends that may answer."""
    user = licensed(lab, 1)
    sam = str(user.text("onPremisesSamAccountName")).casefold()
    address = lab.tenant.skype[sam].sip_address.casefold().removeprefix("sip:")
    forwarding = Forwarding(ringing="tel:+431", unanswered="sip:desk@contoso.example")
    lab.tenant.forwarding[sam] = [(lab.tenant.clock.now(), forwarding)]
    assert server.call_forwarding(address).text == "rings too tel:+431, unanswered to sip:desk@contoso.example"
    assert server.front_ends() == dict.fromkeys(server.pools(), 3)
    with pytest.raises(NotFound):
        server.call_forwarding("nobody@contoso.example")


def test_servers_without_the_cmdlet_say_what_to_do(lab: Lab) -> None:
    """A host that does not know the cmdlet is refused with the version it needs and the setting that leaves it out."""
    lab.tenant.settings.change({"jea_commands": ["Get-CsUser"]})
    limited = replace(endpoint_of(lab.endpoints), configuration_name="VoiceOperators")
    remedy = r"2019 CU1 ; set cache\.forwarding_users to 0"
    with SkypeServer(shell_of(limited)) as elsewhere, pytest.raises(Unsupported, match=remedy):
        elsewhere.call_forwarding("anybody@contoso.example")


def test_a_user_is_moved_and_back_with_the_options_of_the_site(lab: Lab, server: SkypeServer) -> None:
    """The migration service and the administrator are sent; a second move says that the user is there already."""
    address = licensed(lab, 1).upn.lower()
    before = server.user(address)
    assert before is not None
    assert before.home is not None
    server.move_user(address, ONLINE)
    sent = moves(lab)[-1]["parameters"]
    assert (sent["TenantAdminUserName"], sent["Target"]) == ("a@contoso.example", ONLINE)
    moved = server.user(address)
    assert moved is not None
    assert moved.home == ONLINE
    with pytest.raises(AlreadyThere, match="already homed"):
        server.move_user(address, ONLINE)
    server.move_user(address, before.home)
    assert server.user(address) == before


def test_a_refused_move_says_why(lab: Lab, server: SkypeServer) -> None:
    """A user without a licence is refused with the server's words."""
    user = licensed(lab, 2)
    lab.tenant.change_licences(user.id, add={}, remove=[held.sku_id for held in user.licences])
    with pytest.raises(Invalid, match="is not licensed"):
        server.move_user(user.upn.lower(), ONLINE)


def test_a_line_is_cleared_and_set_again(lab: Lab, server: SkypeServer) -> None:
    """An empty text clears the line; what was there can be set again."""
    address = licensed(lab, 3).upn.lower()
    before = server.user(address)
    assert before is not None
    server.set_line_uri(address, None)
    cleared = server.user(address)
    assert cleared is not None
    assert cleared.line_uri is None
    server.set_line_uri(address, before.line_uri)
    assert server.user(address) == before


def test_voice_is_switched(lab: Lab, server: SkypeServer) -> None:
    """Enterprise Voice of the server goes off and on."""
    address = licensed(lab, 4).upn.lower()
    for wanted in (False, True):
        server.switch_on_premises_voice(address, enabled=wanted)
        found = server.user(address)
        assert found is not None
        assert found.is_enterprise_voice_enabled is wanted


def test_a_name_cannot_break_out_of_its_filter() -> None:
    """Parentheses, stars and backslashes of a name are escaped (RFC 4515)."""
    assert ldap_any_of("sAMAccountName", ["a*)(x\\"]) == "(|(sAMAccountName=a\\2a\\29\\28x\\5c))"
