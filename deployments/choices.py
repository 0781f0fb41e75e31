"""What forms offer to choose from: read from the site policy when they are registered, and again when it changes.

A site policy that cannot be read leaves the forms as they are: its runs say what is wrong with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx

from config.errors import InputRefused
from config.site_names import Names
from connectors.errors import ConnectorError
from engine.pool_terms import pool_terms
from flows.choices import filled, has_choices
from tasks.work import open_work

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.deployments.runner import RunnerDeployment

LOOK_S = 30.0
log = logging.getLogger("callwright.serve")


def site_names() -> Names | None:
    """Read what the site knows, pools that a command made included; None when it cannot be read."""
    try:
        with open_work() as work, work.database.read() as connection:
            offered = [name for name, terms in pool_terms(connection, work.site).items() if terms.is_offered]
            return work.site.names(offered)
    except (InputRefused, ConnectorError) as error:
        log.warning("the forms offer no names to choose from: %s", error)
        return None


class Choices:
    """The forms that offer names of the site, and what they offer."""

    def __init__(self, deployments: Sequence[RunnerDeployment]) -> None:
        schemas = [(each, each._parameter_openapi_schema.model_dump()) for each in deployments]
        self._forms: list[tuple[RunnerDeployment, dict[str, Any]]] = [pair for pair in schemas if has_choices(pair[1])]
        self._shown: Names | None = None

    def fill(self) -> list[RunnerDeployment]:
        """Offer what the site knows now; gives the forms that changed."""
        names = site_names() if self._forms else None
        if names is None or names == self._shown:
            return []
        self._shown = names
        for deployment, schema in self._forms:
            kind = type(deployment._parameter_openapi_schema)
            deployment._parameter_openapi_schema = kind(**filled(schema, names))
        return [deployment for deployment, _ in self._forms]

    def keep_fresh(self, stop: Event, look_s: float = LOOK_S) -> None:
        """Look again and again, and tell the server when the site knows other names, until told to stop."""
        from prefect import get_client
        from prefect.exceptions import PrefectHTTPStatusError

        while not stop.wait(look_s):
            try:
                changed = self.fill()
                if changed:
                    with get_client(sync_client=True) as client:
                        offer(client, changed)
                    log.info("the forms offer what the site knows now")
            except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                self._shown = None  # tried again at the next look
                log.warning("the forms were not brought up to date: %s", error)


def offer(client: SyncPrefectClient, deployments: Sequence[RunnerDeployment]) -> None:
    """Bring the forms of deployments that are registered up to date."""
    from prefect.client.schemas.actions import DeploymentUpdate
    from prefect.exceptions import ObjectNotFound

    for each in deployments:
        schema = each._parameter_openapi_schema.model_dump(exclude_unset=True)
        try:
            found = client.read_deployment_by_name(each.full_name)
        except ObjectNotFound:
            continue
        client.update_deployment(found.id, DeploymentUpdate(parameter_openapi_schema=schema))
