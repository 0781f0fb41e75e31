"""A person signs in at the lab's identity provider: code with PKCE, answered to this machine."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from connectors.errors import ConnectorError, NotAllowed, Unreachable
from connectors.sign_in import sign_in
from lab.server import Lab
from tests.fakes.graph_site import app_of

FORBIDDEN_WORDS = ("code=", "secret", "eyJ")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give a lab of its own."""
    with Lab(folder=tmp_path_factory.mktemp("lab"), users=10, seed=5) as running:
        yield running


class Browser:
    """Follows a sign-in address as a person would, choosing one user, in a thread of its own."""

    def __init__(self, lab: Lab, upn: str, *, tamper: str = "") -> None:
        self._upn, self._tamper = upn, tamper
        self._ca = str(Path(str(lab.endpoints["ca_bundle"])))
        self.address = ""

    def __call__(self, address: str) -> None:
        """Open the address."""
        self.address = address
        threading.Thread(target=self._follow, args=(address,), daemon=True).start()

    def _follow(self, address: str) -> None:
        context = ssl.create_default_context(cafile=self._ca)
        with httpx.Client(verify=context, trust_env=False) as client:
            page = client.get(f"{address}&login_hint={self._upn}").text
            form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page))
            form["state"] += self._tamper
            client.post(re.search(r'action="([^"]+)"', page)[1], data=form)  # type: ignore[index] # the page has one


def tenant_of(lab: Lab) -> str:
    """Give the tenant's id."""
    return str(lab.endpoints["tenant_id"])


def upn_of(lab: Lab) -> str:
    """Give somebody who can sign in."""
    people = [user for user in lab.tenant.users.values() if user.account_type == "user"]
    return next(user.upn for user in people if user.fields["accountEnabled"])


def test_who_signed_in_is_told_by_the_provider(lab: Lab) -> None:
    """Object id, UPN and tenant come from the identity token; the address carries a PKCE challenge and no secret."""
    browser = Browser(lab, upn_of(lab))
    found = sign_in(app_of(lab.endpoints), tenant_of(lab), browser, give_up_s=20)
    assert found.upn == upn_of(lab)
    assert found.object_id == next(user.id for user in lab.tenant.users.values() if user.upn == found.upn)
    assert "code_challenge_method=S256" in browser.address
    assert not [word for word in FORBIDDEN_WORDS if word in browser.address]


def test_an_answer_to_another_question_is_refused(lab: Lab) -> None:
    """An answer whose state is not ours is not believed."""
    with pytest.raises(ConnectorError, match="state"):
        sign_in(app_of(lab.endpoints), tenant_of(lab), Browser(lab, upn_of(lab), tamper="x"), give_up_s=20)


def test_a_person_of_another_tenant_is_refused(lab: Lab) -> None:
    """Who is signed in elsewhere has no say here."""
    with pytest.raises(NotAllowed, match="another tenant"):
        sign_in(app_of(lab.endpoints), "another", Browser(lab, upn_of(lab)), give_up_s=20)


def test_nobody_signing_in_ends_after_a_while(lab: Lab) -> None:
    """A sign-in that nobody finishes ends by itself."""
    with pytest.raises(Unreachable, match="nobody signed in"):
        sign_in(app_of(lab.endpoints), tenant_of(lab), lambda _: None, give_up_s=0.05)
