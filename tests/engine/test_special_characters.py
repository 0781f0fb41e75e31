"""M98: every character that means something to regular expressions survives the way through JSON and SQL."""

from __future__ import annotations

import json
import string

import pytest
from pydantic import JsonValue
from sqlalchemy import insert, select

from connectors.database import Database
from datasets.feeds import BadRow
from datasets.people import Person
from datasets.tables.journal import journal
from datasets.tables.requests import requests
from engine import audit, feeds, plan_store
from engine.change import Change, Effect
from engine.journal import Entry, open_stream
from engine.plan import Line, Plan
from engine.proof import verify
from tests.fakes.tenant import START

RULES = [
    r"^\+?(?:0{2}|\+)([1-9]\d{6,14})$",
    r"^(?<cc>[^\]\[\\^-]+)\b.*?\k<cc>{1,2}$",
    r"[[\]{}()*+?.,\\^$|#\s]",
    r"%_\%\_';--\"`$()@{} \u005b &lt;![CDATA[]]>",
    "".join(sorted(string.punctuation)),
]


@pytest.fixture
def asked(database: Database) -> Database:
    """Give a database with a request whose every text is full of such characters."""
    actor = {"actor_kind": "os_user", "actor_name": RULES[0], "actor_verified": False, "state": "open"}
    values = {"id": "r-1", "kind": "onboarding", "created_at": START, "parameters": {rule: [rule] for rule in RULES}}
    with database.write() as connection:
        connection.execute(insert(requests).values(values | actor))
    return database


def line(rule: str) -> Line:
    """Give a line that has the rule in every place that takes a text."""
    policies = {"TenantDialPlan": rule}
    effects = (Effect(object=f"user:{rule}", attribute=f"policy:{rule}", before=rule, after=policies),)
    parameters = {rule: rule, "policies": policies}
    change = Change(kind="set_policies", target=f"user:{rule}", parameters=parameters, effects=effects, reason=rule)
    return Line(object=f"user:{rule}", label=rule, reason=rule, source={rule: rule}, changes=(change,))


def test_rules_survive_the_plan(asked: Database) -> None:
    """As label, parameter, key, effect and policy name they are loaded as they were stored."""
    lines = tuple(map(line, RULES))
    with asked.write() as connection:
        plan_store.save(connection, Plan(id="p-1", request_id="r-1", lines=lines), START)
    with asked.read() as connection:
        found = plan_store.load_lines(connection, "p-1")
        parameters = connection.execute(select(requests.c.parameters)).scalar_one()
    assert [(each.object, each.label, each.reason, each.source) for each in found] == [
        (each.object, each.label, each.reason, each.source) for each in lines
    ]
    assert [tuple(stored.change for stored in each.changes) for each in found] == [each.changes for each in lines]
    assert parameters == {rule: [rule] for rule in RULES}


def test_rules_survive_the_journal(asked: Database) -> None:
    """Payloads and effects are read back as they were, the audit tells them, and the chain over them holds."""
    lines = tuple(map(line, RULES))
    with asked.write() as connection:
        plan_store.save(connection, Plan(id="p-1", request_id="r-1", lines=lines), START)
        stream = open_stream(connection, "p-1", "1", epoch=1, holder="h", now=START)
    with stream.transaction(asked) as appender:
        for number, each in enumerate(lines, start=1):
            payload: JsonValue = {"message": each.label, each.label: [each.label]}
            effects = each.changes[0].effects
            appender.append(Entry(START, number, 1, each.object, "outcome", "verified", payload, effects))
    with asked.read() as connection:
        payloads = connection.execute(select(journal.c.payload).order_by(journal.c.line)).scalars().all()
        told = audit.log(connection, audit.AuditFilter(run="p-1"))
        faults = verify(connection).faults
    assert payloads == [{"message": rule, rule: [rule]} for rule in RULES]
    assert {each["label"] for each in told} == set(RULES)
    assert sorted(json.loads(json.dumps(each["effects"]))[0]["before"] for each in told) == sorted(RULES)
    assert faults == []


def test_rules_survive_the_feed_store(asked: Database) -> None:
    """In the row of a person, and in a quarantined row with its column and cells, they are read back as written."""
    people = [(number, Person(employee_id=f"{number}", department=rule)) for number, rule in enumerate(RULES, start=2)]
    bad = [BadRow(number + 100, rule, f"reason {rule}", raw={rule: rule}) for number, rule in enumerate(RULES)]
    head = feeds.FeedHead(feed_id="f-1", name="w", digest="d", kind="snapshot", request_id="r-1", now=START)
    with asked.write() as connection:
        feeds.record_feed(connection, people=people, bad=bad, **head)
    with asked.read() as connection:
        assert feeds.people_of(connection, "f-1") == people
        rows = feeds.list_quarantine(connection)
    assert [(row.column, row.reason, row.row) for row in rows] == [(r, f"reason {r}", {r: r}) for r in RULES]
