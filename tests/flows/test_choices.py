"""Forms offer what the site knows, and a batch that names anything else is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.utilities.callables import parameter_schema

from config.errors import InputRefused
from config.site_names import LICENCE, LOCATION, POOL, Names, policy_choice
from config.site_policy import read_site
from deployments.catalog import MIGRATION
from deployments.choices import Choices, offer
from deployments.serve import deployment_of
from deployments.stage import SAMPLE
from flows.batches import create_batch
from flows.choices import filled
from tests.fakes.batch_site import BatchSite, batch_site
from tests.fakes.flow_site import FlowSite

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

CREATE = next(each for each in MIGRATION if each.name == "batch-create")
FULL = "batch-create/batch-create"


def form(names: Names) -> dict[str, dict[str, Any]]:
    """Give the fields of the form of batches, those of the policies included."""
    parts = filled(parameter_schema(create_batch).model_dump(), names)["definitions"]
    return {**parts["CreateRequest"]["properties"], **parts["Policies"]["properties"]}


def served(client: SyncPrefectClient) -> dict[str, dict[str, Any]]:
    """Give the fields of the form as the server knows them."""
    schema = client.read_deployment_by_name(FULL).parameter_openapi_schema
    assert schema is not None
    parts = schema["definitions"]
    return {**parts["CreateRequest"]["properties"], **parts["Policies"]["properties"]}


def test_the_form_offers_what_pools_templates_and_names_say() -> None:
    """Policies of six types, pools, number types, licences and locations are drop-downs at the sample site."""
    fields = form(read_site(SAMPLE).names())
    first = {name: field["enum"][:3] for name, field in fields.items() if "enum" in field}
    assert first == {
        "pool": ["", "athens", "berlin"],
        "number_type": ["directRouting", "callingPlan", "operatorConnect"],
        "emergency_location": ["", "Athens office", "Berlin office"],
        "dial_plan": ["", "Global", "DP-Athens"],
        "voice_routing": ["", "Global", "Internal-Only"],
        "calling": ["", "Global", "AllowCalling"],
        "caller_id": ["", "Global", "Anonymous"],
        "emergency_calling": ["", "Global", "Notify-Security"],
        "emergency_routing": ["", "Global", "Dynamic-Emergency"],
    }
    assert fields["licences"]["items"]["enum"] == ["MCOEV", "MCOPSTN1", "SPE_E3", "SPE_E5"]


def test_what_a_site_does_not_name_stays_free_text() -> None:
    """A form of a site without names has no drop-down of them, and no mark of ours."""
    fields = form(Names({}))
    assert [name for name, field in fields.items() if "enum" in field] == ["number_type"]
    assert not [name for name, field in fields.items() if "choice" in field]


@pytest.mark.slow
def test_serving_offers_pools_made_by_command_and_follows_the_files(
    at_site: FlowSite, prefect_client: SyncPrefectClient
) -> None:
    """The registered form has the names of the site; when a file changes it has the new ones, without a restart."""
    deployment = deployment_of(CREATE)
    choices = Choices([deployment])
    choices.fill()
    deployment.apply()
    assert served(prefect_client)["dial_plan"]["enum"] == ["", "Global", "AT"]
    assert "enum" not in served(prefect_client)["caller_id"]
    (at_site.folder / "names.toml").write_text('[policies]\nTenantDialPlan = ["DE"]\n', encoding="utf-8")
    offer(prefect_client, choices.fill())
    assert served(prefect_client)["dial_plan"]["enum"] == ["", "Global", "AT", "DE"]
    assert choices.fill() == []
    prefect_client.delete_deployment(prefect_client.read_deployment_by_name(FULL).id)


def test_a_site_that_cannot_be_read_leaves_the_forms_as_they_are(
    at_site: FlowSite, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken file is a line in the log of the serving process, and the form keeps what it offered."""
    choices = Choices([deployment_of(CREATE)])
    choices.fill()
    (at_site.folder / "names.toml").write_text("[policies]\nTenantDialPlans = ['DE']\n", encoding="utf-8")
    assert choices.fill() == []
    assert "TenantDialPlans" in caplog.text


@pytest.fixture
def at_server(at_site: FlowSite) -> BatchSite:
    """Give a site with two users on the server."""
    return batch_site(at_site.folder, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"policies": {"dial_plan": "Mars"}},
            "TenantDialPlan 'Mars' is not known to the site ; choose one of AT, or add",
        ),
        ({"other_policies": ["OnlineVoiceRoutingPolicy=Mars"]}, "OnlineVoiceRoutingPolicy 'Mars' is not known"),
        ({"numbers": "NumberRange", "pool": "mars"}, "pool 'mars' is not known to the site ; choose one of vienna"),
        ({"licences": ["SPE_E9"]}, "licence 'SPE_E9' is not known to the site ; choose one of MCOEV"),
    ],
    ids=["policy", "policy in words", "pool", "licence"],
)
def test_what_the_site_does_not_know_is_refused(at_server: BatchSite, options: dict[str, Any], words: str) -> None:
    """Whichever door it came through, a name that is not of the site makes no batch and is told in one line."""
    with pytest.raises(InputRefused) as refused:
        at_server.create(**options)
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    at_server.create(policies={"dial_plan": "at", "caller_id": "Anything"})


def test_names_of_a_site_are_one_list_per_kind(tmp_path: Path) -> None:
    """Names of pools, templates and `names.toml` are one list each, without the global policy."""
    names = read_site(SAMPLE).names(["made-by-command"])
    assert "made-by-command" in names.of(POOL)
    assert names.of(policy_choice("CallingLineIdentity")) == ("Anonymous", "Main-Number")
    assert ("SPE_E5" in names.of(LICENCE), "Vienna office" in names.of(LOCATION)) == (True, True)
    assert names.has(policy_choice("TeamsIPPhonePolicy"), "whatever")
