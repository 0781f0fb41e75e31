"""Forty secrets in every place that takes one: none is found again in a file or on a screen (reliability, row 16)."""

from __future__ import annotations

import base64
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.server import Lab
from tests.fakes.canaries import PLACES, canary, found_in
from tests.fakes.command_line import Run
from tests.fakes.lab_environment import environment_of
from tests.fakes.onboarding_site import as_text, stranger

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a lab to be refused by."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=10, seed=5) as running:
        yield running


def attempt(number: int, run: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> list[str]:
    """Put one secret into its place and run what uses it; gives everything that was printed."""
    place = PLACES[number % len(PLACES)]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("A_SECRET", canary(number))
    monkeypatch.setenv(f"CALLWRIGHT_{place}", "env:A_SECRET")
    if place == "TENANT__PRIVATE_KEY":
        monkeypatch.delenv("CALLWRIGHT_TENANT__CLIENT_SECRET")
        monkeypatch.setenv("CALLWRIGHT_TENANT__CERTIFICATE", environment["CALLWRIGHT_TENANT__CA_BUNDLE"])
    printed = []
    Path("hires.csv").write_text(as_text([stranger(number)]))
    for words in (
        ("doctor",),
        ("settings", "show", "--json"),
        ("onboard", "--feed", "hires.csv", "--mapping", "workday"),
        ("reconcile",),
        ("undo", canary(number)[:3] + "-nowhere"),
        ("audit", "export", f"out{number}.jsonl"),
        ("audit", "log", "--json"),
    ):
        ran = run(*words)
        printed += [ran.out, ran.err]
    for name in [f"CALLWRIGHT_{each}" for each in (*PLACES, "TENANT__CERTIFICATE")]:
        monkeypatch.delenv(name, raising=False)
    return printed


def scan(count: int, lab: Lab, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Try so many secrets and look for them."""
    environment = environment_of(lab.endpoints, folder)
    texts = [text for n in range(count) for text in attempt(n, run, monkeypatch, environment)]
    assert any(text.strip() for text in texts)
    return found_in(folder, texts, [canary(n) for n in range(count)])


def test_no_secret_is_found_again(lab: Lab, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in each of the four places, with quotes and signs, through runs that fail on them: 0 found."""
    assert scan(4, lab, folder, run, monkeypatch) == []


@pytest.mark.nightly
def test_forty_secrets_are_not_found_again(lab: Lab, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty canaries: 0 found."""
    assert scan(40, lab, folder, run, monkeypatch) == []


def test_the_secrets_of_a_working_run_are_not_found_either(
    lab: Lab, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab's own client secret and password, with which a run works, are in no file and on no screen."""
    environment = environment_of(lab.endpoints, folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (folder / "hires.csv").write_text("employee_id\n1\n")
    texts = [run(*words).out for words in (("doctor",), ("settings", "show"), ("reconcile", "--json"), ("about",))]
    files = ("CALLWRIGHT_TENANT__CLIENT_SECRET", "CALLWRIGHT_POWERSHELL__PASSWORD")
    secrets = [Path(environment[name].removeprefix("file:")).read_text().strip() for name in files]
    places = [path.read_bytes() for path in folder.rglob("*") if path.is_file()] + [text.encode() for text in texts]
    assert not [secret for secret in secrets if any(secret.encode() in content for content in places)]


@pytest.mark.parametrize("hide", [
    lambda s: s.encode(),
    lambda s: base64.b64encode(b"x" + s.encode() + b"yz"),
    lambda s: zlib.compress(s.encode()),
    lambda s: s.encode().hex().encode(),
    lambda s: s.encode("utf-16-le"),
], ids=["plain", "base64", "zlib", "hex", "utf-16"])  # fmt: skip
@pytest.mark.parametrize("number", [0, 3, 10, 18])
def test_the_scan_finds_what_is_there(tmp_path: Path, number: int, hide: object) -> None:
    """A secret put into a file in any of the forms is found: the scan can fail."""
    assert callable(hide)
    (tmp_path / "leak").write_bytes(hide(canary(number)))
    assert found_in(tmp_path, [], [canary(number)])


@pytest.mark.parametrize("pack", [zlib.compress, lambda s: base64.b64encode(zlib.compress(s))], ids=["zlib", "base64"])
def test_the_scan_looks_into_the_cells_of_databases(tmp_path: Path, pack: object) -> None:
    """A secret that a database keeps packed in a cell is found."""
    assert callable(pack)
    with closing(sqlite3.connect(tmp_path / "leak.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (?)", (pack(canary(3).encode()),))
    assert found_in(tmp_path, [], [canary(3)])
