"""The endpoint against a lab: Entra tokens are checked for real, and a workflow hears what became of its task."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from config.settings import read_settings
from connectors.entra_tokens import EntraTokens
from connectors.errors import NotAllowed, Unreachable
from connectors.trust import tls_context
from connectors.workflow_callbacks import address_below
from deployments.dispatcher import Dispatcher, InThisProcess
from deployments.door import Door, make_app
from deployments.door_guard import Guard
from engine.requests import Actor
from flows import continue_waiting
from lab.server import Lab
from tasks.hr_event import answer_callers
from tasks.stage import InProcess
from tasks.work import Work, open_work
from tests.fakes.doors import Client
from tests.fakes.lab_environment import environment_of
from tests.fakes.onboarding_site import untouched
from tests.fakes.set_clock import SetClock

pytestmark = pytest.mark.slow
AUDIENCE = "api://callwright"
TASK = "/identityGovernance/lifecycleWorkflows/workflows/w1/tasks/t1/taskProcessingResults/r1/resume"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run a lab."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=60, seed=5) as running:
        yield running


@pytest.fixture
def work(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Point the settings at the lab; only Entra tokens are believed."""
    graph = str(lab.endpoints["graph_url"]).rpartition("/")[0]
    more = {"AUDIENCE": AUDIENCE, "MAPPING": "workday", "CALLBACKS": f'["{graph}/beta"]'}
    for name, value in environment_of(lab.endpoints, tmp_path).items():
        monkeypatch.setenv(name, value)
    for name, value in more.items():
        monkeypatch.setenv(f"CALLWRIGHT_LISTEN__{name}", value)
    monkeypatch.chdir(tmp_path)
    with open_work() as opened:
        yield opened


@pytest.fixture
def client(work: Work) -> Client:
    """Give a client of the endpoint."""
    settings = read_settings()
    return Client(make_app(Door(work, Guard(settings.listen, settings.tenant, time.monotonic, None))))


def token(endpoints: Mapping[str, Any], scope: str = f"{AUDIENCE}/.default") -> str:
    """Ask the lab's Entra for a token of our app registration."""
    secret = Path(str(endpoints["client_secret_file"])).read_text(encoding="utf-8").strip()
    form = {"grant_type": "client_credentials", "client_id": endpoints["client_id"], "scope": scope}
    with httpx.Client(verify=tls_context(Path(str(endpoints["ca_bundle"])))) as http:
        answer = http.post(f"{endpoints['authority']}/oauth2/v2.0/token", data={**form, "client_secret": secret})
    return str(answer.raise_for_status().json()["access_token"])


def checker(endpoints: Mapping[str, Any], audience: str = AUDIENCE, **other: Any) -> EntraTokens:
    """Give what checks tokens of the lab."""
    return EntraTokens(str(endpoints["authority"]), audience, ca_bundle=Path(str(endpoints["ca_bundle"])), **other)


def test_a_token_of_entra_opens_the_door(client: Client, lab: Lab) -> None:
    """The right audience comes in; one for Graph, and one that was tampered with, do not."""
    good = token(lab.endpoints)
    head, body, sign = good.split(".")
    forged = f"{head}.{body}.{sign[:-8]}AAAAAAAA"
    tried = [good, token(lab.endpoints, "https://graph.microsoft.com/.default"), forged, f"{head}.{body}."]
    found = [client.get("/scim/v2/Users", headers={"Authorization": f"Bearer {each}"}).status_code for each in tried]
    assert found == [200, 401, 401, 401]


def test_tokens_are_checked_in_every_way(lab: Lab) -> None:
    """Expired, without signature, of another issuer or application: refused in one line that holds no token."""
    tokens = lab.parts.tokens
    claims: dict[str, Any] = {"aud": AUDIENCE, "appid": str(lab.endpoints["client_id"])}
    assert checker(lab.endpoints).application_of(tokens.sign(claims, lifetime_s=60)) == lab.endpoints["client_id"]
    bad = [
        tokens.sign(claims, lifetime_s=-60),
        tokens.sign({**claims, "iss": "https://elsewhere"}, lifetime_s=60),
        tokens.sign({**claims, "aud": "api://other"}, lifetime_s=60),
        tokens.sign({"aud": AUDIENCE}, lifetime_s=60),
        jwt.encode(claims, "", algorithm="none"),
        "a.b.c",
    ]
    for each in bad:
        with pytest.raises(NotAllowed) as caught:
            checker(lab.endpoints).application_of(each)
        assert each not in str(caught.value)
    with pytest.raises(NotAllowed, match="another application"):
        checker(lab.endpoints, applications=("somebody",)).application_of(tokens.sign(claims, lifetime_s=60))


class Counting(EntraTokens):
    """Counts how often the keys are fetched."""

    fetched = 0

    def _fetch(self) -> None:
        self.fetched += 1
        super()._fetch()


def test_unknown_keys_are_looked_for_once_in_a_minute(lab: Lab) -> None:
    """A flood of forged tokens does not become a flood of requests; an authority that is down is no refusal."""
    time_set = SetClock()
    bundle = Path(str(lab.endpoints["ca_bundle"]))
    found = Counting(str(lab.endpoints["authority"]), AUDIENCE, ca_bundle=bundle, clock=time_set.clock)
    forged = jwt.encode({"aud": AUDIENCE}, "k" * 32, algorithm="HS256", headers={"kid": "x"})
    for after_s, fetched in ((0, 1), (1, 1), (58, 1), (2, 2)):
        time_set.sleep(after_s)
        with pytest.raises(NotAllowed):
            found.application_of(forged)
        assert found.fetched == fetched
    nowhere = EntraTokens("https://127.0.0.1:1/t", AUDIENCE)
    with pytest.raises(Unreachable):
        nowhere.application_of(lab.parts.tokens.sign({"aud": AUDIENCE}, lifetime_s=60))


def call_of(lab: Lab, task: str) -> dict[str, Any]:
    """Give the call of a workflow about somebody whom nobody has touched, hired for Vienna."""
    user = next(untouched(lab))
    lab.control("PATCH", f"/state/users/{user.id}", {"department": "Finance", "usageLocation": "AT"})
    data = {"subject": {"id": user.id}, "taskProcessingResult": {"id": task}}
    return {
        "data": {**data, "callbackUriPath": TASK.replace("r1", task)},
        "source": "lifecycleWorkflow",
        "type": "lifecycleEvent",
    }


def resumed(lab: Lab, since: int) -> list[object]:
    """Give the statuses of the words that workflows got."""
    return [line["status"] for line in lab.calls.since(since) if line["operation"] == "workflows.resume"]


def test_a_workflow_hears_what_became_of_its_task(client: Client, work: Work, lab: Lab) -> None:
    """202 at once; the user gets a number; then, and only then, Completed arrives, once."""
    body = call_of(lab, "r1")
    headers = {"Authorization": f"Bearer {token(lab.endpoints)}"}
    first, again = (client.post("/workflows/joiner", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.json()) == (202, again.json())
    dispatcher = Dispatcher(work, InThisProcess(), answer_callers.plain)
    dispatcher.look()
    dispatcher.look()
    assert len([line for line in lab.calls.since(0) if line["operation"] == "numberAssignments.assign"]) == 1
    assert resumed(lab, 0) == [204]
    with work.database.read() as connection:
        row = connection.exec_driver_sql("SELECT state, callback_state, callback_attempts FROM events").one()
    assert tuple(row) == ("finished", "sent", 1)


def test_a_workflow_hears_nothing_while_a_licence_waits(
    client: Client, work: Work, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is over and the number is not there yet: word comes once somebody has gone on and all is settled."""
    monkeypatch.setenv("CALLWRIGHT_WAIT__POLL_S", "0.001")
    start = len(lab.calls.since(0))
    lab.control("PATCH", "/settings", {"licence_delay_s": 60})
    headers = {"Authorization": f"Bearer {token(lab.endpoints)}"}
    assert client.post("/workflows/joiner", json=call_of(lab, "r3"), headers=headers).status_code == 202
    dispatcher = Dispatcher(work, InThisProcess(), answer_callers.plain)
    dispatcher.look()
    dispatcher.look()
    with work.database.read() as connection:
        assert connection.exec_driver_sql("SELECT state FROM events").scalar() == "finished"
        assert connection.exec_driver_sql("SELECT outcome FROM feed_rows").scalar() == "waiting"
    assert resumed(lab, start) == []
    lab.parts.clock.advance(100)
    lab.control("PATCH", "/settings", {"licence_delay_s": 0})
    go_on = continue_waiting.ContinueRequest(requested_by="tess")
    continue_waiting.story(go_on, InProcess(), Actor(kind="os_user", name="tess"))
    dispatcher.look()
    assert resumed(lab, start) == [204]


def test_a_workflow_hears_that_its_task_failed(client: Client, work: Work, lab: Lab) -> None:
    """Somebody whom Entra does not know: the event fails, and so does the task."""
    body = {
        "data": {"subject": {"id": "nobody"}, "taskProcessingResult": {"id": "r2"}, "callbackUriPath": TASK},
    }
    headers = {"Authorization": f"Bearer {token(lab.endpoints)}"}
    assert client.post("/workflows/leaver", json=body, headers=headers).status_code == 202
    Dispatcher(work, InThisProcess(), answer_callers.plain).look()
    with work.database.read() as connection:
        row = connection.exec_driver_sql("SELECT state, callback_state FROM events").one()
    assert tuple(row) == ("failed", "sent")
    evil = {"data": {**body["data"], "callbackUriPath": "//evil.example/"}}
    assert client.post("/workflows/leaver", json=evil, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["https://evil.example/x", "//evil.example/x", "x", "/../v1.0/users", "/%2e%2e/users", "/\\evil", "/a@b", "/a\nb"],
)
def test_word_is_sent_below_the_allowed_address_only(path: str) -> None:
    """A path that could lead elsewhere is refused before anything is stored."""
    with pytest.raises(NotAllowed):
        address_below(["https://graph.microsoft.com/beta"], path)
    assert address_below(["https://graph.microsoft.com/beta"], TASK) == f"https://graph.microsoft.com/beta{TASK}"
