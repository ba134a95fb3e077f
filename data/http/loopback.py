"""Loopback URLs: the only addresses that a stand-in for Twitch may have. Standard library only."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def loopback_url(url: str) -> str:
    """Return `url` as http://host:port. Raises ValueError unless it is plain HTTP to this machine, with a port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    # The comparison with netloc rejects user names and everything else that could redirect credentials.
    address = f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"
    if parts.scheme != "http" or not local or not parts.port or parts.netloc.lower() != address:
        raise ValueError(f"must be http:// to a loopback address with a port, not {url!r}")
    return f"http://{address}"
