"""The catalog of deployments and the door that serves it."""

from __future__ import annotations

import os
import re
from inspect import signature
from pathlib import Path

import pytest

from deployments.catalog import CATALOG, OF_FEEDS, TIMEZONE, Deployed, Feeds, for_site
from deployments.serve import load_flow, main
from tests.fakes.checkout import text_of


def test_serving_without_a_server_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without PREFECT_API_URL the process ends with code 2 and one line."""
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"})
    assert main(["--mapping", str(tmp_path), "--drop-folder", str(tmp_path)]) == 2
    assert "PREFECT_API_URL" in capsys.readouterr().err


BOTH: tuple[Feeds, ...] = ("lifecycle", "onboarding")


def served(mapping: str, nightly_feed: Path | None, feeds: Feeds = "lifecycle") -> dict[str, Deployed]:
    """Give what a site serves, by name."""
    return {each.name: each for each in for_site(Path(mapping), nightly_feed, feeds)}


@pytest.mark.parametrize("feeds", BOTH)
def test_the_nightly_run_needs_a_feed(feeds: Feeds) -> None:
    """Without a feed at a fixed place there is no nightly deployment; with one only the chosen, with its parameters."""
    by_hand = {each.name for each in CATALOG} - {f"{each}-nightly" for each in BOTH}
    assert set(served("m", None, feeds)) == by_hand
    with_feed = served("m", Path("/hr/feed.csv"), feeds)
    assert set(with_feed) == by_hand | {f"{feeds}-nightly"}
    nightly = with_feed[f"{feeds}-nightly"]
    assert nightly.flow == with_feed[feeds].flow
    assert nightly.parameters["request"]["feed"] == "/hr/feed.csv"  # type: ignore[index] # plain data


def test_a_site_that_names_nothing_gets_the_whole_lifecycle() -> None:
    """Joiners, movers and leavers are the default for files and for the nightly run; the form says what files start."""
    catalog = {each.name: each for each in for_site(Path("m"), Path("/hr/feed.csv"))}
    assert catalog["lifecycle-nightly"].flow == "flows.lifecycle:live"
    assert "drop folder" in catalog["lifecycle"].description
    assert "drop folder" not in catalog["onboarding"].description


@pytest.mark.parametrize("name", BOTH)
def test_forms_of_feeds_open_with_the_sites_mapping(name: Feeds) -> None:
    """Both forms are filled with the mapping, whichever of them a dropped file starts."""
    assert served("workday", None)[name].parameters == {"request": {"mapping": "workday"}}


@pytest.mark.parametrize("feeds", BOTH)
def test_the_parameters_of_a_file_are_those_of_its_flow(feeds: Feeds) -> None:
    """What the nightly run carries is a whole request of the flow that it starts, and no dry run."""
    nightly = served("workday", Path("/hr/feed.csv"), feeds)[f"{feeds}-nightly"]
    request = load_flow(nightly.flow).validate_parameters(dict(nightly.parameters))["request"]
    assert (request.feed, request.mapping, request.dry_run) == ("/hr/feed.csv", "workday", False)


def test_another_choice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A choice that does not exist ends with code 2 and names those that do."""
    with pytest.raises(SystemExit, match="2"):
        main(["--mapping", "workday", "--feeds", "leavers"])
    told = capsys.readouterr().err
    assert all(name in told for name in OF_FEEDS)


def test_every_deployment_explains_itself() -> None:
    """Names are unique, descriptions are sentences, and what the clock starts gives way."""
    assert len({each.name for each in CATALOG}) == len(CATALOG)
    assert all(each.description.endswith(".") and each.tags for each in CATALOG)
    assert all(each.collision == "CANCEL_NEW" for each in CATALOG if each.cron)


@pytest.mark.parametrize(
    "each", [each for each in CATALOG if each.cron and "nightly" not in each.name], ids=lambda each: each.name
)
def test_the_clock_can_start_what_it_is_to_start(each: Deployed) -> None:
    """Nobody fills in a form at night: the parameters of a scheduled deployment are all that its flow needs."""
    load_flow(each.flow).validate_parameters(dict(each.parameters))
    assert set(signature(load_flow(each.flow).fn).parameters) == set(each.parameters)


def test_the_page_of_schedules_lists_them_all() -> None:
    """The page names every schedule with its cron and says the hour in words, and in which time zone that is."""
    rows = re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \| ([^|]+) \|", text_of("docs/schedules.md"), re.MULTILINE)
    assert {name: cron for name, cron, _ in rows} == {each.name: each.cron for each in CATALOG if each.cron}
    assert {when for _, cron, when in rows if cron.startswith("15 2")} == {"every night at 02:15"}
    assert TIMEZONE in text_of("docs/schedules.md")
