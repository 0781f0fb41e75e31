"""Preflight: every reason why a user cannot be moved, with its remedy; the others of the wave go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from config.errors import InputRefused
from connectors.database import Database
from connectors.errors import Invalid
from datasets.batches import BatchNumbers, BatchOptions
from datasets.builds import is_older, too_old_for
from datasets.hybrid import PHONE_SYSTEM_PLAN, SKYPE_ONLINE_PLAN_2, TEAMS_PLAN
from datasets.numbering import PhoneNumber
from datasets.preflight import Check, Examined
from engine import inventory
from engine.migration_plan import plan_wave
from engine.migration_terms import WaveTerms
from engine.plan import LineState
from engine.preflight import examine
from tests.fakes.checkout import text_of
from tests.fakes.migration_site import LINE, NUMBER, POLICIES, Deployment, deployment
from tests.fakes.tenant import SKU

KEEP = BatchOptions(policies=POLICIES)
HOME = BatchOptions(numbers=BatchNumbers.HOME)
RANGE = BatchOptions(numbers=BatchNumbers.NUMBER_RANGE, pool="vienna")
OLDEST = WaveTerms().oldest_builds
Spoil = Callable[[Deployment], object]


@pytest.fixture
def site(sqlite: Database) -> Deployment:
    """Give two users on the server with lines and one of the cloud; nothing stands in the way of anybody."""
    made = deployment(sqlite)
    made.skype.home("id-1", LINE)
    made.skype.home("id-2", "tel:+431234502")
    return made


def one(site: Deployment, options: BatchOptions = KEEP, user_id: str = "id-1") -> Examined:
    """Examine one user."""
    return site.examined(options, user_id)[0]


def server(site: Deployment, **values: object) -> None:
    """Change what the server says about the first user."""
    before = site.skype.people["user1@lab.test"]
    site.skype.people["user1@lab.test"] = before.model_copy(update=values)


def home(site: Deployment, text: str | None) -> None:
    """Set the home phone of the first user."""
    site.tenant.users["id-1"].home_phone = text


def reserved_home(site: Deployment) -> None:
    """Let somebody else have the number of the first user's home phone reserved."""
    home(site, "+431234507")
    with site.runtime.database.write() as connection:
        number, now = PhoneNumber.from_e164("+431234507"), site.runtime.now()
        inventory.reserve(connection, number, owner="person:9", reason="boss", until=now + timedelta(days=1), now=now)


def unreadable(site: Deployment) -> None:
    """Let Teams fail for the first user."""

    def fail(name: str, target: str) -> None:
        if name == "teams.voice_users" or (name, target) == ("teams.voice_user", "id-1"):
            raise Invalid("Service is unavailable for this user")

    site.tenant.before = fail


def delete(site: Deployment) -> None:
    """Delete the first user softly."""
    site.tenant.hybrid.deleted.append(site.tenant.users.pop("id-1"))


def purge(site: Deployment) -> None:
    """Delete the first user for good."""
    del site.tenant.users["id-1"]


def plans(site: Deployment, *plan_ids: str) -> None:
    """Leave the first user these service plans."""
    site.tenant.hybrid.plan_ids["id-1"] = plan_ids


def without_location(site: Deployment) -> None:
    """Take the usage location of the first user, who has no licence yet."""
    site.tenant.users["id-1"].usage_location = None
    site.tenant.users["id-1"].skus = ()


def no_units(site: Deployment) -> None:
    """Leave no licence for the first user."""
    site.tenant.users["id-1"].skus = ()
    site.tenant.hybrid.units = 2


LICENSED = BatchOptions(licences=("MCOEV",))
DELIVERED = BatchOptions(numbers=BatchNumbers.HOME, number_type="callingPlan")
CASES: list[tuple[Check, BatchOptions, Spoil, str]] = [
    (Check.NO_ACCOUNT, KEEP, purge, "no account has this id"),
    (Check.SOFT_DELETED, KEEP, delete, "restore it"),
    (Check.UNREADABLE, KEEP, unreadable, "Service is unavailable"),
    (Check.OTHER_PLAN, KEEP, lambda site: site.plan(KEEP, "id-1"), "is still working on this user"),
    (Check.NOT_ON_SERVER, KEEP, lambda site: site.skype.people.clear(), "does not know the account"),
    (Check.NOT_ENABLED, KEEP, lambda site: server(site, is_enabled=False), "Set-CsUser -Enabled"),
    (Check.NOT_SYNCHRONISED, KEEP, lambda site: site.tenant.hybrid.unsynchronised.add("id-1"), "scope of the sync"),
    (Check.SIP_MISSING, KEEP, lambda site: site.tenant.hybrid.sip_addresses.update({"id-1": ()}), "no SIP address"),
    (Check.SIP_MISMATCH, KEEP, lambda s: s.tenant.hybrid.sip_addresses.update({"id-1": ("b@lab.test",)}), "b@lab.test"),
    (Check.SERVER_BUILD, KEEP, lambda site: setattr(site.skype, "build", "6.0.9319.537"), "6.0.9319.619 or newer"),
    (Check.TEAMS_MODULE, KEEP, lambda site: setattr(site.tenant.hybrid, "module", "5.9.0"), "6.2.1 or newer"),
    (Check.LICENCE_TEAMS, KEEP, lambda site: plans(site, SKYPE_ONLINE_PLAN_2, PHONE_SYSTEM_PLAN), "with Teams ;"),
    (Check.LICENCE_SKYPE, KEEP, lambda site: plans(site, TEAMS_PLAN, PHONE_SYSTEM_PLAN), "(Plan 2)"),
    (Check.LICENCE_PHONE, KEEP, lambda site: plans(site, TEAMS_PLAN, SKYPE_ONLINE_PLAN_2), "with Teams Phone"),
    (Check.LICENCE_SUPPLY, LICENSED, no_units, "no licence MCOEV is left"),
    (Check.LICENCE_SUPPLY, BatchOptions(licences=("NOPE",)), lambda _site: None, "NOPE is not subscribed"),
    (Check.USAGE_LOCATION, LICENSED, without_location, "no usage location"),
    (Check.ENTERPRISE_VOICE, KEEP, lambda site: server(site, is_enterprise_voice_enabled=False), "no Enterprise Voice"),
    (Check.LINE_CLASH, KEEP, lambda site: server(site, line_uri="tel:+431234502"), "is the number of id-2 in Teams"),
    (Check.EMERGENCY_LOCATION, DELIVERED, lambda site: home(site, "+431234507"), "needs an emergency location"),
    (Check.NUMBER_MISSING, HOME, lambda site: home(site, None), "has no Home number"),
    (Check.NUMBER_INVALID, HOME, lambda site: home(site, "call my wife"), "call my wife"),
    (Check.NUMBER_INVALID, KEEP, lambda site: server(site, line_uri="tel:4501"), "4501"),
    (Check.NUMBER_OUTSIDE, HOME.model_copy(update={"pool": "vienna"}), lambda s: home(s, "+4317654321"), "not in pool"),
    (Check.NUMBER_TAKEN, HOME, lambda site: home(site, "+431234502"), "assigned by user:id-2"),
    (Check.NUMBER_TAKEN, HOME, reserved_home, "reserved by person:9"),
    (
        Check.POLICY_MISSING,
        BatchOptions(policies={"TenantDialPlan": "Mars"}),
        lambda _site: None,
        "'Mars' does not exist",
    ),
    (Check.USAGE_MISSING, KEEP, lambda site: site.tenant.hybrid.routed.clear(), "no voice route carries it"),
    (Check.USAGE_MISSING, KEEP, lambda site: site.tenant.hybrid.without_usages.add("Vienna"), "has no PSTN usage"),
]


@pytest.mark.parametrize(
    ("check", "options", "spoil", "words"), CASES, ids=[f"{c[0].value}-{c[3][:12]}" for c in CASES]
)
def test_every_reason_is_told_with_its_remedy(
    site: Deployment, check: Check, options: BatchOptions, spoil: Spoil, words: str
) -> None:
    """Preflight and plan refuse the user for the same reason, in one line that says what to do (M6, M48, M49, M51)."""
    spoil(site)
    found = one(site, options)
    assert [each.check for each in found.concerns if each.blocks] == [check]
    assert words in found.reason
    assert " ; " in found.reason
    (line,) = site.lines(site.plan(options, "id-1"))
    assert (line.state, line.changes) == (LineState.REFUSED, [])
    assert words in line.reason


def test_each_reason_is_provoked_by_a_test() -> None:
    """What is not in the table warns or needs another site, and has a test of its own below."""
    elsewhere = {Check.NO_SKYPE_ENDPOINT, Check.NO_LINE, Check.MAILBOX, Check.POOL_EXHAUSTED}
    assert set(Check) - {check for check, *_ in CASES} == elsewhere


def test_blocked_users_do_not_block_the_others(site: Deployment) -> None:
    """One of three is refused and the other two are migrated (M50)."""
    server(site, is_enabled=False)
    states = [line.state for line in site.migrate(KEEP, "id-1", "id-2", "id-3")]
    assert states == [LineState.REFUSED, LineState.VERIFIED, LineState.VERIFIED]


def test_a_missing_policy_blocks_the_whole_wave(site: Deployment) -> None:
    """Nobody is moved towards a policy that does not exist (M48)."""
    lines = site.migrate(BatchOptions(policies={"TenantDialPlan": "Mars"}), "id-1", "id-2", "id-3")
    assert {line.state for line in lines} == {LineState.REFUSED}
    assert site.tenant.writes() == []


def test_without_a_server_its_users_are_refused_and_the_others_go_on(site: Deployment) -> None:
    """A site that has not connected its server can still plan users of the cloud."""
    site.tenant.skype = None
    bare = replace(site, runtime=replace(site.runtime, systems=site.tenant.systems()))
    found = bare.examined(KEEP, "id-1", "id-3")
    assert [each.check for each in found[0].concerns] == [Check.NO_SKYPE_ENDPOINT]
    assert not found[1].blocked


@pytest.mark.parametrize(
    ("build", "needed"),
    [
        ("6.0.9319.537", "6.0.9319.619"),
        ("6.0.9319.618", "6.0.9319.619"),
        ("6.0.9319.619", None),
        ("6.0.9319.1000", None),
        ("7.0.2046.384", "7.0.2046.385"),
        ("7.0.10000.1", None),
        ("5.0.8308.1182", None),
        ("4.0.7577.0", "5.0.8308.1182"),
        ("8.0.1.1", None),
    ],
)
def test_builds_are_compared_as_numbers(build: str, needed: str | None) -> None:
    """.1000 is newer than .537; each major version has an oldest build of its own (M6)."""
    assert too_old_for(build, OLDEST) == needed


def test_the_oldest_build_is_a_setting(site: Deployment) -> None:
    """A site that asks for .537, as UMP 365 did, moves users with it (M6)."""
    site.skype.build = "6.0.9319.537"
    assert one(site).blocked
    lenient = replace(site, terms=WaveTerms(oldest_builds=("6.0.9319.537",)))
    assert not one(lenient).blocked
    assert is_older("6.2", "6.2.1")


def test_a_pool_that_runs_out_blocks_only_the_last(sqlite: Database) -> None:
    """Twelve users and ten numbers: ten are served, two are told that the pool is empty (M44)."""
    site = deployment(sqlite, users=12)
    ids = [f"id-{n}" for n in range(1, 13)]
    blocked = [each for each in site.examined(RANGE, *ids) if each.blocked]
    assert [each.concerns[-1].check for each in blocked] == [Check.POOL_EXHAUSTED] * 2
    lines = site.lines(site.plan(RANGE, *ids))
    assert [line.state for line in lines].count(LineState.PLANNED) == 10
    assert "no free number left ; add a range" in lines[-1].reason


def test_an_unknown_pool_refuses_the_batch(site: Deployment) -> None:
    """A pool that nobody defined is a mistake in the batch, not of a user."""
    with pytest.raises(InputRefused, match="there is no pool mars"):
        one(site, RANGE.model_copy(update={"pool": "mars"}))


def test_warnings_block_nobody(site: Deployment) -> None:
    """No mailbox, no line, no pool and nobody to answer an emergency call are worth a look (M43, M50)."""
    site.skype.home("id-1", None, voice=False)
    site.tenant.hybrid.without_mail.add("id-1")
    found = one(site)
    assert [each.check for each in found.concerns] == [Check.NO_LINE, Check.MAILBOX]
    assert (found.blocked, found.reason) == (False, "")
    home(site, "+436641234567")
    outside = one(site, HOME)
    assert {Check.NUMBER_OUTSIDE, Check.EMERGENCY_LOCATION} <= {each.check for each in outside.concerns}
    assert not outside.blocked
    assert "+436641234567 is in no pool" in outside.warnings


def test_preflight_keeps_nothing(site: Deployment) -> None:
    """Numbers that it chose on trial are nobody's afterwards, and nothing outside was written (M50)."""
    home(site, "+431234507")
    assert one(site, HOME).number == "+431234507"
    assert site.state_of("+431234507") in ("free", "outside")
    assert site.tenant.writes() == []


def test_two_users_cannot_have_one_number(site: Deployment) -> None:
    """The second of two who carry the same home phone is told whose it is (M42)."""
    home(site, "+431234507")
    site.tenant.users["id-2"].home_phone = "01 234507"
    found = site.examined(HOME, "id-1", "id-2")
    assert [each.blocked for each in found] == [False, True]
    assert "claimed" in found[1].reason


def test_the_estimate_counts_calls_and_time(site: Deployment) -> None:
    """Two moves in two sessions take as long as one; what is not checked is said."""
    found = examine(site.runtime, site.site, KEEP, ["id-1", "id-2"], WaveTerms(sessions=2))
    assert found.estimate.calls == {
        "move_to_teams": 2,
        "clear_on_premises_line": 2,
        "assign_number": 2,
        "set_policies": 2,
    }
    assert found.estimate.eta_s == found.estimate.busy_s / 2 == 68
    assert any("mailbox" in each for each in found.unchecked)


def test_the_estimate_is_for_as_many_sessions_as_the_batch_keeps_busy(site: Deployment) -> None:
    """One session of three: as long as with one. More than there are do not help."""
    one, many = (
        examine(site.runtime, site.site, BatchOptions(concurrency=at_once), ["id-1", "id-2"], WaveTerms(sessions=3))
        for at_once in (1, 20)
    )
    assert (one.estimate.sessions, one.estimate.eta_s) == (1, one.estimate.busy_s)
    assert many.estimate.sessions == 3


def test_the_estimate_learns_from_earlier_waves(site: Deployment) -> None:
    """After a wave whose moves took twenty seconds the next is estimated with that, not with the assumption."""
    site.tenant.after = lambda name, _target: site.tenant.clock.sleep(20) if name == "move_user" else None
    site.migrate(KEEP, "id-1")
    found = examine(site.runtime, site.site, BatchOptions(numbers=BatchNumbers.NONE), ["id-2"], site.terms)
    assert (found.estimate.calls, found.estimate.eta_s) == ({"move_to_teams": 1}, 20.0)


def test_the_page_of_checks_names_every_reason() -> None:
    """An operator finds each reason with its remedy in the documentation."""
    page = text_of("docs/migration-checks.md")
    assert [check.value for check in Check if f"`{check.value}`" not in page] == []


def test_a_licence_of_the_batch_is_enough(site: Deployment) -> None:
    """Who lacks Teams Phone and is given it by the batch is licensed first and moved when it has taken effect."""
    plans(site, TEAMS_PLAN, SKYPE_ONLINE_PLAN_2)
    user = site.tenant.users["id-1"]
    vars(user).update(skus=(), licensed_at=None)
    (line,) = site.migrate(LICENSED, "id-1")
    assert line.state == LineState.VERIFIED
    assert [name for name, _ in site.tenant.writes()][:2] == ["assign_licence", "move_user"]
    assert (user.skus, user.number) == ((SKU,), NUMBER)


def test_a_wave_that_cannot_be_stored_keeps_no_number(site: Deployment) -> None:
    """When planning fails after the numbers were claimed, every claim is given back."""
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        plan_wave(site.runtime, site.site, KEEP, ["id-1", "id-2"], "r-nobody", site.terms)
    assert site.state_of(NUMBER) == "assigned"


def test_a_wave_is_claimed_in_short_transactions(sqlite: Database) -> None:
    """Forty-five kept numbers are claimed some at a time; each user has exactly one line, in order."""
    site = deployment(sqlite, users=45)
    ids = [f"id-{n}" for n in range(1, 46)]
    for number, user_id in enumerate(ids):
        site.skype.home(user_id, f"tel:+4312345{number:03}")
    plan_id = site.plan(KEEP, *ids)
    assert [line.object for line in site.lines(plan_id)] == [f"user:{user_id}" for user_id in ids]
    with site.runtime.database.read() as connection:
        assert len(inventory.claimed_by(connection, plan_id)) == 45


def test_licences_are_promised_once_over_all_users(sqlite: Database) -> None:
    """Beyond the users that are looked at together, too: 501 users and 500 licences leave one without."""
    site = deployment(sqlite, users=501)
    site.tenant.hybrid.units = 500
    for user in site.tenant.users.values():
        user.skus = ()
    options = LICENSED.model_copy(update={"numbers": BatchNumbers.NONE})
    blocked = [each for each in site.examined(options, *site.tenant.users) if each.blocked]
    assert [each.concerns[0].check for each in blocked] == [Check.LICENCE_SUPPLY]
    assert [name for name, _, _ in site.tenant.calls].count("teams.numbers") == 1


@pytest.mark.parametrize("options", [KEEP, RANGE], ids=["Keep", "NumberRange"])
def test_the_plan_of_the_batch_itself_stands_in_nobodys_way(sqlite: Database, options: BatchOptions) -> None:
    """Examined after its plan was made, ten users and ten numbers are as well as before; other plans still count."""
    site = deployment(sqlite, users=10)
    for number, user_id in enumerate(site.tenant.users, 1):
        site.skype.home(user_id, f"tel:+4312346{number:03}")
    plan_id = site.plan(options, *site.tenant.users)
    found = site.examined(options, *site.tenant.users, own_plans=(plan_id,))
    assert [each.reason for each in found if each.blocked] == []
    assert {each.concerns[0].check for each in site.examined(options, *site.tenant.users)} == {Check.OTHER_PLAN}
    with site.runtime.database.read() as connection:
        assert len(inventory.claimed_by(connection, plan_id)) == 10
