"""The export of numbers: an order, its status, and a file behind a link that anybody may follow for an hour."""

from __future__ import annotations

import csv
import io
from typing import Any

from pypsrp.powershell import RunspacePool

from lab.clock import Clock
from lab.server import Lab
from tests.fakes.graph_client import GraphClient
from tests.fakes.lab_shells import run, teams_pool
from tests.fakes.script_runner import ScriptRunner


def status(pool: RunspacePool, order: str) -> tuple[str, str | None]:
    """Ask how far an export is, and for its link."""
    (found,), _ = run(pool, "Get-CsExportAcquiredPhoneNumberStatus", OrderId=order)
    properties: dict[str, Any] = found.adapted_properties
    return properties["Status"], properties["DownloadLink"]


def test_the_link_leads_to_a_table_for_an_hour(lab: Lab, clock: Clock) -> None:
    """There is no file before the order is done; then it has the properties asked for; after an hour it is gone."""
    lab.settings.order_delay_s = 60
    with GraphClient(lab) as stranger, teams_pool(lab) as pool:
        asked = {"Property": "TelephoneNumber, assignmentStatus,TargetId"}
        ((order,), _) = run(pool, "Export-CsAcquiredPhoneNumber", **asked)
        address = f"{stranger.base.removesuffix('/v1.0')}/exports/{order}.csv"
        assert (status(pool, order), stranger.http.get(address).status_code) == (("NotStarted", None), 403)
        clock.advance(60)
        assert status(pool, order) == ("Success", address)
        text = stranger.http.get(address).raise_for_status().text
        clock.advance(3600)
        assert (status(pool, order), stranger.http.get(address).status_code) == (("Success", None), 403)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["TelephoneNumber", "AssignmentStatus", "TargetId"]
    held = {number.telephone_number: number.target_id for number in lab.tenant.numbers.values()}
    assert {row["TelephoneNumber"]: row["TargetId"] or None for row in rows} == held


def test_nobody_guesses_a_link(lab: Lab) -> None:
    """An address that no order has is not found."""
    with GraphClient(lab) as stranger:
        assert stranger.http.get(f"{stranger.base.removesuffix('/v1.0')}/exports/nobody.csv").status_code == 404


def test_all_documented_columns_without_a_choice(teams: ScriptRunner) -> None:
    """Without -Property the file has every property of the documentation, one row for each number."""
    (order,) = teams("Export-CsAcquiredPhoneNumber")
    (text,) = teams.tenant.exports[str(order)]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows[0]) == 25
    assert [row["TelephoneNumber"] for row in rows] == teams.tenant.sorted_numbers
    assert {row["AssignmentStatus"] for row in rows} >= {"Unassigned", "UserAssigned"}


def test_a_property_nobody_knows_is_refused(teams: ScriptRunner) -> None:
    """The property is named, and no order is made."""
    assert teams("Export-CsAcquiredPhoneNumber -Property 'TelephoneNumber, Colour'") == []
    assert "'Colour' is not a valid property" in teams.errors[0].message
    assert teams.tenant.exports == {}
