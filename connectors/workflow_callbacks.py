"""The answer to a lifecycle workflow that waits: one POST to the address that it named, below an allowed one.

It changes no user; the workflow goes on or stops by it. Facts: docs/hr-event.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from connectors.errors import NotAllowed, Throttled, Unreachable
from connectors.tokens import Tokens
from connectors.trust import tls_context

DEADLINE_S = 30.0


def address_below(allowed: Sequence[str], path: str) -> str:
    """Give the whole address of a call-back path. Raises NotAllowed for one that could lead elsewhere."""
    base = allowed[0] if allowed else ""
    plain = unquote(path)
    is_path = path.startswith("/") and not plain.startswith("//") and not urlsplit(plain).netloc
    if not base or not is_path or ".." in plain or "\\" in plain or "@" in plain or not plain.isprintable():
        raise NotAllowed("the call-back is no path below an allowed address ; see listen.callbacks in the settings")
    return base.rstrip("/") + path


def resume(allowed: Sequence[str], path: str, tokens: Tokens, ca_bundle: Path | None, status: str) -> None:
    """Tell a workflow that its task is Completed or Failed. Raises NotAllowed, Throttled or Unreachable."""
    body = {"source": "callwright", "type": "lifecycleEvent", "data": {"operationStatus": status}}
    address = address_below(allowed, path)
    headers = {"Authorization": f"Bearer {tokens.token()}"}
    try:
        with httpx.Client(verify=tls_context(ca_bundle), timeout=DEADLINE_S, trust_env=False) as client:
            answer = client.post(address, json=body, headers=headers, follow_redirects=False)
    except httpx.HTTPError as error:
        raise Unreachable(f"the workflow cannot be answered ({type(error).__name__}) ; it is tried again") from error
    if answer.status_code == 429:
        raise Throttled("the workflow cannot be answered now ; it is tried again", retry_after_s=60)
    if answer.status_code >= 500:
        raise Unreachable(f"the workflow cannot be answered ({answer.status_code}) ; it is tried again")
    if not answer.is_success:
        what = f"the workflow refuses our answer ({answer.status_code})"
        raise NotAllowed(f"{what} ; authorise our app registration in the custom task extension")
