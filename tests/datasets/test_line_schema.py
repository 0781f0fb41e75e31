"""Lines of a snapshot against its schema: ours, the lab's and the public validator say the same."""

from __future__ import annotations

import copy
import importlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import InputRefused
from datasets.line_schema import LineSchema
from datasets.snapshot import LINES
from engine.snapshot import SCHEMA_FILE
from lab.line_schema import fault_of, read_rules

SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
OURS, LAB = LineSchema(SCHEMA), read_rules(SCHEMA_FILE)
PUBLIC: Any = importlib.import_module("jsonschema").Draft202012Validator(SCHEMA)
SOUND: list[dict[str, Any]] = [
    {"kind": "snapshot", "version": 1, "taken_at": "2026-09-01T06:00:00Z", "tenant_id": "t", "pseudonymised": False},
    {"kind": "product", "sku_id": "s", "part_number": "", "enabled_units": 3, "plans": [{"plan_id": "p", "name": ""}]},
    {"kind": "policy", "policy_type": "TenantDialPlan", "name": "DP", "usages": ["a"]},
    {"kind": "user", "id": "u", "user_principal_name": "a@b", "is_enabled": False, "licences": [{"sku_id": "s"}]},
    {"kind": "voice", "user_id": "u", "policies": {"TeamsCallingPolicy": "Allow"}},
    {"kind": "number", "telephone_number": "+4312345;ext=12", "number_type": "directRouting"},
    {"kind": "translation_rule", "name": "r", "pattern": "^1$", "translation": ""},
    {"kind": "gateway", "fqdn": "g", "inbound_pstn_rules": ["r"]},
    {"kind": "number_block", "telephone_number": "+4312345", "until": "2026-09-01T06:00:00Z"},
    {"kind": "skype_pool", "fqdn": "p"},
    {"kind": "skype_policy", "policy_type": "VoicePolicy", "name": "v"},
    {"kind": "skype_user", "sam_account_name": "a", "sip_address": "sip:a@b", "policies": {"VoicePolicy": "v"}},
    {"kind": "unassigned_range", "name": "u", "first": "tel:+431", "last": "tel:+432", "priority": 0},
    {"kind": "orbit_range", "name": "o", "first": "#101", "last": "#199", "orbit_type": "GroupPickup"},
    {
        "kind": "skype_device",
        "device_kind": "AnalogDevice",
        "distinguished_name": "CN=x",
        "line_uri": "tel:+4",
        "pool": "p",
    },
    {"kind": "members", "group_id": "g", "member_ids": ["u"]},
    {"kind": "group_policy", "group_id": "g", "policy_type": "TeamsCallingPolicy", "name": "Allow", "rank": 1},
]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 600), st.text(max_size=3), st.just([]), st.just({}), st.just(["a"] * 501)
)


@pytest.mark.parametrize("line", SOUND, ids=lambda line: line["kind"])
def test_a_sound_line_passes_everywhere(line: dict[str, Any]) -> None:
    """A line that fits the schema is taken by both sides."""
    OURS.check(line, "file:1")
    assert fault_of(LAB, line) is None
    assert PUBLIC.is_valid(line)


@given(line=st.sampled_from(SOUND), data=st.data())
def test_a_damaged_line_is_judged_alike(line: dict[str, Any], data: st.DataObject) -> None:
    """Whatever is done to a line, we, the lab and the public validator agree on whether it may pass."""
    damaged = copy.deepcopy(line)
    name = data.draw(st.sampled_from([*line, "surprise"]))
    if data.draw(st.booleans()) and name in damaged:
        del damaged[name]
    else:
        damaged[name] = data.draw(VALUES)
    expected = PUBLIC.is_valid(damaged)
    assert (fault_of(LAB, damaged) is None) == expected
    if expected:
        OURS.check(damaged, "file:1")
    else:
        with pytest.raises(InputRefused):
            OURS.check(damaged, "file:1")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"kind": "number", "telephone_number": "4312345", "number_type": "directRouting"}, "telephone_number"),
        ({"kind": "user", "id": "u", "user_principal_name": "a", "licences": [{}]}, "licences[0].sku_id"),
        ({"kind": "voice", "user_id": "u", "policies": {"TeamsCallingPolicy": 1}}, "policies.TeamsCallingPolicy"),
        ({"kind": "users"}, "kind"),
    ],
    ids=["pattern", "missing inside", "type inside", "kind"],
)
def test_a_broken_line_is_named_by_place_and_field(line: dict[str, Any], field: str) -> None:
    """The refusal says file, line and field."""
    with pytest.raises(InputRefused, match=r"^tenant\.jsonl:7: ") as caught:
        OURS.check(line, "tenant.jsonl:7")
    assert f" {field}: " in str(caught.value)
    fault = fault_of(LAB, line)
    assert fault is not None
    assert fault[0] == field


def test_records_and_schema_have_the_same_fields() -> None:
    """Every kind of line is a record with the fields of the schema, required alike, in the same order."""
    assert [record.model_fields["kind"].default for record in LINES] == list(OURS.kinds)
    for record in LINES:
        rules = SCHEMA["$defs"][record.model_fields["kind"].default]
        assert list(record.model_fields) == list(rules["properties"])
        required = [name for name, field in record.model_fields.items() if field.is_required()]
        assert sorted(["kind", *required]) == sorted(rules["required"])


def test_a_schema_that_says_more_than_is_understood_is_an_error() -> None:
    """A rule that a validator does not know is never skipped."""
    with pytest.raises(ValueError, match="format"):
        LineSchema({"$defs": {"a": {"type": "string", "format": "uri"}}})
