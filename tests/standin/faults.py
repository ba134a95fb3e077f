"""Faults: which requests a Twitch in trouble answers otherwise than it should, and how; weather: faults by chance."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tests.standin.http import Request, Response, answer
from tests.standin.playlist import MEDIA_HOST

HELIX, TOKENS, GQL, USHER = "api.twitch.tv", "id.twitch.tv", "gql.twitch.tv", "usher.ttvnw.net"
PLAYLISTS, SEGMENTS = "/v1/playlist/*", "/v1/segment/*"  # on MEDIA_HOST

Harm = Callable[[Response], Response]


@dataclass(frozen=True)
class Fault:
    """Something that happens to answers.

    `does`: the answer as it should be → the one that is sent. `host`, `path`: of the requests that it concerns, shell
    patterns. Of these it passes over the first `skip`, then hits every `every`-th, `times` of them at most (None: no
    limit), and no more once `for_s` seconds have passed since the first one that it concerned. Two that it hits are
    `apart_s` seconds apart, or more.
    """

    name: str
    does: Harm
    host: str = "*"
    path: str = "*"
    skip: int = 0
    every: int = 1
    times: int | None = None
    for_s: float | None = None
    apart_s: float = 0.0

    def concerns(self, request: Request) -> bool:
        """Whether the request is one of those that it may hit."""
        return fnmatchcase(request.host, self.host) and fnmatchcase(request.path, self.path)


@dataclass
class _Course:
    """A fault under way: how many requests it concerned and hit, when first and when last; monotonic seconds."""

    fault: Fault
    concerned: int = 0
    hit: int = 0
    since: float | None = None
    last: float = -math.inf

    def hits(self, request: Request) -> bool:
        """Whether it hits this request, which is counted."""
        fault, now = self.fault, time.monotonic()
        if not fault.concerns(request):
            return False
        self.since = now if self.since is None else self.since
        place = self.concerned - fault.skip
        self.concerned += 1
        over = fault.for_s is not None and now > self.since + fault.for_s
        spent = fault.times is not None and self.hit >= fault.times
        if over or spent or place < 0 or place % fault.every or now < self.last + fault.apart_s:
            return False
        self.hit, self.last = self.hit + 1, now
        return True


class Faults:
    """The faults that are to happen, and a count of those that did. Thread safe."""

    def __init__(self, faults: Sequence[Fault] = (), weather: Weather | None = None) -> None:
        self._courses = [_Course(fault) for fault in faults]
        self._weather = weather
        self._lock = threading.Lock()
        self.met: Counter[str] = Counter()  # by name

    def add(self, fault: Fault) -> None:
        """From now on this one, too."""
        with self._lock:
            self._courses.append(_Course(fault))

    def harmed(self, request: Request, response: Response) -> Response:
        """The answer after the first fault that hits the request; as it is where none does."""
        with self._lock:
            fault = next((course.fault for course in self._courses if course.hits(request)), None)
            if fault is None and self._weather:
                fault = self._weather.fault(request)
            if fault is None:
                return response
            self.met[fault.name] += 1
        return fault.does(response)


class Weather:
    """With probability `share` a request meets one of the faults that concern it, each as likely as the others.

    The same requests in the same order meet the same faults, by `seed`.
    """

    def __init__(self, share: float, seed: int = 0, faults: Sequence[Fault] | None = None) -> None:
        """`faults`: USUAL, if none are given."""
        self._share = share
        self._random = random.Random(seed)
        self._courses = [_Course(fault) for fault in (USUAL if faults is None else faults)]

    def fault(self, request: Request) -> Fault | None:
        """What this request meets; the caller sees to it that one asks at a time."""
        bad, which = self._random.random() < self._share, self._random.random()
        possible = [course for course in self._courses if course.fault.concerns(request)]
        course = possible[int(which * len(possible))] if bad and possible else None
        return course.fault if course and course.hits(request) else None


# --- what can happen to an answer ---------------------------------------------------------------------------------


def status(code: int) -> Harm:
    """This status, and no body."""
    return lambda _: Response(code)


def refused(code: int, message: str) -> Harm:
    """A refusal in Helix's words."""
    return lambda _: answer({"error": message, "status": code, "message": message}, code)


def limited(reset_in_s: float | None) -> Harm:
    """429; `reset_in_s`: what Ratelimit-Reset says, from now (negative: in the past), or None for no such header."""

    def harm(_: Response) -> Response:
        headers = {} if reset_in_s is None else {"Ratelimit-Reset": str(int(time.time() + reset_in_s))}
        return answer({"error": "Too Many Requests", "status": 429, "message": "slow down"}, 429, headers)

    return harm


def html(code: int = 200) -> Harm:
    """A page for people, as proxies and portals send it."""
    return lambda _: Response(code, b"<!doctype html><title>Sorry</title><p>Please try again later.", "text/html")


def shortened(share: float = 0.5) -> Harm:
    """The first part of the body, promised as if it were all: cut-off JSON, an incomplete segment."""
    return lambda response: replace(response, body=response.body[: int(len(response.body) * share)])


def cut_off(share: float = 0.5) -> Harm:
    """The whole body is promised, and the connection ends in the middle of it."""
    return lambda response: response.delivered(share=share)


def silence(seconds: float = 3600) -> Harm:
    """Nothing for so long, then the answer."""
    return lambda response: response.delivered(silence_s=seconds)


def trickle(pause_s: float = 1.0) -> Harm:
    """A byte, a pause, a byte, from the head on."""
    return lambda response: response.delivered(byte_pause_s=pause_s)


def reset() -> Harm:
    """The connection is reset instead of an answer."""
    return lambda response: response.delivered(reset=True)


def _on_segments(name: str, does: Harm) -> Fault:
    return Fault(name, does, MEDIA_HOST, SEGMENTS)


# Each host's usual troubles: what long runs meet.
USUAL = (
    Fault("500", status(500)),
    Fault("503", status(503)),
    Fault("HTML", html()),
    Fault("cut off", cut_off()),
    Fault("connection reset", reset()),
    Fault("slow start", silence(1.0)),
    Fault("short silence", silence(4.0)),
    Fault("429, reset in the past", limited(-30), HELIX),
    Fault("429, reset soon", limited(2), HELIX),
    Fault("429, reset in a day", limited(86_400), HELIX),
    Fault("429, no reset", limited(None), HELIX),
    # Helix gives a new token a chance: no request of the toolkit's lasts longer than HELIX_BUDGET_S, 120 s.
    Fault("401", refused(401, "Invalid OAuth token"), HELIX, apart_s=150),
    Fault("cut-off JSON", shortened(), HELIX),
    Fault("cut-off JSON", shortened(), GQL),
    Fault("playlist 404", status(404), MEDIA_HOST, PLAYLISTS),
    Fault("playlist 403", status(403), MEDIA_HOST, PLAYLISTS),
    _on_segments("segment 404", status(404)),
    _on_segments("segment empty", shortened(0)),
    _on_segments("segment incomplete", shortened()),
)
