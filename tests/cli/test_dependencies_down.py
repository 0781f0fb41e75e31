"""What we depend on is away, or does not know us: one line, exit code 3, a remedy, and the doctor says the same."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.fakes.onboarding_site import Site, hire, stranger

pytestmark = pytest.mark.slow

NOBODY = "127.0.0.1:9"
DOWN = {
    "our database": (
        {"DATABASE_URL": f"postgresql+psycopg://app@{NOBODY}/callwright"},
        "database",
        "check that it runs, and that CALLWRIGHT_DATABASE_URL is right",
    ),
    "our database file": (
        {"DATABASE_URL": "sqlite:///damaged.db"},
        "database",
        "check the file and its folder, and that CALLWRIGHT_DATABASE_URL is right",
    ),
    "the token endpoint": (
        {"TENANT__AUTHORITY": f"https://{NOBODY}/contoso"},
        "graph sign-in",
        "check the network and authority",
    ),
    "Graph": ({"TENANT__GRAPH_URL": f"https://{NOBODY}/v1.0"}, "graph tenant", "check the network and graph_url"),
    "the PowerShell endpoint": ({"POWERSHELL__PORT": "9"}, "active directory", f"check that {NOBODY}/wsman can be"),
    "trust in the PowerShell host": ({"POWERSHELL__CA_BUNDLE": ""}, "active directory", "set ca_bundle"),
}


def change(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    """Set settings; an empty text takes one away."""
    for name, value in settings.items():
        if value:
            monkeypatch.setenv(f"CALLWRIGHT_{name}", value)
        else:
            monkeypatch.delenv(f"CALLWRIGHT_{name}", raising=False)


def findings(site: Site) -> dict[str, Mapping[str, str]]:
    """Let the doctor look; give the findings that failed."""
    return {finding["name"]: finding for finding in site.run("doctor", "--json").json if not finding["ok"]}


@pytest.mark.parametrize(("settings", "check", "remedy"), DOWN.values(), ids=DOWN)
def test_what_is_down_is_named_with_a_remedy(
    site: Site, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], check: str, remedy: str
) -> None:
    """M104: the run ends with 3 and one line, the tenant sees no write, and the doctor names it with a fix."""
    (site.folder / "damaged.db").write_bytes(b"no database" * 1000)
    change(monkeypatch, settings)
    site.refused(site.onboard(site.feed(*map(hire, site.some(1)))), remedy, code=3)
    assert site.writes() == []
    failed = findings(site)
    assert check in failed
    assert all(finding["fix"] for finding in failed.values())


def test_the_prefect_server_is_down(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """M104: what would start a run ends with 3 and says how to go without; what only reads does not need it."""
    monkeypatch.setenv("PREFECT_API_URL", f"http://{NOBODY}/api")
    for ran in (site.onboard(site.feed(stranger(1))), site.run("continue")):
        site.refused(ran, "start it, or unset PREFECT_API_URL", code=3)
    assert site.run("plan", "list").code == 0
    assert set(findings(site)) == {"prefect"}


def test_a_dependency_that_comes_back_needs_nothing_but_the_feed_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M104: after the failed run nothing is left over: the same feed again does everything once."""
    people = site.some(2)
    feed = site.feed(*map(hire, people))
    with monkeypatch.context() as away:
        away.setenv("CALLWRIGHT_POWERSHELL__PORT", "9")
        assert site.onboard(feed).code == 3
    assert site.onboard(feed).code == 0
    assert set(site.numbers()) == {user.id for user in people}
    site.check_books()


NO_TENANT = dict.fromkeys(
    (
        "TENANT__TENANT_ID",
        "TENANT__CLIENT_ID",
        "TENANT__CLIENT_SECRET",
        "TENANT__AUTHORITY",
        "TENANT__GRAPH_URL",
        "TENANT__CA_BUNDLE",
        "TENANT__INSTANCE_DISCOVERY",
    ),
    "",
)
CREDENTIALS = {
    "none": (NO_TENANT, 2, "no tenant is set ; add [tenant]"),
    "not stored": ({"TENANT__CLIENT_SECRET": "env:NOWHERE"}, 2, "set NOWHERE to the secret"),
    "wrong": ({"TENANT__CLIENT_SECRET": "env:WRONG"}, 3, "check that the secret reference holds the secret's value"),
    "of an unknown app": ({"TENANT__CLIENT_ID": "00000000-0000-4000-8000-000000000000"}, 3, "check client_id"),
}


@pytest.mark.parametrize(("settings", "code", "words"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_without_good_credentials_the_rest_still_works(
    site: Site, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], code: int, words: str
) -> None:
    """M100: one line says what is wrong; quarantine, plans, numbers and the directory need no Microsoft 365."""
    monkeypatch.setenv("WRONG", "wrong-Secret-4711")
    change(monkeypatch, settings)
    ran = site.onboard(site.feed(stranger(1), stranger(2, Hire_Date="yesterday")))
    site.refused(ran, words, code=code)
    assert "4711" not in ran.err
    assert [row["line"] for row in site.run("quarantine", "list", "--json").json] == [3]
    for words_ in (("plan", "list"), ("numbers", "pools"), ("audit", "verify"), ("continue",)):
        assert site.run(*words_).code == 0, words_
    assert "active directory" not in findings(site)


def test_an_expired_secret_is_named(site: Site) -> None:
    """M100: a secret whose time is over ends the run with 3; the line says that a new one is needed."""
    said = "AADSTS7000222: The provided client secret keys for app are expired."
    with site.fault("error", "token", status=401, code="invalid_client", message=said):
        ran = site.onboard(site.feed(*map(hire, site.some(1))))
        site.refused(ran, "the secret has expired: make a new one", code=3)
        assert "the secret has expired" in findings(site)["graph sign-in"]["fix"]
    assert site.writes() == []
