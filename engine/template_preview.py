"""Preview: what changed templates, or a change of group membership, would do to whom, before anyone applies it.

Reading only. Everybody of the feeds is compared with the templates there are and with those to come; what differs
between the two is what the change does. Numbers are sticky: only who has none would be given one, and whoever moved
where the template says that a move changes the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from config.errors import InputRefused
from config.site_policy import SitePolicy
from datasets.templates import choose_template
from engine import feed_people, movers
from engine.drift import Difference, check, terms_of
from engine.group_members import Join, as_joined, members_of
from engine.lives import Lives
from engine.locations import locations_of
from engine.observe import Row, calling_of, directory_users, groups_of, in_groups, situations
from engine.onboarding import Situation
from engine.pool_terms import pool_terms, refuse_unknown_pools
from engine.runtime import Runtime

MOST_GROUPS = 64
FEED = "the next feed"


@dataclass(frozen=True)
class Preview:
    """What a change would do: counts first, then every value of every user."""

    people: int
    users: int
    counts: Mapping[str, int]
    moves: Mapping[str, int]
    rows: Sequence[Difference]
    notes: Sequence[str]


def preview(runtime: Runtime, site: SitePolicy, after: SitePolicy, joins: Sequence[Join] = ()) -> Preview:
    """Compare what is wanted now with what would be. Raises InputRefused, and what the connectors raise."""
    with runtime.database.read() as connection:
        refuse_unknown_pools(after, pool_terms(connection, after))
        rows = [Row(feed_id, line, person) for feed_id, line, person in feed_people.everybody(connection)]
    if not rows:
        raise InputRefused("no feed was read yet, so nobody is known", remedy="run the feed once, a dry run is enough")
    now = Lives(runtime, site, grace_days=0).look(situations(runtime, site.templates, rows))
    then = locations_of(runtime, after).placed(runtime, _as_after(runtime, after, joins, now))
    now = locations_of(runtime, site).placed(runtime, now)
    rows_now, rows_then = _wanted(runtime, site, now), _wanted(runtime, after, then)
    known = {_key(each) for each in rows_now}
    found = [each for each in rows_then if _key(each) not in known]
    return Preview(
        people=len(rows),
        users=len({each.user for each in found}),
        counts=_counts(found),
        moves=_moves(now, then),
        rows=found,
        notes=list(_notes(after)),
    )


def _as_after(runtime: Runtime, after: SitePolicy, joins: Sequence[Join], now: Sequence[Situation]) -> list[Situation]:
    """Choose everybody's template anew, as if the groups had been joined already."""
    named = groups_of(after.templates)
    members = members_of(runtime, {*named, *(name for join in joins for name in (join.group, join.into))})
    members = as_joined(runtime, members, joins)
    groups = [in_groups(each.accounts, members) for each in now]
    choices = [choose_template(each.person, mine, after.templates) for each, mine in zip(now, groups, strict=True)]
    accounts = [account for each in now for account in each.accounts]
    ad = directory_users(runtime, accounts, (choice.template for choice in choices))
    return [
        replace(
            each,
            template=choice.template,
            why=choice.why,
            calling=calling_of(runtime, choice.template, each.voice),
            ad=ad.get(each.account.on_premises_sam_account_name or "") if each.account else None,
            in_groups=mine,
        )
        for each, choice, mine in zip(now, choices, groups, strict=True)
    ]


def _wanted(runtime: Runtime, site: SitePolicy, seen: Sequence[Situation]) -> list[Difference]:
    terms = terms_of(runtime, [each.template for each in seen if each.template])
    found = [difference for each in seen for difference in check(each, terms, site).differences]
    return [*found, *(difference for each in seen if (difference := _new_number(each)) is not None)]


def _new_number(situation: Situation) -> Difference | None:
    """Say that the next feed gives somebody who moved another number, as the template wants it: `new_number_on`."""
    account, template = situation.account, situation.template
    if account is None or template is None or situation.number is None or not situation.is_at_work:
        return None
    if not movers.wants_new_number(situation):
        return None
    why = f"moved, and new_number_on is {template.new_number_on}: the old number rests"
    name, wanted = account.user_principal_name, f"one of pool {template.pool}"
    return Difference(account.id, name, template.name, "number", situation.number, wanted, FEED, why)


def _key(each: Difference) -> tuple[str, str, str]:
    return each.user, each.attribute, repr(each.wanted)


def _counts(found: Sequence[Difference]) -> dict[str, int]:
    """Count users by what changes for them."""
    kinds = {(each.user, each.attribute.partition(":")[0]) for each in found}
    return dict(sorted(Counter(kind for _, kind in kinds).items()))


def _moves(now: Sequence[Situation], then: Sequence[Situation]) -> dict[str, int]:
    """Count who gets another template."""
    pairs = ((_name(before), _name(later)) for before, later in zip(now, then, strict=True))
    return dict(sorted(Counter(f"{before} → {later}" for before, later in pairs if before != later).items()))


def _name(situation: Situation) -> str:
    return situation.template.name if situation.template else "none"


def _notes(site: SitePolicy) -> Iterator[str]:
    """Say where templates use more groups than Teams' own group assignment of a policy type takes."""
    groups: dict[str, set[str]] = {}
    for template in site.templates:
        for kind in template.policies:
            groups.setdefault(kind, set()).update(name.casefold() for name in template.match.groups)
    for kind, names in sorted(groups.items()):
        if len(names) > MOST_GROUPS:
            yield (
                f"{len(names)} groups decide on {kind}: Teams assigns one to at most {MOST_GROUPS} groups itself ; "
                "Callwright grants to each user, which has no such limit"
            )


def as_values(found: Preview, limit: int) -> dict[str, JsonValue]:
    """Give a preview as plain values, the rows up to a limit."""
    rows: list[JsonValue] = [dict(vars(each)) for each in found.rows[:limit]]
    return {
        "people": found.people,
        "users": found.users,
        "counts": dict(found.counts),
        "moves": dict(found.moves),
        "notes": list(found.notes),
        "rows": rows,
    }
