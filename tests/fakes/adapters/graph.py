"""Graph's directory under the conformance suite."""

from __future__ import annotations

from contextlib import AbstractContextManager
from uuid import uuid4

from connectors.graph import Graph
from tests.fakes.conformance import Adapter, Site
from tests.fakes.graph_site import HURRIED, app_of, graph_of
from tests.fakes.lab_control import LabControl

UNUSED = "https://127.0.0.1:9/v1.0"


class GraphAdapter(Adapter[Graph]):
    """Users and licences."""

    name = "graph"
    read_operation = "GET /users*"
    write_operation = "PATCH /users*"

    def open(self, site: Site) -> AbstractContextManager[Graph]:
        """Give a client; a site that is down has tokens but no Graph."""
        endpoints = {**site.endpoints, "graph_url": UNUSED} if site.is_down else site.endpoints
        app = app_of(endpoints, secret="wrong-canary" if site.has_wrong_credentials else None)
        return graph_of(endpoints, app=app, clock=HURRIED if site.hurry else None, deadline_s=site.deadline_s)

    def read(self, connector: Graph) -> object:
        """Read the users."""
        return list(connector.users())

    def read_nothing(self, connector: Graph) -> object:
        """Read users who are not there, in each way."""
        nobody = f"nobody-{uuid4()}"
        return connector.user(nobody) or connector.users_by_employee_ids([nobody]) or connector.group_by_name(nobody)

    def write(self, connector: Graph, control: LabControl) -> None:
        """Set a new user's usage location."""
        connector.set_usage_location(_new_user(control)["id"], "AT")

    def echo(self, connector: Graph, control: LabControl, text: str) -> str | None:
        """Have an account made with the text as name, and find it by its employee id."""
        employee = f"{uuid4().hex[:8]}-{text}"
        _new_user(control, display_name=text, employee_id=employee)
        (user,) = connector.users_by_employee_ids([employee])[employee]
        return user.display_name


def _new_user(control: LabControl, **attributes: object) -> dict[str, str]:
    return control.new_user(user_principal_name=f"{uuid4().hex}@example.test", **attributes)


ADAPTER = GraphAdapter()
