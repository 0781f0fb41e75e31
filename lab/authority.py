"""The stand-in identity provider: discovery, tokens for applications, and sign-in of people (code + PKCE)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import orjson
from aiohttp import web

from lab import signin
from lab.calls import CallLine
from lab.faults import Verdict
from lab.parts import LabParts
from lab.records import Json, User
from lab.tokens import AUDIENCES, GRAPH_AUDIENCE, ClientCertificate, challenge

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PERSONAL_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})


@dataclass(frozen=True, slots=True)
class Registration:
    """The registered application and its credentials."""

    client_id: str
    client_secret: str
    certificate: ClientCertificate


@dataclass(slots=True)
class OAuthError(Exception):
    """An answer of the token endpoint that is no token."""

    status: int
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A sign-in that waits for its code (or refresh token) to be redeemed."""

    user_id: str
    scope: str
    redirect_uri: str = ""
    nonce: str = ""
    challenge: str = ""


@dataclass(slots=True)
class Authority:
    """Answers under `https://<host>/<tenant id>/…`."""

    parts: LabParts
    registration: Registration
    origin: str
    codes: dict[str, Grant] = field(default_factory=dict)
    refreshers: dict[str, Grant] = field(default_factory=dict)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Publish the endpoints."""
        tenant = f"/{self.parts.tenant.tenant_id}"
        for prefix in (f"{tenant}/v2.0", tenant):
            router.add_get(f"{prefix}/.well-known/openid-configuration", self.discovery)
        router.add_get("/common/discovery/instance", self.instance_discovery)
        router.add_get(f"{tenant}/discovery/v2.0/keys", self.keys)
        router.add_post(f"{tenant}/oauth2/v2.0/token", self.token)
        router.add_get(f"{tenant}/oauth2/v2.0/authorize", self.sign_in_page)
        router.add_post(f"{tenant}/oauth2/v2.0/authorize", self.sign_in)

    @property
    def base(self) -> str:
        """Give the authority's address."""
        return f"{self.origin}/{self.parts.tenant.tenant_id}"

    async def discovery(self, _: web.Request) -> web.Response:
        """Describe the endpoints."""
        return _json(
            {
                "issuer": f"{self.base}/v2.0",
                "authorization_endpoint": f"{self.base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{self.base}/oauth2/v2.0/token",
                "jwks_uri": f"{self.base}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": sorted(PERSONAL_SCOPES),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            }
        )

    async def instance_discovery(self, _: web.Request) -> web.Response:
        """Say where this tenant's discovery document is."""
        return _json({"tenant_discovery_endpoint": f"{self.base}/v2.0/.well-known/openid-configuration"})

    async def keys(self, _: web.Request) -> web.Response:
        """Publish the signing key."""
        return _json(self.parts.tokens.key_set())

    async def token(self, request: web.Request) -> web.Response:
        """Answer a token request, or play a fault for it."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        verdict = self.parts.faults.before("token", form.get("client_id", ""))
        await self.parts.clock.wait(verdict.latency_s)
        response = self._answer(form, verdict)
        self._log(form, response)
        if verdict.drop_reply and request.transport:
            request.transport.abort()
        return response

    async def sign_in_page(self, request: web.Request) -> web.Response:
        """Show whom one can sign in as; `login_hint` signs in at once."""
        query = dict(request.query)
        if refusal := self._refuse_sign_in(query):
            return web.Response(status=400, text=refusal)
        hint = self.parts.tenant.find_user(query.get("login_hint", ""))
        if hint:
            return self._signed_in(query, hint)
        return web.Response(text=signin.page(query, signin.people(self.parts.tenant)), content_type="text/html")

    async def sign_in(self, request: web.Request) -> web.Response:
        """Sign in as the chosen person."""
        query = {name: str(value) for name, value in (await request.post()).items()}
        user = self.parts.tenant.find_user(query.get("user", ""))
        if (refusal := self._refuse_sign_in(query)) or user is None:
            return web.Response(status=400, text=refusal or "there is no such person")
        return self._signed_in(query, user)

    def _answer(self, form: Mapping[str, str], verdict: Verdict) -> web.Response:
        try:
            _play(verdict)
            return _json(self._grant(form))
        except OAuthError as error:
            headers = {"Retry-After": f"{verdict.throttle_s:g}"} if verdict.throttle_s is not None else {}
            body: dict[str, Json] = {"error": error.code, "error_description": error.description}
            return _json(body, status=error.status, headers=headers)

    def _grant(self, form: Mapping[str, str]) -> dict[str, Json]:
        kind = form.get("grant_type")
        if kind == "client_credentials":
            self._check_client(form)
            return self._application_token(form.get("scope", ""))
        if kind == "authorization_code":
            return self._redeem(form)
        if kind == "refresh_token" and (grant := self.refreshers.get(form.get("refresh_token", ""))):
            return self._person_tokens(grant)
        if kind == "refresh_token":
            raise OAuthError(400, "invalid_grant", "AADSTS70000: The refresh token is not valid.")
        raise OAuthError(400, "unsupported_grant_type", f"AADSTS70003: The grant type '{kind}' is not supported.")

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self.registration.client_id:
            raise OAuthError(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
        assertion = form.get("client_assertion")
        if assertion is not None and form.get("client_assertion_type") == ASSERTION_TYPE:
            audience = f"{self.base}/oauth2/v2.0/token"
            own = self.registration
            if not own.certificate.accepts(assertion, client_id=own.client_id, audience=audience):
                raise OAuthError(401, "invalid_client", "AADSTS700027: Client assertion failed signature validation.")
        elif not secrets.compare_digest(
            form.get("client_secret", "").encode(), self.registration.client_secret.encode()
        ):
            raise OAuthError(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")

    def _application_token(self, scope: str) -> dict[str, Json]:
        audience = AUDIENCES.get(scope)
        if audience is None:
            message = f"AADSTS70011: The provided value for the input parameter 'scope' is not valid: {scope}"
            raise OAuthError(400, "invalid_scope", message)
        settings = self.parts.settings
        claims: dict[str, Json] = {"aud": audience, "appid": self.registration.client_id, "idtyp": "app"}
        claims |= {
            "tid": self.parts.tenant.tenant_id,
            "oid": self.registration.client_id,
            "roles": list(settings.roles),
        }
        lifetime = settings.token_lifetime_s
        token = self.parts.tokens.sign(claims, lifetime_s=lifetime)
        # A client cannot be told of a negative lifetime: it holds a token that is over without knowing.
        body: dict[str, Json] = {"token_type": "Bearer", "expires_in": lifetime if lifetime > 0 else 3599}
        if settings.token_refresh_in_s:
            body["refresh_in"] = settings.token_refresh_in_s
        return {**body, "ext_expires_in": body["expires_in"], "access_token": token}

    def _redeem(self, form: Mapping[str, str]) -> dict[str, Json]:
        grant = self.codes.pop(form.get("code", ""), None)
        if grant is None or grant.redirect_uri != form.get("redirect_uri"):
            raise OAuthError(
                400, "invalid_grant", "AADSTS70008: The authorization code is expired or already redeemed."
            )
        if grant.challenge and challenge(form.get("code_verifier", "")) != grant.challenge:
            raise OAuthError(400, "invalid_grant", "AADSTS501481: The code_verifier does not match the code_challenge.")
        if not grant.challenge:
            self._check_client(form)
        return self._person_tokens(grant)

    def _person_tokens(self, grant: Grant) -> dict[str, Json]:
        tenant = self.parts.tenant
        user = tenant.find_user(grant.user_id)
        if user is None or not user.fields.get("accountEnabled"):
            raise OAuthError(400, "invalid_grant", "AADSTS50057: The user account is disabled.")
        identity: dict[str, Json] = {
            "oid": user.id,
            "tid": tenant.tenant_id,
            "sub": user.id,
            "preferred_username": user.upn,
        }
        identity |= {"name": user.text("displayName"), "groups": list(tenant.groups_of.get(user.id, {}))}
        lifetime = self.parts.settings.token_lifetime_s
        sign = self.parts.tokens.sign
        refresher = secrets.token_urlsafe(24)
        self.refreshers[refresher] = grant
        return {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "scope": grant.scope,
            "access_token": sign({**identity, "aud": GRAPH_AUDIENCE, "scp": grant.scope}, lifetime_s=lifetime),
            "id_token": sign(
                {**identity, "aud": self.registration.client_id, "nonce": grant.nonce}, lifetime_s=lifetime
            ),
            "client_info": _base64url({"uid": user.id, "utid": tenant.tenant_id}),
            "refresh_token": refresher,
        }

    def _refuse_sign_in(self, query: Mapping[str, str]) -> str | None:
        """Say what is wrong with a sign-in request; only this machine may receive a code."""
        if query.get("client_id") != self.registration.client_id:
            return "AADSTS700016: Application was not found in the directory."
        if query.get("response_type") != "code":
            return "AADSTS700054: response_type must be 'code'."
        if urlsplit(query.get("redirect_uri", "")).hostname not in ("localhost", "127.0.0.1"):
            return "AADSTS50011: The redirect URI is not on this machine."
        if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
            return "AADSTS9002339: code_challenge_method must be S256."
        return None

    def _signed_in(self, query: Mapping[str, str], user: User) -> web.Response:
        code = secrets.token_urlsafe(24)
        scope, nonce = query.get("scope", ""), query.get("nonce", "")
        self.codes[code] = Grant(user.id, scope, query["redirect_uri"], nonce, query.get("code_challenge", ""))
        reply = {"code": code, "state": query.get("state", ""), "session_state": secrets.token_hex(8)}
        if query.get("response_mode") == "form_post":
            return web.Response(text=signin.posting_page(query["redirect_uri"], reply), content_type="text/html")
        joiner = "&" if urlsplit(query["redirect_uri"]).query else "?"
        where = f"{query['redirect_uri']}{joiner}{urlencode(reply)}"
        return web.Response(status=302, headers={"Location": where})

    def _log(self, form: Mapping[str, str], response: web.Response) -> None:
        shown = {name: form[name] for name in ("grant_type", "scope") if name in form}
        error = None
        if response.status != 200 and isinstance(response.body, bytes):
            error = str(orjson.loads(response.body)["error"])
        actor = f"app:{form.get('client_id', '')}"
        self.parts.calls.add(CallLine("token", "token", actor, "", shown, status=response.status, error=error))


def _play(verdict: Verdict) -> None:
    """Raise what a fault plan wants instead of a token."""
    if verdict.throttle_s is not None:
        raise OAuthError(429, "temporarily_unavailable", "AADSTS90055: Too many requests.")
    if verdict.unavailable:
        raise OAuthError(
            503, "temporarily_unavailable", "AADSTS90033: A transient error has occurred. Please try again."
        )
    if verdict.error:
        raise OAuthError(*verdict.error)


def _json(body: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


def _base64url(body: Json) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(body)).decode().rstrip("=")
