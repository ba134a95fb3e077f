"""Fault injection: which requests get a wrong response, and how; planned faults and faults by chance."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tests.standin.clock import Clock
from tests.standin.http import Request, Response, json_response
from tests.standin.playlist import MEDIA_HOST

HELIX, TOKENS, GQL, USHER = "api.twitch.tv", "id.twitch.tv", "gql.twitch.tv", "usher.ttvnw.net"
PLAYLISTS, SEGMENTS = "/v1/playlist/*", "/v1/segment/*"  # on MEDIA_HOST

FaultKind = Callable[[Response], Response]


@dataclass(frozen=True)
class Fault:
    """Something that happens to responses.

    Args:
        name: for the counts.
        kind: makes the faulty response from the correct one.
        host: shell pattern of the hosts.
        path: shell pattern of the paths.
        skip: number of matching requests that pass first.
        every: from then on every `every`-th matching request is hit.
        times: maximum number of hits; None: no limit.
        for_s: seconds after the first matching request during which it happens; None: always.
        apart_s: minimum seconds between two hits.
    """

    name: str
    kind: FaultKind
    host: str = "*"
    path: str = "*"
    skip: int = 0
    every: int = 1
    times: int | None = None
    for_s: float | None = None
    apart_s: float = 0.0

    def matches(self, request: Request) -> bool:
        """Return whether host and path are those of this fault."""
        return fnmatchcase(request.host, self.host) and fnmatchcase(request.path, self.path)


@dataclass
class _FaultState:
    """Counts of one fault: requests that matched and were hit, times of the first match and the last hit, seconds."""

    fault: Fault
    matched: int = 0
    hit: int = 0
    since: float | None = None
    last: float = -math.inf

    def hits(self, request: Request, now: float) -> bool:
        """Return whether the fault happens to this request, and count the request."""
        fault = self.fault
        if not fault.matches(request):
            return False
        self.since = now if self.since is None else self.since
        index = self.matched - fault.skip
        self.matched += 1
        expired = fault.for_s is not None and now > self.since + fault.for_s
        spent = fault.times is not None and self.hit >= fault.times
        if expired or spent or index < 0 or index % fault.every or now < self.last + fault.apart_s:
            return False
        self.hit, self.last = self.hit + 1, now
        return True


class Faults:
    """The planned faults, the faults by chance, and counts of those that happened. Thread safe."""

    def __init__(
        self, faults: Sequence[Fault] = (), random_faults: RandomFaults | None = None, clock: Clock | None = None
    ) -> None:
        self._states = [_FaultState(fault) for fault in faults]
        self._random_faults = random_faults
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()  # by name

    def add(self, fault: Fault) -> None:
        """Add a planned fault."""
        with self._lock:
            self._states.append(_FaultState(fault))

    def apply(self, request: Request, response: Response) -> Response:
        """Return the response after the first fault that hits the request, or unchanged where none does."""
        now = self._clock.now()
        with self._lock:
            fault = next((state.fault for state in self._states if state.hits(request, now)), None)
            if fault is None and self._random_faults:
                fault = self._random_faults.draw(request, now)
            if fault is None:
                return response
            self.counts[fault.name] += 1
        return fault.kind(response)


class RandomFaults:
    """Faults by chance, reproducible: the same requests in the same order get the same faults for a seed.

    Args:
        fraction: of the requests get a fault, 0 to 1; each of those that match it is equally likely.
        seed: of the random numbers.
        faults: the faults to draw from; None: USUAL.
    """

    def __init__(self, fraction: float, seed: int = 0, faults: Sequence[Fault] | None = None) -> None:
        self._fraction = fraction
        self._random = random.Random(seed)
        self._states = [_FaultState(fault) for fault in (USUAL if faults is None else faults)]

    def draw(self, request: Request, now: float) -> Fault | None:
        """Return the fault of this request at `now`, seconds, or None. The caller holds a lock."""
        # Both numbers are drawn for every request, so that a seed stands for one series.
        is_hit, which = self._random.random() < self._fraction, self._random.random()
        possible = [state for state in self._states if state.fault.matches(request)]
        state = possible[int(which * len(possible))] if is_hit and possible else None
        return state.fault if state and state.hits(request, now) else None


# --- kinds of faults ------------------------------------------------------------------------------------------------


def status(code: int) -> FaultKind:
    """Send this status and no body."""
    return lambda _: Response(code)


def api_error(code: int, message: str) -> FaultKind:
    """Send an error in Helix's format."""
    return lambda _: json_response({"error": message, "status": code, "message": message}, code)


def rate_limited(reset_in_s: float | None) -> FaultKind:
    """Send a 429.

    Args:
        reset_in_s: Ratelimit-Reset, seconds from now (negative: in the past); None: no such header.
    """

    def respond(_: Response) -> Response:
        # The header is for the program under test, which reads it by the machine's clock.
        headers = {} if reset_in_s is None else {"Ratelimit-Reset": str(int(time.time() + reset_in_s))}
        return json_response({"error": "Too Many Requests", "status": 429, "message": "slow down"}, 429, headers)

    return respond


def html(code: int = 200) -> FaultKind:
    """Send an HTML page, as proxies and captive portals do."""
    return lambda _: Response(code, b"<!doctype html><title>Sorry</title><p>Please try again later.", "text/html")


def truncated(fraction: float = 0.5) -> FaultKind:
    """Send the first part of the body with a Content-Length to match: invalid JSON, an incomplete segment."""
    return lambda response: replace(response, body=response.body[: int(len(response.body) * fraction)])


def cut_off(fraction: float = 0.5) -> FaultKind:
    """Announce the whole body and close the connection in the middle of it."""
    return lambda response: response.delivered(fraction=fraction)


def silence(seconds: float = 3600) -> FaultKind:
    """Send nothing for this number of seconds, then the response."""
    return lambda response: response.delivered(silence_s=seconds)


def trickle(pause_s: float = 1.0) -> FaultKind:
    """Send one byte at a time, from the status line on."""
    return lambda response: response.delivered(byte_pause_s=pause_s)


def reset() -> FaultKind:
    """Reset the connection instead of a response."""
    return lambda response: response.delivered(reset=True)


def _on_segments(name: str, kind: FaultKind) -> Fault:
    return Fault(name, kind, MEDIA_HOST, SEGMENTS)


# The usual faults of each host, for long runs.
USUAL = (
    Fault("500", status(500)),
    Fault("503", status(503)),
    Fault("HTML", html()),
    Fault("cut off", cut_off()),
    Fault("connection reset", reset()),
    Fault("slow start", silence(1.0)),
    Fault("short silence", silence(4.0)),
    Fault("429, reset in the past", rate_limited(-30), HELIX),
    Fault("429, reset soon", rate_limited(2), HELIX),
    Fault("429, reset in a day", rate_limited(86_400), HELIX),
    Fault("429, no reset", rate_limited(None), HELIX),
    # The toolkit renews its token once for a request, which lasts HELIX_RETRY_BUDGET_S, 120 s, at most.
    Fault("401", api_error(401, "Invalid OAuth token"), HELIX, apart_s=150),
    Fault("cut-off JSON", truncated(), HELIX),
    Fault("cut-off JSON", truncated(), GQL),
    Fault("playlist 404", status(404), MEDIA_HOST, PLAYLISTS),
    Fault("playlist 403", status(403), MEDIA_HOST, PLAYLISTS),
    _on_segments("segment 404", status(404)),
    _on_segments("segment empty", truncated(0)),
    _on_segments("segment incomplete", truncated()),
)
