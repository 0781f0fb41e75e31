"""Settings: where they come from, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import InputRefused
from config.secret_refs import SecretRef
from config.settings import Settings, keys, read_settings

TENANT = '[tenant]\ntenant_id = "t"\nclient_id = "c"\nclient_secret = "env:LAB_SECRET"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder with none of our names in the environment."""
    import os

    for name in [name for name in os.environ if name.startswith("CALLWRIGHT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    """Write the settings file."""
    (folder / "callwright.toml").write_text(text, encoding="utf-8")


def refusal() -> str:
    """Give the one line that the settings are refused with."""
    with pytest.raises(InputRefused) as caught:
        read_settings()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_are_enough_to_start() -> None:
    """Without any file or variable there is a database of our own and no tenant."""
    settings = read_settings()
    assert settings.database_url.startswith("sqlite:///.callwright/")
    assert settings.tenant is None
    with pytest.raises(InputRefused, match="no tenant is set"):
        settings.require_tenant()


def test_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable replaces one key of the file and leaves the others of its section."""
    write(folder, TENANT + "[feed]\nleavers = 5\n")
    monkeypatch.setenv("CALLWRIGHT_TENANT__CLIENT_ID", "other")
    settings = read_settings()
    assert settings.tenant is not None
    assert (settings.tenant.tenant_id, settings.tenant.client_id) == ("t", "other")
    assert settings.feed.leavers == 5
    assert settings.feed.shrink_percent == 20


def test_named_file_must_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings file that is named but missing is refused by its name."""
    monkeypatch.setenv("CALLWRIGHT_SETTINGS", "elsewhere.toml")
    assert "elsewhere.toml: cannot be read" in refusal()


def test_env_files_are_never_read(folder: Path) -> None:
    """A `.env` file in the folder changes nothing."""
    (folder / ".env").write_text("CALLWRIGHT_DATABASE_URL=sqlite:///other.db\n", encoding="utf-8")
    assert "other" not in read_settings().database_url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("databse_url = 'x'", ("unknown key databse_url", "did you mean database_url?"), id="unknown"),
        pytest.param("[feed]\nleaver = 3", ("unknown key feed.leaver", "did you mean leavers?"), id="nested"),
        pytest.param("[feed]\nleavers = 'many'", ("feed.leavers", "callwright.toml", "integer"), id="type"),
        pytest.param(
            "[tenant]\ntenant_id = 't'", ("tenant.client_id is missing", "add tenant.client_id"), id="missing"
        ),
        pytest.param(
            TENANT.replace("env:LAB_SECRET", "hunter2"), ("tenant.client_secret", "env:NAME"), id="bare secret"
        ),
        pytest.param(TENANT + "certificate = 'c.pem'", ("private_key and certificate belong together",), id="half"),
        pytest.param("[powershell]\nserver='h'\nauth='basic'\nssl=false", ("in clear", "ssl = true"), id="no TLS"),
        pytest.param("database_url = 'postgresql://a:hunter2@db/c'", ("contains a password",), id="password"),
        pytest.param("[feed", ("callwright.toml: is not TOML",), id="not TOML"),
    ],
)
def test_mistake_is_one_line(folder: Path, text: str, words: tuple[str, ...]) -> None:
    """A mistake in the file is told in one line that names file, key and remedy, and never a value."""
    write(folder, text)
    line = refusal()
    assert "hunter2" not in line
    for word in (*words, "callwright.toml"):
        assert word in line


def test_mistake_in_a_variable_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong type in the environment is told by the variable's name."""
    monkeypatch.setenv("CALLWRIGHT_FEED__LEAVERS", "many")
    assert "environment CALLWRIGHT_FEED__LEAVERS: feed.leavers" in refusal()


@pytest.mark.parametrize("name", ["CALLWRIGHT_DATABSE_URL", "CALLWRIGHT_FEED__LEAVER"])
def test_unknown_variable_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is an error, not a shrug."""
    monkeypatch.setenv(name, "1")
    line = refusal()
    assert "unknown" in line
    assert "did you mean" in line


def test_section_that_is_no_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole section in one variable must be JSON."""
    monkeypatch.setenv("CALLWRIGHT_FEED", "leavers=1")
    assert "a section cannot be read" in refusal()


def test_secrets_are_fetched_late(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference gives its secret from a variable or a file, without the line end."""
    monkeypatch.setenv("LAB_SECRET", "s3cret")
    (folder / "password.txt").write_text("pa ss\n", encoding="utf-8")
    assert SecretRef("env:LAB_SECRET").resolve().get_secret_value() == "s3cret"
    assert SecretRef("file:password.txt").resolve().get_secret_value() == "pa ss"


@pytest.mark.parametrize("reference", ["env:NOT_SET", "file:not-there", "file:empty"])
def test_missing_secret_names_its_key(folder: Path, reference: str) -> None:
    """A secret that is not there is told by the setting that refers to it."""
    (folder / "empty").touch()
    with pytest.raises(InputRefused, match=r"^tenant\.client_secret: .* ; "):
        SecretRef(reference).resolve("tenant.client_secret")


def test_printing_masks_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are printed with references as they are and passwords masked."""
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", "postgresql+psycopg://app:hunter2@db/callwright")
    shown = read_settings().masked()
    assert shown["database_url"] == "postgresql+psycopg://app:***@db/callwright"
    assert "hunter2" not in str(shown)


def test_database_password_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database password is a reference too and is quoted into the address."""
    monkeypatch.setenv("CALLWRIGHT_DATABASE_URL", "postgresql+psycopg://app@db/callwright")
    monkeypatch.setenv("CALLWRIGHT_DATABASE_PASSWORD", "env:DB_PASSWORD")
    monkeypatch.setenv("DB_PASSWORD", "p@ss/1")
    assert read_settings().database_address() == "postgresql+psycopg://app:p%40ss%2F1@db/callwright"


def test_every_key_is_listed_with_help() -> None:
    """The list of settings names every leaf key, its variable and what it is for."""
    listed = {key.name: key for key in keys()}
    assert listed["tenant.client_id"].environment == "CALLWRIGHT_TENANT__CLIENT_ID"
    assert listed["tenant.client_id"].default == "required"
    assert all(key.help for key in listed.values())
    assert set(Settings.model_fields) == {name.split(".")[0] for name in listed}
