"""What must never be committed: secrets, hosts of registries, paths of a machine, weakened policies (M81)."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from urllib.parse import urlsplit

import pytest

from tests.fakes.checkout import python_files, text_of, tracked

# written in pieces, or this file would find itself
REGISTRIES = ("pypi" + r"\.org", "python" + r"hosted\.org", "find" + "-links", "index" + "-url")
MACHINE = re.compile(r"(?<![\w.:])/(?:" + "|".join(("wo" + "rk", "tm" + "p", "ro" + "ot")) + r")/\w")
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIV" + "ATE KEY-----")
WEAKENED = re.compile("(?i)execution" + r"policy\s+['\"]?(bypass|unrestricted)")
SECRET = re.compile(
    r"""(?ix)\b[\w-]*(?:password|passwd|passphrase|client_?secret|api_?key|access_?token|\bpin)\b
    \s*[:=]\s*(?:f|r|b)?["'](?P<value>[^"'\s]{4,})["']"""
)
TOKEN = re.compile(
    r"(?:eyJ[\w-]{15,}\.[\w-]{10,}|AKIA[0-9A-Z]{16}|ghp_\w{30,}|xox[abp]-\w{10,}|[\w~.]{3}8Q~[\w~.-]{30,})"
)
URL_PASSWORD = re.compile(r"\w+://[^\s:/@{}<>]+:(?P<value>[^\s@/{}<>*]{3,})@")
KEY_FILES = (".pem", ".key", ".pfx", ".p12", ".jks", ".kdbx", ".ppk")
REFERENCES = ("env:", "file:", "$", "{", "<", "*", "%", "…")

TEXTS = [name for name in tracked() if not name.endswith((".png", ".jpg", ".ico", ".woff2"))]


@cache
def _registry_hosts() -> tuple[str, ...]:
    """Name the package hosts this machine is set up with, whatever they are."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings = [value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))]
    words = " ".join([listed.stdout, *settings]).replace("'", " ").split()
    return tuple({host for word in words if "://" in word and (host := urlsplit(word).hostname)})


def test_no_file_names_a_registry() -> None:
    """No tracked file names a package registry's host, neither a public one nor the one this machine uses."""
    patterns = re.compile("|".join([*REGISTRIES, *map(re.escape, _registry_hosts())]))
    assert not findings(patterns, TEXTS)


def test_no_file_names_a_path_of_one_machine() -> None:
    """No tracked file names a path that exists on one machine only."""
    assert not findings(MACHINE, TEXTS)


@pytest.mark.parametrize("pattern", [PRIVATE_KEY, TOKEN], ids=["private key", "token"])
def test_no_file_holds_a_key_or_a_token(pattern: re.Pattern[str]) -> None:
    """No tracked file, tests included, holds a private key or a token, and none is a key store (M81)."""
    assert not findings(pattern, TEXTS)
    assert not [name for name in tracked() if name.endswith(KEY_FILES)]


@pytest.mark.parametrize("pattern", [SECRET, URL_PASSWORD], ids=["assignment", "address"])
def test_no_file_holds_a_password(pattern: re.Pattern[str]) -> None:
    """No file of the product holds a password; samples hold references (M81)."""
    product = [name for name in TEXTS if not name.startswith("tests/") and not name.endswith(".lock")]
    found = [(name, match) for name in product for match in pattern.finditer(text_of(name))]
    assert not [f"{name}: {match.group()}" for name, match in found if _looks_secret(match["value"])]


def test_no_file_weakens_the_execution_policy() -> None:
    """No tracked file asks for a weaker PowerShell execution policy (M81)."""
    assert not findings(WEAKENED, TEXTS)


def test_the_scan_finds_what_it_is_for() -> None:
    """The patterns catch a planted password, key, token and path, and pass a reference."""
    assert _looks_secret(SECRET.search("password = 'Tr0ub4dor&3'")["value"])  # type: ignore[index] # it matches
    assert not _looks_secret(SECRET.search("client_secret = 'env:CLIENT_SECRET'")["value"])  # type: ignore[index]
    assert PRIVATE_KEY.search("-----BEGIN RSA PRIV" + "ATE KEY-----")
    assert URL_PASSWORD.search("postgresql://app:" + "hunter22@db/callwright")
    assert MACHINE.search("see " + "/ro" + "ot/x")
    assert WEAKENED.search("powershell -Execution" + "Policy Bypass")


def findings(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    """Give every place where a pattern occurs; locks hold hashes and pins only."""
    searched = [name for name in names if not name.endswith(".lock")]
    return [f"{name}: {found.group()}" for name in searched for found in pattern.finditer(text_of(name))]


def _looks_secret(value: str) -> bool:
    """Tell a literal from a reference or a field name: references have a scheme, names have no variety."""
    if value.startswith(REFERENCES) or value.lower() in {"password", "secret", "basic", "client_secret"}:
        return False
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy > 2.0


def test_what_a_machine_must_have_is_what_tests_ask_for() -> None:
    """A test that needs a program fails where `.ci/run` requires the program; no word there is without a test."""
    asked = {name for file in python_files("tests") for name in re.findall(r"\brequire\(\"(\w+)\"", text_of(file))}
    promised = re.search(r'CALLWRIGHT_REQUIRE="([^"]*)"', text_of(".ci/run"))
    assert promised
    assert set(promised[1].split()) == asked
