"""Origins: whether a request is meant for this server, and whether it comes from a page of it.

Browsers send the Host header of the address that they show, whatever machine its name leads to (DNS rebinding), and
the Origin and Sec-Fetch-Site headers of the page that sends a request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.security.requests import Asked, Refusal, host_and_port, origin_of

_MAX_TARGET_BYTES, _MAX_BYTES, _MAX_HEADERS = 8 << 10, 32 << 10, 100
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class HostNames:
    """The names of this server in a Host header, in lower case. any_address: IP addresses are names of it, too."""

    names: frozenset[str]
    any_address: bool

    @classmethod
    def create(cls, host: str, further: Iterable[str]) -> HostNames:
        """Return the names of a server that listens at `host`, and further names."""
        own = {host} if not _is_any(host) else set()
        names = {name.lower().strip("[]").rstrip(".") for name in (*own, *further)}
        return cls(_LOOPBACK_NAMES | names, _is_any(host))

    def check(self, asked: Asked) -> Refusal | None:
        """Refuse a request to another name."""
        found = host_and_port(asked.host)
        if found and (found[0] in self.names or (self.any_address and _is_address(found[0]))):
            return None
        return Refusal(421, "The Host header names another server; DASHBOARD_HOSTS lists the names of this one")


def check_size(asked: Asked) -> Refusal | None:
    """Refuse a target or headers of a size that nobody needs."""
    if len(asked.path) + len(asked.query) > _MAX_TARGET_BYTES:
        return Refusal(414, "The address is too long; send a long filter as the body of a POST")
    if asked.count > _MAX_HEADERS or asked.size > _MAX_BYTES:
        return Refusal(431, "The headers are too large")
    if "\0" in asked.path or b"%00" in asked.query:
        return Refusal(400, "The address holds a NUL")
    return None


def check_origin(asked: Asked) -> Refusal | None:
    """Refuse what a page of another site sends, except a link to a page of ours."""
    foreign = asked.sec_fetch_site not in ("", "same-origin", "none")
    is_link = asked.method == "GET" and asked.sec_fetch_mode == "navigate" and not asked.is_api
    if asked.origin and (origin := origin_of(asked.origin)) != _own_origin(asked, origin):
        foreign, is_link = True, False
    return Refusal(403, "A page of another site sends this") if foreign and not is_link else None


def _own_origin(asked: Asked, origin: tuple[str, int] | None) -> tuple[str, int] | None:
    """Return the origin of the Host header. A port that is the default of either scheme is left out in Origin."""
    if origin is None or (found := host_and_port(asked.host)) is None:
        return ("", -1)
    host, port = found
    return host, 0 if port in (80, 443) and not origin[1] else port


def _is_address(host: str) -> bool:
    """Return whether a host is an IP address that names one machine: no name that leads to it, no 0.0.0.0."""
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    return host.strip("[]") in ("", "*", "0.0.0.0", "::")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
