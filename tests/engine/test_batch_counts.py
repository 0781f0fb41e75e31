"""How the users of a batch stand is read by user: in a batch of ten thousand it is asked after every chunk."""

from __future__ import annotations

from sqlalchemy import event

from connectors.database import Database
from datasets.batches import BatchOptions
from engine import batches, plan_store, requests
from engine.batches import Member
from engine.plan import Line, LineState, Plan
from engine.requests import Actor
from engine.runtime import utc_now

USERS = ("id-1", "id-2", "id-3", "id-4")


def plan(database: Database, plan_id: str, states: dict[str, LineState], success: str) -> None:
    """Store a plan with a line for each user, in these states."""
    with database.write() as connection:
        actor = Actor(kind="os_user", name="t")
        request = requests.open_request(connection, "x", actor, parameters={}, flow_run_id=None, now=utc_now())
        lines = tuple(Line(object=f"user:{user}", label=user, success=success, changes=()) for user in states)
        plan_store.save(connection, Plan(id=plan_id, request_id=request, lines=lines), utc_now())
        for line in plan_store.load_lines(connection, plan_id):
            line.state = states[line.label]
            plan_store.set_line(connection, line)


def moved_and_partly_undone(database: Database) -> str:
    """Give a batch of four: moved, moved and taken back, moved and half taken back, failed."""
    verified, failed = LineState.VERIFIED, LineState.FAILED
    moved = dict.fromkeys(USERS[:3], verified) | {USERS[3]: failed}
    plan(database, "p-move", moved, "migrated")
    plan(database, "p-undo", {USERS[1]: verified, USERS[2]: failed}, "undone")
    with database.write() as connection:
        members = [Member(row, user, user, user) for row, user in enumerate(USERS, start=1)]
        batch = batches.create(connection, "b", {}, BatchOptions(), members, by="t", now=utc_now())
        batches.note_plan(connection, batch, 1, "p-move")
        batches.note_undo(connection, batch, 1, "p-undo")
    return batch


def test_users_are_counted_by_where_they_stand(database: Database) -> None:
    """Who was taken back is undone, who could not be is still migrated, and a failure stays one."""
    batch = moved_and_partly_undone(database)
    with database.read() as connection:
        assert batches.counts(connection, batch) == {"migrated": 2, "undone": 1, "failed": 1}
        assert batches.to_plan(connection, batch, 1) == ["id-1", "id-3", "id-4"]
        assert [each.state for each in batches.standings(connection, batch)] == [
            "migrated", "undone", "migrated", "failed"
        ]  # fmt: skip


def test_no_user_is_looked_up_among_all_lines(sqlite: Database) -> None:
    """Neither the lines of a plan nor those of a state are read for each user: that would grow with the square."""
    asked: list[tuple[str, object]] = []
    event.listen(sqlite.engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    with sqlite.read() as connection:
        batches.counts(connection, "b")
        query, values = asked[-1]
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()  # type: ignore[arg-type] # as given
    found = [step[3] for step in steps if "move" in step[3] or "undo" in step[3]]
    assert found
    assert all("ix_plan_lines_object" in step for step in found), found
