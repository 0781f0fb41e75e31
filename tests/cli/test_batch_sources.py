"""Where the users of a batch come from, by command: a text and a saved filter in the cache, one file, every option."""

from __future__ import annotations

import pytest

from cli.batches import OPTIONS
from datasets.batches import BatchOptions
from tests.fakes.command_line import Run
from tests.fakes.onboarding_site import Site

pytestmark = pytest.mark.slow


def test_every_option_of_a_batch_can_be_set_by_command() -> None:
    """What `--set` takes are the options of a batch; policies have words of their own."""
    assert {*OPTIONS, "policies"} == set(BatchOptions.model_fields)
    assert len(OPTIONS) == len(set(OPTIONS))


def test_policies_user_by_user_can_be_asked_for(site: Site) -> None:
    """`--set policy_batches=never` is stored, and shown with the batch."""
    (user,) = site.some(1)
    ran = site.run("batch", "create", "b", "--from", "users", "--users", user.upn, "--set", "policy_batches=never")
    assert ran.code == 0, ran.err
    assert site.run("batch", "show", "b", "--json").json["options"]["policy_batches"] == "never"


def test_a_batch_of_a_filter_and_of_a_saved_filter(site: Site) -> None:
    """Who a text finds in the cache, and who a saved filter finds in its columns, are the users of their batches."""
    run = site.run
    run("users", "sync")
    run("users", "save-filter", "names", "er", "--columns", "name")
    by_text, by_name = (
        run("users", "search", "er", "--json").json,
        run("users", "search", "--filter", "names", "--json"),
    )
    assert 0 < by_name.json["count"] < by_text["count"]
    made = run("batch", "create", "text", "--users", "er", "--json")
    assert (made.code, made.json["chosen_as_of"]["users"][:2]) == (0, "20")
    assert run("batch", "create", "saved", "--from", "saved_filter", "--users", "names").code == 0
    users = {name: run("batch", "show", name, "--limit", "1000", "--json").json for name in ("text", "saved")}
    assert users["text"]["counts"] == {"ready": by_text["count"]}
    assert users["saved"]["counts"] == {"ready": by_name.json["count"]}
    names = {each["name"] for each in by_name.json["users"]}
    chosen = {run("users", "show", each["user"], "--json").json["name"] for each in users["saved"]["users"]}
    assert names <= chosen
    assert users["saved"]["source"] == {"kind": "saved_filter", "text": "names"}


def test_a_filter_without_a_cache_says_what_is_missing(site: Site) -> None:
    """Nobody is found because the tenant was never read: the refusal says to read it, not to change the filter."""
    ran = site.run("batch", "create", "b", "--users", "er")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "the cache has no users" in ran.err
    assert "./callwright users sync" in ran.err


@pytest.mark.parametrize("kind", ["file", "filter", "group"])
def test_several_of_what_is_one_are_refused(site: Site, run: Run, kind: str) -> None:
    """A second file, text or group is not left out in silence."""
    ran = run("batch", "create", "b", "--from", kind, "--users", "one", "--users", "two")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert f"2 of {kind} are named" in ran.err
