"""Templates in YAML: the same model as in TOML, and none of YAML's guesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import InputRefused
from config.site_policy import read_site, read_templates

POOL = """[[pools]]
name = "vienna"
country = "AT"
number_type = "directRouting"
ranges = [{ start = "+4312345000", end = "+4312345999" }]
"""
YAML = """# Lifecycle templates
templates:
  - name: vienna
    priority: 10
    match: {usage_location: [AT, "NO"], department: Sales}
    pool: vienna
    enterprise_voice: true
    policies:
      TenantDialPlan: DP-Vienna
"""
TOML = """[[templates]]
name = "vienna"
priority = 10
match = { usage_location = ["AT", "NO"], department = "Sales" }
pool = "vienna"
policies = { TenantDialPlan = "DP-Vienna" }
"""


def refused(folder: Path, text: str) -> str:
    """Read a file that is refused; give its one line."""
    (folder / "templates.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        read_templates(folder / "templates.yaml")
    assert "\n" not in str(caught.value)
    assert "templates.yaml, line " in str(caught.value)
    return str(caught.value)


def test_yaml_and_toml_are_one_model(tmp_path: Path) -> None:
    """The same templates in either language are equal, and a site may use either."""
    (tmp_path / "pools.toml").write_text(POOL, encoding="utf-8")
    (tmp_path / "templates.yaml").write_text(YAML, encoding="utf-8")
    in_yaml = read_site(tmp_path)
    assert in_yaml.templates_file.name == "templates.yaml"
    (tmp_path / "templates.yaml").rename(tmp_path / "aside")
    (tmp_path / "templates.toml").write_text(TOML, encoding="utf-8")
    assert read_site(tmp_path).templates == in_yaml.templates


def test_two_files_are_refused(tmp_path: Path) -> None:
    """With both files nobody could say which one counts."""
    (tmp_path / "pools.toml").write_text(POOL, encoding="utf-8")
    (tmp_path / "templates.yaml").write_text(YAML, encoding="utf-8")
    (tmp_path / "templates.toml").write_text(TOML, encoding="utf-8")
    with pytest.raises(InputRefused, match=r"templates.yaml and templates.toml .* delete the other"):
        read_site(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ('"NO"', "NO", 5, "write 'NO' in quotes"),
        ("department: Sales", "department: on", 5, "write 'on' in quotes"),
        ("pool: vienna", "pool: +4312345", 6, "write '+4312345' in quotes"),
        ("pool: vienna", "pool: 08", 6, "write '08' in quotes"),
        ("pool: vienna", "pool: 2026-03-01", 6, "in quotes"),
        ("pool: vienna", "pool: 12:30", 6, "in quotes"),
        ("pool: vienna", "pool:", 6, "a key without a value"),
        ("enterprise_voice: true", "enterprise_voice: True", 7, "true or false"),
        ("enterprise_voice: true", "pool: berlin", 7, "twice, first in line 6"),
        ("pool: vienna", "pool: &here vienna", 6, "anchor"),
        ("pool: vienna", "pool: !!python/object/new:os.system [x]", 6, "tag"),
        ("pool: vienna", "pool: vienna: x", 6, "is not YAML"),
        ("pool: vienna", "pol: vienna", 6, "did you mean pool?"),
        ("TenantDialPlan", "TenantDialPlam", 8, "did you mean TenantDialPlan?"),
        ("priority: 10", "priority: 0", 4, "priority"),
    ],
)
def test_what_yaml_would_guess_is_refused(tmp_path: Path, before: str, after: str, line: int, words: str) -> None:
    """Each trap is one line that names file, line and what to write instead."""
    said = refused(tmp_path, YAML.replace(before, after, 1))
    assert words in said
    assert f"line {line}" in said


@pytest.mark.parametrize("text", ["", "- a\n", "templates: {}\n", "templates: []\n", "\x00", "templates: [&a [*a]]\n"])
def test_a_file_that_holds_no_templates_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing, a list, an empty list, bytes and a loop of anchors are refused, never a trace."""
    (tmp_path / "templates.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused):
        read_templates(tmp_path / "templates.yaml")
