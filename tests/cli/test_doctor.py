"""The doctor: names every connection and permission, and says what to do about each failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import opened
from cli.doctor import python_version
from lab.server import Lab
from tests.fakes.command_line import Run
from tests.fakes.databases import PrivatePostgres
from tests.fakes.lab_environment import environment_of, skype_environment_of

ALWAYS = {"settings", "site policy", "database", "python"}
SYSTEMS = {"graph sign-in", "graph permissions", "teams numbers", "active directory", "teams powershell"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a small lab."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=5, seed=1) as running:
        yield running


@pytest.fixture
def site(lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the settings at the lab; gives the working folder."""
    for name, value in environment_of(lab.endpoints, folder).items():
        monkeypatch.setenv(name, value)
    return folder


def test_all_is_well_with_a_whole_site(site: Path, lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything reachable, the on-premises servers too, every check is green and the exit code is 0."""
    for name, value in skype_environment_of(lab.endpoints).items():
        monkeypatch.setenv(name, value)
    ran = run("doctor", "--json")
    assert [finding["name"] for finding in ran.json if not finding["ok"]] == []
    assert ran.code == 0
    assert {finding["name"] for finding in ran.json} >= SYSTEMS | {
        "skype for business server",
        "settings",
        "site policy",
        "database",
        "python",
    }


def test_a_fresh_checkout_without_a_tenant_is_green(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    """Without any tenant the doctor is green and says that nothing outside can be changed (M1)."""
    monkeypatch.setenv("CALLWRIGHT_SITE", environment_of(lab.endpoints, folder)["CALLWRIGHT_SITE"])
    ran = run("doctor", "--json")
    assert ran.code == 0
    assert {finding["name"] for finding in ran.json}.isdisjoint(SYSTEMS)


@pytest.mark.postgres
def test_a_database_without_a_search_index_is_told(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, postgres: PrivatePostgres, lab: Lab
) -> None:
    """Searching scans then: no failure, and the two statements that the owner may run."""
    monkeypatch.setenv("CALLWRIGHT_SITE", environment_of(lab.endpoints, folder)["CALLWRIGHT_SITE"])
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", postgres.new_empty())
    for statement, detail in (("", "searches use an index"), ("DROP INDEX ix_user_search", "every search looks at")):
        with opened.database() as database, database.write() as connection:
            connection.exec_driver_sql(statement or "SELECT 1")
        ran = run("doctor", "--json")
        (found,) = [finding for finding in ran.json if finding["name"] == "search index"]
        assert (ran.code, found["ok"], detail in found["detail"]) == (0, True, True)
        assert ("CREATE EXTENSION pg_trgm" in found["fix"]) is bool(statement)


def test_a_wrong_secret_is_named_with_its_remedy_and_never_shown(
    site: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong client secret fails the sign-in, says what to do, and is not printed."""
    (site / "secret").write_text("wrong-Secret-4711", encoding="utf-8")
    monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_SECRET", f"file:{site / 'secret'}")
    ran = run("doctor")
    assert ran.code == 1
    assert "FAIL" in ran.out
    assert "graph sign-in" in ran.err
    assert "wrong-Secret-4711" not in ran.out + ran.err


def test_a_failed_sign_in_is_told_once(site: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows from a failed sign-in is not asked again, and other systems still are."""
    monkeypatch.setenv("WRONG", "nonsense")
    monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_SECRET", "env:WRONG")
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json}
    assert not findings["graph sign-in"]["ok"]
    assert findings["graph sign-in"]["fix"]
    assert "teams numbers" not in findings
    assert findings["active directory"]["ok"]


def test_a_missing_secret_is_a_finding(site: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is not where its reference says is a finding with a remedy."""
    monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_SECRET", "env:NOWHERE_TO_BE_FOUND")
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json}
    assert "NOWHERE_TO_BE_FOUND" in findings["tenant"]["fix"]


def test_wrong_settings_end_the_questions(folder: Path, run: Run) -> None:
    """With settings that cannot be read nothing else is asked."""
    (folder / "callwright.toml").write_text("colour = 'red'\n", encoding="utf-8")
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert [finding["name"] for finding in ran.json] == ["python", "settings"]


def test_a_server_that_is_gone_is_named(site: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Prefect server that does not answer is a finding that says how to go on without it."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json}
    assert "unset PREFECT_API_URL" in findings["prefect"]["fix"]


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_python_is_one_that_we_test_with(version: tuple[int, int], ok: bool) -> None:
    """A Python outside the tested versions is named in one line (M5)."""
    assert python_version(version).ok is ok


@pytest.mark.parametrize("url", ["sqlite:///.", "nonsense"], ids=["no file", "no address"])
def test_a_database_that_cannot_be_used_does_not_hide_the_rest(
    url: str, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a database the doctor still says what it finds elsewhere."""
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", url)
    with opened.database_if_ready() as database:
        assert database is None
    found = {finding["name"]: finding["ok"] for finding in run("doctor", "--json").json}
    assert not found["database"]
    assert "tenant" in found
