"""Public addresses: connections that are made to the internet only, never to this machine or its network (SSRF).

A name is looked up once, all of its addresses are checked, and the connection goes to one of these: a name that
changes between the check and the connection (DNS rebinding) gains nothing, nor does a redirect or a playlist.
Behind a proxy that the environment names, the proxy looks names up and has to refuse what is not public.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import socket
from typing import Any

from urllib3.exceptions import HTTPError, NameResolutionError

log = logging.getLogger(__name__)

# Where clouds serve their own machines; older releases of Python call the first one global.
_OF_CLOUDS = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("168.63.129.16/32"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052


class PrivateAddress(OSError):
    """A name leads to an address that is not public. An OSError: to the caller it is a failed connection."""


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet, and so is the IPv4 address that an IPv6 one holds."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # such as one with a zone: link-local
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        inner += [ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)] if found in _NAT64 else []
        if held := [str(other) for other in inner if other is not None]:
            return all(map(is_public, held))
        if found.is_site_local:
            return False
    if any(found in network for network in _OF_CLOUDS):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def public_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the resolver's order. Raises PrivateAddress if any is not public, gaierror."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if not addresses or not all(map(is_public, addresses)):
        log.warning("refused to connect to %.100r: its address is not public", host)
        raise PrivateAddress(f"{host[:100]!r} has no public address")
    return addresses


@functools.cache
def with_public_peer(connection: Any) -> Any:
    """Return a subclass of a connection class of urllib3 that connects to public addresses only."""

    class Connection(connection):
        _dns_host: str

        def _new_conn(self) -> socket.socket:
            name = self._dns_host
            if self.proxy is not None:  # the user's own choice, mostly in the own network; it looks the names up
                return super()._new_conn()
            try:
                addresses = public_addresses(name, self.port)
                for address in addresses[:-1]:
                    self._dns_host = address
                    try:
                        return _checked(super()._new_conn())
                    except HTTPError:  # NewConnectionError, ConnectTimeoutError
                        log.debug("no connection to %s", address, exc_info=True)
                self._dns_host = addresses[-1]
                return _checked(super()._new_conn())
            except socket.gaierror as error:
                raise NameResolutionError(name, self, error) from error
            finally:
                self._dns_host = name  # TLS checks the certificate against it

    Connection.__name__ = connection.__name__
    return Connection


def _checked(connected: socket.socket) -> socket.socket:
    """Return the socket if its peer is public: nothing has been sent yet. Raises PrivateAddress."""
    if not is_public(connected.getpeername()[0]):
        connected.close()
        raise PrivateAddress("the peer has no public address")
    return connected
