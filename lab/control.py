"""The control port: faults, clock, settings, call log and state of the stand-in tenant, as JSON over plain HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from aiohttp import web

from lab import call_routing, state
from lab.clock import stamp
from lab.parts import LabParts
from lab.records import Json
from lab.rules import Refusal, bad_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class ControlEnd:
    """Answers on the control port; only the routing of calls passes the fault plan, nothing the call log."""

    parts: LabParts

    def application(self) -> web.Application:
        """Make the web application."""
        application = web.Application(middlewares=[_refusals], client_max_size=64 * 2**20)
        router = application.router
        router.add_get("/faults", self.list_faults)
        router.add_post("/faults", self.add_fault)
        router.add_delete("/faults", self.clear_faults)
        router.add_delete("/faults/{id}", self.remove_fault)
        router.add_get("/calls", self.calls)
        router.add_get("/clock", self.clock)
        router.add_post("/clock", self.set_clock)
        router.add_get("/settings", self.settings)
        router.add_patch("/settings", self.change_settings)
        router.add_get("/state/users", self.users)
        router.add_post("/state/users", self.add_user)
        router.add_get("/state/users/{id}", self.user)
        router.add_patch("/state/users/{id}", self.change_user)
        router.add_get("/state/numbers", self.numbers)
        router.add_patch("/state/numbers/{number}", self.change_number)
        router.add_patch("/state/skus/{sku}", self.change_sku)
        router.add_get("/state/summary", self.summary)
        router.add_post("/route", self.route)
        return application

    async def list_faults(self, _: web.Request) -> web.Response:
        """GET /faults."""
        return _json({"faults": self.parts.faults.listed()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """POST /faults."""
        return _json({"id": self.parts.faults.add(await _body(request))}, status=201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        """DELETE /faults."""
        self.parts.faults.clear()
        return web.Response(status=204)

    async def remove_fault(self, request: web.Request) -> web.Response:
        """DELETE /faults/{id}."""
        text = request.match_info["id"]
        found = text.isdigit() and self.parts.faults.remove(int(text))
        return web.Response(status=204 if found else 404)

    async def calls(self, request: web.Request) -> web.Response:
        """GET /calls?since=seq."""
        self.parts.tenant.settle()
        return _json({"calls": self.parts.calls.since(int(request.query.get("since", "0")))})

    async def clock(self, _: web.Request) -> web.Response:
        """GET /clock."""
        return _json({"now": stamp(self.parts.clock.now()), "runs": self.parts.clock.runs})

    async def set_clock(self, request: web.Request) -> web.Response:
        """POST /clock with `now` or `advance_s`; what becomes due is done before the answer."""
        body = await _body(request)
        if "now" in body:
            self.parts.clock.set(_moment(str(body["now"])))
        else:
            self.parts.clock.advance(float(str(body.get("advance_s", 0))))
        self.parts.tenant.settle()
        return await self.clock(request)

    async def settings(self, _: web.Request) -> web.Response:
        """GET /settings."""
        return _json(self.parts.settings.as_json())

    async def change_settings(self, request: web.Request) -> web.Response:
        """PATCH /settings."""
        self.parts.settings.change(await _body(request))
        return await self.settings(request)

    async def users(self, _: web.Request) -> web.Response:
        """GET /state/users: everybody, deleted ones too."""
        return _json({"users": state.users(self.parts.tenant)})

    async def user(self, request: web.Request) -> web.Response:
        """GET /state/users/{id or UPN}."""
        return _json(state.user(self.parts.tenant, request.match_info["id"]))

    async def add_user(self, request: web.Request) -> web.Response:
        """POST /state/users: HR provisioning made an account."""
        user = self.parts.tenant.create_user(state.property_names(await _body(request)))
        return _json(state.user(self.parts.tenant, user.id), status=201)

    async def change_user(self, request: web.Request) -> web.Response:
        """PATCH /state/users/{id}: properties, and what happens to accounts outside of any call."""
        tenant, identity = self.parts.tenant, request.match_info["id"]
        user_id = state.change_user(tenant, identity, state.property_names(await _body(request)))
        gone = tenant.find_holder(user_id) is None
        return _json({"id": user_id, "purged": True} if gone else state.user(tenant, user_id))

    async def numbers(self, _: web.Request) -> web.Response:
        """GET /state/numbers: the whole inventory with the holders."""
        return _json({"numbers": state.numbers(self.parts.tenant)})

    async def change_number(self, request: web.Request) -> web.Response:
        """PATCH /state/numbers/{number}: make a number or a ghost owner."""
        return _json(state.change_number(self.parts.tenant, request.match_info["number"], await _body(request)))

    async def change_sku(self, request: web.Request) -> web.Response:
        """PATCH /state/skus/{part number or id}: how many units were bought."""
        return _json(state.change_sku(self.parts.tenant, request.match_info["sku"], await _body(request)))

    async def summary(self, _: web.Request) -> web.Response:
        """GET /state/summary: counts."""
        return _json(state.summary(self.parts.tenant))

    async def route(self, request: web.Request) -> web.Response:
        """POST /route: where a call of a user to a number goes."""
        body = await _body(request)
        user, number = str(body.get("user")), str(body.get("number"))
        modes = self.parts.faults.before("calls.route", user, number).modes
        found = call_routing.route(self.parts.tenant, user, number, overflows="usage_overflow" in modes)
        return _json(found.as_json())


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer refusals as JSON."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return _json({"error": refusal.message}, status=refusal.status)


async def _body(request: web.Request) -> Mapping[str, Json]:
    try:
        body = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise bad_request("the body is not JSON") from error
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body


def _moment(text: str) -> datetime:
    """Read an ISO moment; one without an offset is refused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_request(f"'{text}' is not an ISO 8601 moment") from error
    if moment.tzinfo is None:
        raise bad_request(f"'{text}' has no offset: write it with Z")
    return moment


def _json(body: Json, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
