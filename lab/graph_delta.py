"""Users delta of the Graph end: everything first, then what changed since, with tombstones and tokens that expire."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lab.graph_messages import Answer, Call, link, seal, unseal
from lab.graph_pages import selected
from lab.graph_users import DEFAULT, KNOWN, shape
from lab.records import Json
from lab.rules import Refusal

PAGE = 200


class Expired(Refusal):
    """The delta token is too old: start again at the Location."""


def list_changes(call: Call) -> Answer:
    """GET /users/delta."""
    for option in ("$filter", "$top", "$orderby", "$expand", "$search"):
        if option in call.query:
            raise Refusal("Request_UnsupportedQuery", f"'{option}' is not supported by the delta query of the lab.")
    token = call.query.get("$deltatoken")
    if token == "latest":  # noqa: S105 - a word of the protocol
        return _last_page(call, [], call.parts.tenant.history.last)
    state = unseal(token or call.query.get("$skiptoken") or seal({}))
    if not state:
        state = {"s": call.parts.tenant.history.last, "p": 0, "at": _now(call).isoformat()}
    if "p" in state:
        return _first_round(call, state)
    return _changes(call, state)


def _first_round(call: Call, state: Mapping[str, Json]) -> Answer:
    """Give everybody, in the order of the accounts' age."""
    order, at = call.parts.tenant.order, int(str(state["p"]))
    names = selected(call, KNOWN, DEFAULT)
    size = _page_size(call)
    users = [user for user_id in order[at : at + size] if (user := call.view.user_by_id(user_id))]
    values: list[Json] = [shape(call.parts.tenant, user, names) for user in users]
    if at + size < len(order):
        return _next_page(call, values, {**state, "p": at + size})
    return _last_page(call, values, int(str(state["s"])))


def _changes(call: Call, state: Mapping[str, Json]) -> Answer:
    """Give the accounts that changed after the token, once per page."""
    tenant, seq = call.parts.tenant, int(str(state["s"]))
    age = _now(call) - datetime.fromisoformat(str(state["at"]))
    if age > timedelta(days=tenant.settings.delta_token_days) or not tenant.history.reaches(seq):
        text, status = (
            "The delta token is expired: full synchronisation is required.",
            tenant.settings.delta_expired_status,
        )
        raise Expired("syncStateNotFound", text, status=status)
    visible = _now(call) - timedelta(seconds=max(call.verdict.lag_s, tenant.settings.replication_lag_s))
    changed: dict[str, None] = {}
    size = _page_size(call)
    for version in tenant.history.since(seq):
        if version.at > visible:
            break
        if len(changed) >= size:
            return _next_page(call, _shapes(call, changed), {"s": seq, "at": state["at"]})
        seq = version.seq
        if version.key[0] == "user":
            changed[str(version.key[1])] = None
    return _last_page(call, _shapes(call, changed), seq)


def _page_size(call: Call) -> int:
    """Read `Prefer: odata.maxpagesize=N`; larger wishes get the usual page."""
    found = re.search(r"odata\.maxpagesize=(\d+)", call.header("Prefer"))
    return min(PAGE, max(1, int(found[1]))) if found else PAGE


def _shapes(call: Call, ids: Mapping[str, None]) -> list[Json]:
    names = selected(call, KNOWN, DEFAULT)
    return [_shape(call, user_id, names) for user_id in ids]


def _shape(call: Call, user_id: str, names: Sequence[str]) -> Json:
    user = call.view.user_by_id(user_id)
    if user is not None:
        return shape(call.parts.tenant, user, names)
    reason = "changed" if user_id in call.parts.tenant.deleted else "deleted"
    return {"id": user_id, "@removed": {"reason": reason}}


def _next_page(call: Call, values: list[Json], state: Mapping[str, Json]) -> Answer:
    return Answer(body={"@odata.nextLink": link(call, skiptoken=seal(state)), "value": values})


def _last_page(call: Call, values: list[Json], seq: int) -> Answer:
    sealed = seal({"s": seq, "at": _now(call).isoformat()})
    return Answer(body={"@odata.deltaLink": link(call, deltatoken=sealed), "value": values})


def _now(call: Call) -> datetime:
    return call.parts.clock.now()
