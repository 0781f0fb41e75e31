"""Tokens of the stand-in identity provider: signed, verified, and the client assertions of certificate credentials."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Mapping

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from jwt.types import Options

from lab.records import Json
from lab.rules import Refusal

GRAPH_AUDIENCE = "https://graph.microsoft.com"
TEAMS_AUDIENCE = "48ac35b8-9aa8-4d74-927d-1f4a14a0b239"
ALGORITHMS = ["RS256", "PS256"]
APPLICATION_AUDIENCE = "api://callwright"  # an application of the customer's own that others may call
AUDIENCES = {f"{each}/.default": each for each in (GRAPH_AUDIENCE, TEAMS_AUDIENCE, APPLICATION_AUDIENCE)}


class Tokens:
    """Signs and verifies tokens, on the machine's time: clients know no other."""

    def __init__(self, key: RSAPrivateKey, issuer: str) -> None:
        self.issuer = issuer
        self._key = key
        self._key_id = uuid.uuid5(uuid.NAMESPACE_URL, str(key.public_key().public_numbers().n)).hex
        self._verified: dict[str, dict[str, Json]] = {}

    def sign(self, claims: Mapping[str, Json], *, lifetime_s: float) -> str:
        """Make a token with these claims; a negative lifetime makes one that is already over."""
        now = int(time.time())
        body = {"iss": self.issuer, "iat": now, "nbf": now - 5, "exp": int(now + lifetime_s), "jti": uuid.uuid4().hex}
        return jwt.encode({**body, **claims}, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def verify(self, token: str, audience: str) -> dict[str, Json]:
        """Give the claims of a token for this audience; refuses as 401 otherwise."""
        claims = self._verified.get(token) or self._decode(token)
        if claims.get("aud") != audience:
            raise Refusal(
                "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.", status=401
            )
        if float(str(claims["exp"])) < time.time():
            raise Refusal("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.", status=401)
        return claims

    def key_set(self) -> dict[str, Json]:
        """Give the public key as a JWKS document."""
        key: dict[str, Json] = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    def _decode(self, token: str) -> dict[str, Json]:
        options: Options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims: dict[str, Json] = jwt.decode(token, self._key.public_key(), algorithms=["RS256"], options=options)
        except jwt.InvalidTokenError as error:
            message = "CompactToken parsing failed or the signature is invalid."
            raise Refusal("InvalidAuthenticationToken", message, status=401) from error
        if len(self._verified) > 1000:
            self._verified.clear()
        self._verified[token] = claims
        return claims


class ClientCertificate:
    """The registered certificate against which client assertions are checked."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate

    def accepts(self, assertion: str, *, client_id: str, audience: str) -> bool:
        """Tell whether an assertion is ours: RS256 with `x5t`, or PS256 with `x5t#S256`."""
        key = self._certificate.public_key()
        try:
            header = jwt.get_unverified_header(assertion)
            if not isinstance(key, RSAPublicKey) or header.get("alg") not in ALGORITHMS or not self._names_us(header):
                return False
            wanted: Options = {"require": ["exp", "iss", "sub", "aud", "jti"]}
            claims = jwt.decode(assertion, key, algorithms=ALGORITHMS, audience=audience, options=wanted)
        except jwt.InvalidTokenError:
            return False
        return bool(claims["iss"] == client_id and claims["sub"] == client_id)

    def _names_us(self, header: Mapping[str, object]) -> bool:
        sha1 = self._certificate.fingerprint(hashes.SHA1())  # noqa: S303 - x5t is defined as SHA-1
        digests = {"RS256": ("x5t", sha1), "PS256": ("x5t#S256", self._certificate.fingerprint(hashes.SHA256()))}
        name, digest = digests[str(header.get("alg"))]
        # MSAL keeps the padding of base64url in `x5t`.
        return str(header.get(name)).rstrip("=") == _base64url(digest)


def challenge(verifier: str) -> str:
    """Give the S256 code challenge of a PKCE verifier."""
    return _base64url(hashlib.sha256(verifier.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
