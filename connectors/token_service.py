"""The token service as MSAL reaches it: an HTTP session of our own, and its failures as errors of the tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from msal.exceptions import MsalError

from connectors.app_registration import AppRegistration
from connectors.errors import ConnectorError, Invalid, NotAllowed, Throttled, Unreachable

SYSTEM = "token service"
_TIMEOUT_S = (10.0, 20.0)  # to connect, to answer
_DEFAULT_PAUSE_S = 5.0
_REMEDIES = {
    "AADSTS700016": "check client_id, and that the app registration is in this tenant",
    "AADSTS7000215": "check that the secret reference holds the secret's value, not its id",
    "AADSTS7000222": "the secret has expired: make a new one and store it under the secret reference",
    "AADSTS700027": "upload this certificate to the app registration, or correct the reference to it",
    "AADSTS90002": "check the tenant id in authority",
}
_CREDENTIALS = "check client_id and the secret or certificate it refers to"


class ServiceFailedError(requests.RequestException):
    """The token service answered, but with 429 or 5xx; MSAL then falls back to a token it has."""

    def __init__(self, status: int, retry_after_s: float) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        super().__init__(f"HTTP {status}")


class TokenSession(requests.Session):
    """A session that ignores the environment's proxies and bundles, and that always has a time limit."""

    def __init__(self, authorities: str) -> None:
        super().__init__()
        self.trust_env = False  # REQUESTS_CA_BUNDLE would otherwise win over our bundle
        self.verify = authorities

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send; raises ServiceFailedError for 429 and 5xx, which MSAL would remember or hide."""
        kwargs["timeout"] = kwargs.get("timeout") or _TIMEOUT_S
        answer = super().request(*args, **kwargs)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise ServiceFailedError(answer.status_code, _retry_after_s(answer.headers))
        return answer


def _retry_after_s(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() else _DEFAULT_PAUSE_S


@contextmanager
def as_connector_errors(app: AppRegistration) -> Iterator[None]:
    """Turn what MSAL and its session raise into errors of the tree, without the request they carry."""
    try:
        yield
    except requests.RequestException as error:
        # The request holds the secret in its body; an exception may be pickled or printed with its attributes.
        error.request = error.response = None
        raise _transport_error(app, error) from error
    except (MsalError, RuntimeError) as error:
        raise Unreachable(f"{_could_not(app)}: {_line(app, str(error))} ; try again later", system=SYSTEM) from error
    except ValueError as error:
        raise _configuration_error(app, error) from error


def _transport_error(app: AppRegistration, error: requests.RequestException) -> ConnectorError:
    match error:
        case ServiceFailedError(status=429):
            message = f"{_could_not(app)}: told to wait {error.retry_after_s:.0f} s ; it is tried again then"
            return Throttled(message, retry_after_s=error.retry_after_s, system=SYSTEM)
        case ServiceFailedError():
            message = f"{_could_not(app)}: the service fails with {error} ; try again later"
            return Unreachable(message, system=SYSTEM)
        case requests.exceptions.SSLError():
            message = f"{_could_not(app)}: its TLS certificate is not trusted ; set ca_bundle to the file of its issuer"
            return NotAllowed(message, system=SYSTEM)
        case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
            return Invalid(f"{_could_not(app)}: this is no https address ; correct authority", system=SYSTEM)
        case _:
            message = f"{_could_not(app)}: no answer ({type(error).__name__}) ; check the network and authority"
            return Unreachable(message, system=SYSTEM)


def _configuration_error(app: AppRegistration, error: ValueError) -> ConnectorError:
    text = _line(app, str(error))
    if any(word in text.casefold() for word in ("private key", "deserialize", "pem", "certificate", "thumbprint")):
        message = f"{_could_not(app)}: the certificate or its private key cannot be read ; {_CREDENTIALS}"
        return NotAllowed(message, system=SYSTEM)
    return Invalid(f"{_could_not(app)}: {text} ; {_remedy(text, 'check authority')}", system=SYSTEM)


def refusal(app: AppRegistration, answer: Mapping[str, Any]) -> ConnectorError:
    """Give the error for an answer without a token."""
    code = str(answer.get("error", "no token"))
    text = _line(app, str(answer.get("error_description") or code))
    if code in ("temporarily_unavailable", "server_error"):
        return Unreachable(f"{_could_not(app)}: {text} ; try again later", system=SYSTEM)
    kind = Invalid if code == "invalid_scope" else NotAllowed
    return kind(f"{_could_not(app)}: {code}: {text} ; {_remedy(text, _CREDENTIALS)}", system=SYSTEM)


def _could_not(app: AppRegistration) -> str:
    return f"could not sign in {app.client_id} at {app.authority}"


def _line(app: AppRegistration, text: str) -> str:
    return app.redacted(" ".join(text.split("\n", maxsplit=1)[0].split()))[:300]


def _remedy(text: str, otherwise: str) -> str:
    code = text.partition(":")[0].strip()
    return _REMEDIES.get(code, otherwise)
