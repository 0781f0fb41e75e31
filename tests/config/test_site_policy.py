"""The site policy: what a site may write, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import InputRefused
from config.settings import Settings
from config.site_mappings import FeedMapping
from config.site_policy import read_mapping, read_site
from config.site_pools import LocationRule, SitePool, overlap
from config.toml_files import load_toml

SAMPLE = Path(__file__).resolve().parents[2] / "config" / "sample"
POOL = """[[pools]]
name = "vienna"
country = "AT"
number_type = "directRouting"
ranges = [{ start = "+4312345000", end = "+4312345999" }]
"""
TEMPLATE = """[[templates]]
name = "vienna"
pool = "vienna"
"""
MAPPING = """name = "hr"
[columns]
ID = "employee_id"
Hired = "hire_date"
"""


def site(folder: Path, pools: str = POOL, templates: str = TEMPLATE) -> str:
    """Write a site policy, read it, and give the one line that it is refused with."""
    (folder / "pools.toml").write_text(pools, encoding="utf-8")
    (folder / "templates.toml").write_text(templates, encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        read_site(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sample_policy_is_right() -> None:
    """The sample site and each of its mappings can be read."""
    policy = read_site(SAMPLE)
    assert policy.mappings() == ("workday", "workday-events")
    assert policy.template("vienna").policies["OnlineVoiceRoutingPolicy"] == "VRP-Vienna"
    for name in policy.mappings():
        assert read_mapping(Path(name), SAMPLE).name == name


def test_sample_settings_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample settings file has no unknown key and no wrong type."""
    monkeypatch.setenv("CALLWRIGHT_SETTINGS", str(SAMPLE / "callwright.toml"))
    assert Settings().require_tenant().sign_in_address.startswith("https://login.")


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        pytest.param(
            POOL + 'colour = "red"\n', ("unknown key pools[1].colour", "did you mean country?"), id="unknown key"
        ),
        pytest.param(POOL.replace("country", "counrty"), ("pools.toml", "pools[1].cou"), id="misspelt key"),
        pytest.param(POOL.replace('"AT"', '"Austria"'), ("pools[1].country", "two-letter"), id="country"),
        pytest.param(POOL.replace("directRouting", "direct"), ("pools[1].number_type", "directRouting"), id="type"),
        pytest.param(POOL.replace("+4312345000", "12345"), ("pools[1].ranges[1].start", "+4312345"), id="number"),
        pytest.param(POOL.replace("+4312345000", "+4399945000"), ("comes after", "swap"), id="order"),
        pytest.param(POOL.replace("5999", "59999"), ("not of one length",), id="length"),
        pytest.param(POOL.replace("ranges", "withheld"), ("pool vienna has no numbers",), id="empty"),
        pytest.param(POOL + 'withheld = ["+4312346000"]', ("does not hold its withheld range",), id="withheld"),
        pytest.param(POOL + POOL, ("two pools named vienna", "rename"), id="same name"),
        pytest.param(
            POOL + POOL.replace('"vienna"', '"berlin"').replace("5000", "5999"),
            ("pools vienna and berlin both hold +4312345999", "take it out"),
            id="overlap",
        ),
        pytest.param("pools = []", ("pools.toml: pools",), id="no pools"),
        pytest.param(
            POOL + '[[emergency_locations]]\ncountry = "AT"',
            ("emergency_locations[1].location",),
            id="rule without location",
        ),
        pytest.param(
            POOL + '[[emergency_locations]]\nlocation = "x"\ncountry = "at"',
            ("emergency_locations[1].country", "two-letter"),
            id="country of a rule",
        ),
    ],
)
def test_mistake_in_pools_is_one_line(tmp_path: Path, pools: str, words: tuple[str, ...]) -> None:
    """A mistake in the pools is told in one line that names file, key and remedy."""
    line = site(tmp_path, pools=pools)
    for word in (*words, "pools.toml"):
        assert word in line


@pytest.mark.parametrize(
    ("templates", "words"),
    [
        pytest.param('[[templates]]\nname = "x"', ("template x", "names no pool: add pool"), id="no pool"),
        pytest.param(TEMPLATE + 'policy = "x"', ("unknown key templates[1].policy", "policies?"), id="unknown key"),
        pytest.param(
            TEMPLATE + 'policies = { TeamsCalingPolicy = "x" }',
            ("templates[1].policies", "no policy type TeamsCalingPolicy", "TeamsCallingPolicy?"),
            id="policy type",
        ),
        pytest.param(TEMPLATE + 'policies = { TenantDialPlan = "" }', ("TenantDialPlan has no name",), id="no policy"),
        pytest.param(TEMPLATE + 'match = { region = ["x"] }', ("unknown key templates[1].match.region",), id="match"),
        pytest.param(TEMPLATE + 'number_source = "Fax"', ("templates[1].number_source", "'Phone'"), id="source"),
        pytest.param(TEMPLATE + 'number_source = "none"', ("gives no number", "remove pool"), id="none"),
        pytest.param(TEMPLATE + TEMPLATE.replace('name = "v', 'name = "V'), ("two templates named",), id="same name"),
    ],
)
def test_mistake_in_templates_is_one_line(tmp_path: Path, templates: str, words: tuple[str, ...]) -> None:
    """A mistake in the templates is told in one line that names file, key and remedy."""
    line = site(tmp_path, templates=templates)
    for word in (*words, "templates.toml"):
        assert word in line


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        pytest.param(MAPPING.replace('"hire_date"', '"hired"'), ("no field hired", "hire_date"), id="field"),
        pytest.param(MAPPING.replace("employee_id", "upn"), ("no column is mapped to employee_id",), id="no key"),
        pytest.param(MAPPING + 'Nr = "employee_id"\n', ("two columns are mapped to employee_id",), id="twice"),
        pytest.param('filled = ["Name"]\n' + MAPPING, ("'Name' is required or filled but not mapped",), id="filled"),
        pytest.param('date_formats = ["%d/%m/%Y", "%m/%d/%Y"]\n' + MAPPING, ("would be guessed",), id="ambiguous"),
        pytest.param('date_formats = ["%d/%m"]\n' + MAPPING, ("needs a day, a month and a year",), id="no year"),
        pytest.param('encoding = "utf-9"\n' + MAPPING, ("no encoding 'utf-9'",), id="encoding"),
        pytest.param('kind = "events"\n' + MAPPING, ("no column is mapped to e",), id="events"),
        pytest.param('delimeter = ";"\n' + MAPPING, ("unknown key delimeter", "delimiter?"), id="misspelt"),
    ],
)
def test_mistake_in_a_mapping_is_one_line(tmp_path: Path, mapping: str, words: tuple[str, ...]) -> None:
    """A mistake in a mapping is told in one line that names file, key and remedy."""
    path = tmp_path / "hr.toml"
    path.write_text(mapping, encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        load_toml(path, FeedMapping)
    for word in (*words, "hr.toml"):
        assert word in str(caught.value)


def test_the_first_location_rule_that_fits_counts(tmp_path: Path) -> None:
    """A rule fits numbers of its country, site and type, what it leaves out fits everything, the first one counts."""
    rules = [
        {"location": "Graz", "country": "AT", "site": "Graz"},
        {"location": "Austria", "country": "AT", "number_type": "callingPlan"},
        {"location": "anywhere", "number_type": "operatorConnect"},
    ]
    policy = read_site(SAMPLE)
    policy = policy.model_copy(
        update={"emergency_locations": tuple(LocationRule.model_validate(rule) for rule in rules)}
    )
    assert policy.emergency_location("callingPlan", "AT", "Graz") == "Graz"
    assert policy.emergency_location("callingPlan", "AT", "Wien") == "Austria"
    assert policy.emergency_location("operatorConnect", "JP") == "anywhere"
    assert policy.emergency_location("directRouting", "AT", "Wien") is None


def test_missing_things_name_what_there_is(tmp_path: Path) -> None:
    """Asking for what is not there names what is there."""
    policy = read_site(SAMPLE)
    with pytest.raises(InputRefused, match=r"no pool graz .*vienna"):
        policy.pool("graz")
    with pytest.raises(InputRefused, match=r"no template graz .*us-sales"):
        policy.template("graz")
    with pytest.raises(InputRefused, match=r"no mapping sap .*workday"):
        read_mapping(Path("sap"), SAMPLE)
    with pytest.raises(InputRefused, match="no such folder"):
        read_site(tmp_path / "nowhere")


def test_extensions_are_a_space_of_their_own() -> None:
    """Extensions of one base overlap with each other, never with the base's plain numbers or another length."""

    def pool(name: str, start: str, end: str) -> SitePool:
        return SitePool.model_validate(
            {"name": name, "country": "AT", "number_type": "directRouting", "ranges": [{"start": start, "end": end}]}
        )

    short = pool("short", "+4312345;ext=10", "+4312345;ext=50")
    long = pool("long", "+4312345;ext=010", "+4312345;ext=050")
    assert overlap([short, long, pool("plain", "+4312340", "+4312349")]) is None
    assert overlap([short, pool("again", "+4312345;ext=50", "+4312345;ext=60")]) is not None


def test_wide_range_hides_no_overlap() -> None:
    """A small range inside a wide one is found even when another lies between their starts."""

    def pool(name: str, *ranges: tuple[str, str]) -> SitePool:
        listed = [{"start": start, "end": end} for start, end in ranges]
        return SitePool.model_validate(
            {"name": name, "country": "AT", "number_type": "directRouting", "ranges": listed}
        )

    assert overlap([pool("wide", ("+4310", "+4399")), pool("one", ("+4350", "+4350"))]) == (
        "pools wide and one both hold +4350"
    )
