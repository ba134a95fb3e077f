"""Requests as the policy sees them: the headers that say where a request comes from, read once from the ASGI scope."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "WEBSOCKET"})
_OPEN_PATHS = frozenset({"/login", "/api/v1/session", "/favicon.ico"})
_READ = {
    **{name.encode(): name.replace("-", "_") for name in ("host", "origin", "cookie", "authorization", "referer")},
    **{name.encode(): name.replace("-", "_") for name in ("sec-fetch-site", "sec-fetch-mode", "user-agent")},
    **{name.encode(): name.replace("-", "_") for name in ("content-type", "content-encoding", "content-length")},
    **{name.encode(): name.replace("-", "_") for name in ("transfer-encoding", "x-csrf-token")},
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: the status, what happened and what to do, and headers."""

    status: int
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Asked:
    """One request or WebSocket. Headers are "" where they are missing; `size`: bytes of the target and the headers."""

    method: str
    path: str
    query: bytes
    client: str
    port: int
    count: int  # of headers
    size: int
    host: str = ""
    origin: str = ""
    cookie: str = ""
    authorization: str = ""
    referer: str = ""
    sec_fetch_site: str = ""
    sec_fetch_mode: str = ""
    user_agent: str = ""
    content_type: str = ""
    content_encoding: str = ""
    content_length: str = ""
    transfer_encoding: str = ""
    x_csrf_token: str = ""

    @classmethod
    def read(cls, scope: Scope) -> Asked:
        """Return what a scope of the type http or websocket says. Of a header sent twice the last one counts."""
        raw = scope["headers"]
        headers = {_READ[name]: value.decode("latin-1").strip() for name, value in raw if name in _READ}
        query = scope.get("query_string", b"")
        return cls(
            method=scope.get("method", "WEBSOCKET"),
            path=scope["path"],
            query=query,
            client=(scope.get("client") or ("",))[0],
            port=(scope.get("server") or ("", 0))[1] or 0,
            count=len(raw),
            size=len(scope["path"]) + len(query) + sum(len(name) + len(value) for name, value in raw),
            **headers,
        )

    @property
    def is_api(self) -> bool:
        """Whether a program answers, not a page or a file."""
        return self.path.startswith("/api/") or self.path == "/metrics"

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask for this: what it takes to sign in."""
        return self.path in _OPEN_PATHS or self.path.startswith("/static/")

    @property
    def is_safe(self) -> bool:
        """Whether the method changes nothing (RFC 9110, 9.2.1)."""
        return self.method in SAFE_METHODS

    @property
    def is_browser(self) -> bool:
        """Whether a browser sends this: each one names itself, and the origin of what changes something."""
        named = self.user_agent.startswith("Mozilla/")
        return bool(named or self.origin or self.sec_fetch_site or self.cookie or self.referer)

    @property
    def is_stream(self) -> bool:
        """Whether the response goes on until the client leaves."""
        return self.method == "WEBSOCKET" or self.path.endswith("/events")

    @property
    def bearer(self) -> str:
        """The token of the Authorization header."""
        scheme, _, token = self.authorization.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def cookies(self, name: str) -> list[str]:
        """Return the values of the cookies of this name: two paths may have one each."""
        pairs = (pair.strip().partition("=") for pair in self.cookie.split(";"))
        return [value for found, _, value in pairs if found == name][:4]


def host_and_port(netloc: str) -> tuple[str, int] | None:
    """Return the host, in lower case, and the port (0: the scheme's) of a Host header; None for an invalid one."""
    try:
        parts = urlsplit(f"//{netloc}")
        host, port = (parts.hostname or "").rstrip("."), parts.port or 0
    except ValueError:
        return None
    plain = f"[{host}]" if ":" in host else host
    allowed = {plain, f"{plain}.", f"{plain}:{port}", f"{plain}.:{port}"}
    return (host, port) if host and netloc.lower() in allowed else None


def origin_of(origin: str) -> tuple[str, int] | None:
    """Return the host and the port (0: the scheme's) of an Origin header; None for null and invalid ones."""
    scheme, separator, netloc = origin.partition("://")
    if scheme not in ("http", "https") or not separator or (found := host_and_port(netloc)) is None:
        return None
    host, port = found
    return host, 0 if port == (443 if scheme == "https" else 80) else port
