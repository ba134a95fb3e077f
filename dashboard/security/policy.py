"""Policy: the rules that each request must keep, in the order in which they are checked.

size      the target and the headers are small                              414, 431, 400
host      the Host header names this server (DNS rebinding)                 421
origin    no other site's page sends it (CSRF, WebSocket hijacking)         403
session   a bearer token or a session's cookie, where a token is set        401, 429
csrf      what changes something has the token of our own page              403
rate      expensive operations come at a bounded rate                       429
"""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dashboard.security import tokens
from dashboard.security.origins import HostNames, check_origin, check_size, is_loopback
from dashboard.security.rates import Attempts, Bucket
from dashboard.security.requests import Asked, Refusal
from dashboard.security.sessions import Session, Sessions
from dashboard.security.sources import AllowedSources
from data.errors import SettingsError

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger(__name__)
# (path's beginning, burst, operations a second): what costs much for each request. The first one counts.
_RATES = (
    ("/api/v1/recognitions", 60, 2.0),
    ("/api/v1/surveys", 30, 0.5),
    ("/api/v1/jobs", 30, 0.5),
    ("/api/v1/watch", 60, 2.0),
    ("/api/v1/dataset/", 200, 10.0),
)


def _later(wait_s: float, detail: str) -> Refusal:
    return Refusal(429, detail, ((b"retry-after", b"%d" % (int(wait_s) + 1)),))


@dataclass(slots=True)
class Security:
    """Who may ask for what, from where. `create` builds one; all methods are quick and never wait.

    token: the hash of the token; None: no token is asked for.
    stored, signing_key: where the token may be replaced while the server runs; None: it stays.
    """

    sessions: Sessions
    sources: AllowedSources
    hosts: HostNames
    token: bytes | None = None
    stored: tokens.StoredToken | None = None
    signing_key: bytes = b""
    _attempts: Attempts = field(default_factory=Attempts)
    _buckets: dict[str, Bucket] = field(
        default_factory=lambda: {path: Bucket(burst, per_s) for path, burst, per_s in _RATES}
    )

    @classmethod
    def create(cls, settings: Settings, host: str, port: int) -> Security:
        """Return the policy for a server at this address.

        Raises SettingsError: a token is missing or too short, or an entry of a list is invalid; FolderError.
        """
        del port  # a Host header may name the port of a proxy
        folder = settings.download_path / "dashboard"
        secret = settings.dashboard_token.get_secret_value()
        stored = None if secret else tokens.StoredToken(folder)
        token = stored.digest if stored else _digest(secret)
        if token is None and not is_loopback(host):
            raise SettingsError(
                f"DASHBOARD_TOKEN: --host {host} lets other machines in, which needs a token; "
                "make one with --new-token, or set DASHBOARD_TOKEN"
            )
        key = tokens.signing_key(folder)
        return cls(
            Sessions(_session_key(key, token), folder),
            AllowedSources(settings.dashboard_sources),
            HostNames.create(host, settings.dashboard_hosts),
            token,
            stored,
            key,
        )

    @property
    def token_required(self) -> bool:
        """Whether visitors must know the token."""
        return self.token is not None

    def check_source(self, source: str) -> str:
        """Return a visitor's source in its canonical form. Raises SettingsError, which says what is allowed."""
        return self.sources.check(source)

    def session(self, request: Any) -> Session | None:
        """Return the session of a request of Starlette."""
        return _cookie_session(self.sessions, Asked.read(request.scope))

    def is_signed_in(self, request: Any) -> bool:
        """Return whether the visitor can sign out."""
        return self.token_required and self.session(request) is not None

    def csrf_token(self, request: Any) -> str:
        """Return the token for the page that answers this request: its scripts send it as X-CSRF-Token."""
        return self.sessions.csrf_token(self.session(request))

    def sign_in(self, token: str, client: str) -> tuple[Session, str] | Refusal:
        """Return a new session and its cookie's value, or why there is none."""
        sessions = self.sessions  # before the token is checked: a former one opens none of another token
        return self._refuse_token(token, client) or sessions.issue()

    def check(self, asked: Asked) -> Refusal | None:
        """Return why a request is refused; None: it is not."""
        self._follow_token()
        return (
            check_size(asked)
            or self.hosts.check(asked)
            or check_origin(asked)
            or self._check_session(asked)
            or self._check_rate(asked)
        )

    def _follow_token(self) -> None:
        """Take the token that --new-token stored since the last request, and end the sessions of the former one."""
        if self.stored and self.stored.changed():
            self.token = self.stored.digest  # first, see sign_in
            self.sessions = self.sessions.with_key(_session_key(self.signing_key, self.token))
            log.warning("A new token is in force; the former one and all sessions are void")

    def _check_session(self, asked: Asked) -> Refusal | None:
        session = _cookie_session(self.sessions, asked)
        if self.token_required and not asked.is_open and not session:
            if not asked.bearer:
                return Refusal(401, "Sign in, or send the token: Authorization: Bearer TOKEN", _CHALLENGE)
            return self._refuse_token(asked.bearer, asked.client)
        if asked.is_safe or not asked.is_browser:
            return None
        if hmac.compare_digest(asked.x_csrf_token.encode(), self.sessions.csrf_token(session).encode()):
            return None
        return Refusal(403, "The page is out of date or not ours: reload it (X-CSRF-Token is missing or wrong)")

    def _refuse_token(self, token: str, client: str) -> Refusal | None:
        if wait_s := self._attempts.wait_s(client):
            return _later(wait_s, "Too many wrong tokens; try again later")
        if self.token is not None and tokens.is_same(token, self.token):
            return None
        self._attempts.count(client)
        return Refusal(401, "The token is wrong", _CHALLENGE)

    def _check_rate(self, asked: Asked) -> Refusal | None:
        if asked.method != "POST":
            return None
        bucket = next((bucket for path, bucket in self._buckets.items() if asked.path.startswith(path)), None)
        wait_s = bucket.take() if bucket else 0.0
        return _later(wait_s, "Too many requests at once; try again later") if wait_s else None


_SCHEME = {"type": "http", "scheme": "bearer", "description": "The token of --new-token, where one is set."}
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="dashboard"'),)


def cookie_names(port: int) -> tuple[str, str]:
    """Return the session cookie's names, for https and for http: servers on two ports of a host share its cookies."""
    return f"__Host-twitchcategory-{port}", f"twitchcategory-{port}"


def install(app: Any, security: Security) -> None:
    """Put the policy around all that the app answers, static files and WebSockets included; describe it in OpenAPI."""
    from dashboard.security.middleware import SecurityMiddleware

    app.add_middleware(SecurityMiddleware, check=security.check)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        description: dict[str, Any] = describe()
        description["components"]["securitySchemes"] = {"token": _SCHEME}
        return description | {"security": [{"token": []}, {}]}

    app.openapi = openapi


def _cookie_session(sessions: Sessions, asked: Asked) -> Session | None:
    if not asked.cookie:
        return None
    values = (value for name in cookie_names(asked.port) for value in asked.cookies(name))
    return next(filter(None, map(sessions.verify, values)), None)


def _session_key(key: bytes, token: bytes | None) -> bytes:
    """Return the key of the sessions of a token: another token ends all sessions."""
    return hmac.digest(key, token or b"", "sha256")


def _digest(token: str) -> bytes:
    if len(token) < tokens.MIN_CHARACTERS:
        raise SettingsError(f"DASHBOARD_TOKEN must have at least {tokens.MIN_CHARACTERS} characters; see --new-token")
    return tokens.digest(token)
