"""Rate limits: token buckets, which allow a burst and then a steady rate."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

_MAX_CLIENTS = 1024

Clock = Callable[[], float]


@dataclass(slots=True)
class Bucket:
    """Holds up to `burst` tokens and gains `per_s` each second; each event takes one."""

    burst: float
    per_s: float
    clock: Clock = time.monotonic
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = self.burst, self.clock()

    def wait_s(self) -> float:
        """Return the seconds until the next event is allowed; 0: now."""
        now = self.clock()
        self._level, self._at = min(self.burst, self._level + (now - self._at) * self.per_s), now
        return max(0.0, (1 - self._level) / self.per_s)

    def take(self) -> float:
        """Count an event if it is allowed now, and return 0; otherwise return the seconds until it is."""
        if not (wait_s := self.wait_s()):
            self._level -= 1
        return wait_s


class Attempts:
    """Wrong tokens of each address: after ten at once, one each six seconds. Remembers 1024 addresses."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return the seconds until this address may try another token; 0: now."""
        bucket = self._buckets.get(network_of(address))
        return bucket.wait_s() if bucket else 0.0

    def count(self, address: str) -> None:
        """Count a wrong token."""
        network = network_of(address)
        bucket = self._buckets.setdefault(network, Bucket(10, 1 / 6, self._clock))
        self._buckets.move_to_end(network)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        bucket.take()


def network_of(address: str) -> str:
    """Return what one client can choose freely as one: an IPv6 client has at least 2**64 addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4 or found.ipv4_mapped:  # the latter where one socket listens for both
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))
