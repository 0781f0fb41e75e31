"""The number inventory: pools, their ranges, the numbers that are taken and the intervals of those that are not.

Sparse: rows depend on what is taken, never on how large a range is. A plain number is (space 0, width 0, n); an
extension is (its base, its number of digits, n), so `;ext=07` and `;ext=7` stay apart and both sort by value.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    true,
)

from datasets.tables.metadata import Json, Moment, metadata

_TAKEN_STATES = ("claimed", "assigned", "reserved", "grace", "blocked")

pools = Table(
    "pools",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("site", String(80), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("number_class", String(40), nullable=False),
    Column("country", String(2), nullable=False, default="", server_default=""),
    Column("carrier", String(80), nullable=False, default="", server_default=""),
    Column("tags", Json, nullable=False, default=list, server_default="[]"),
    Column("is_policy", Boolean, nullable=False, default=True, server_default=true()),  # else made by command
    Column("base_beside_extensions", Boolean, nullable=False),
    # Counters are kept: counting a million rows for every page is no answer. The row is also the pool's lock.
    *(Column(state, BigInteger, nullable=False, default=0) for state in ("free", "withheld", *_TAKEN_STATES)),
)

ranges = Table(
    "ranges",
    metadata,
    Column("space", BigInteger, primary_key=True, autoincrement=False),
    Column("width", SmallInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("pool_id", Integer, ForeignKey("pools.id"), nullable=False),
    Column("is_added", Boolean, nullable=False, default=False, server_default=false()),  # by command, not by policy
    CheckConstraint("first <= last", name="ordered"),
    Index("ix_ranges_pool_id", "pool_id"),
    sqlite_with_rowid=False,
)

withheld_spans = Table(
    "withheld_spans",
    metadata,
    Column("pool_id", Integer, ForeignKey("pools.id"), primary_key=True),
    Column("space", BigInteger, primary_key=True, autoincrement=False),
    Column("width", SmallInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_added", Boolean, nullable=False, default=False, server_default=false()),
    sqlite_with_rowid=False,
)

# Every number of a pool that is not taken, as maximal intervals: free ones and withheld ones.
intervals = Table(
    "intervals",
    metadata,
    Column("pool_id", Integer, ForeignKey("pools.id"), primary_key=True),
    Column("is_free", Boolean, primary_key=True),
    Column("space", BigInteger, primary_key=True, autoincrement=False),
    Column("width", SmallInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    CheckConstraint("first <= last", name="ordered"),
    sqlite_with_rowid=False,
)

# The primary key is the last guard: whatever else fails, a number has one row and so one owner.
taken = Table(
    "taken",
    metadata,
    Column("space", BigInteger, primary_key=True, autoincrement=False),
    Column("width", SmallInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("pool_id", Integer, ForeignKey("pools.id"), nullable=True),  # null: a number of no pool, never offered
    Column("state", String(10), nullable=False),
    Column("owner", String(300), nullable=False),
    Column("reason", Text, nullable=False),
    Column("plan_id", String(40), nullable=True),
    Column("until", Moment, nullable=True),
    Column("since", Moment, nullable=False),
    Column("kept_state", String(10), nullable=True),
    Column("kept_reason", Text, nullable=False, default=""),
    Column("kept_until", Moment, nullable=True),
    CheckConstraint(f"state IN {_TAKEN_STATES}", name="state"),
    CheckConstraint("state <> 'claimed' OR (plan_id IS NOT NULL AND until IS NOT NULL)", name="claim"),
    Index("ix_taken_owner", "owner"),
    sqlite_with_rowid=False,
)
Index(
    "ix_taken_until",
    taken.c.until,
    sqlite_where=taken.c.until.is_not(None),
    postgresql_where=taken.c.until.is_not(None),
)
Index(
    "ix_taken_plan_id",
    taken.c.plan_id,
    sqlite_where=taken.c.plan_id.is_not(None),
    postgresql_where=taken.c.plan_id.is_not(None),
)
