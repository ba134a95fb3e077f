"""Which of a game's live streams are tried, in which order, and how many frames each streamer may give."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.entities import Stream


@dataclass(frozen=True)
class Choice:
    """Streams to try, in this order. `room`: by login, how many frames the streamer may give. The rest have enough."""

    streams: tuple[Stream, ...]
    room: Mapping[str, int]
    passed_over: frozenset[str]


class Chooser:
    """Chooses by the settings of these names."""

    def __init__(self, stream_tries: int, frames_per_stream: int, streamer_share: float, rng: random.Random) -> None:
        self._tries = stream_tries
        self._always = frames_per_stream
        self._share = streamer_share
        self._rng = rng

    def choose(self, streams: Sequence[Stream], given: Mapping[str, int]) -> Choice:
        """Up to STREAM_TRIES of a game's streams at random, those of the streamers who gave the fewest frames first.

        `given`: by login, the game's frames. They are drawn before they are ordered: streams that never give a frame
        would stand first for ever otherwise, and be all that is tried.
        """
        total = sum(given.values())
        room = {stream.login: self.room(given.get(stream.login, 0), total) for stream in streams}
        willing = [stream for stream in streams if room[stream.login]]
        drawn = self._rng.sample(willing, min(len(willing), self._tries))
        drawn.sort(key=lambda stream: given.get(stream.login, 0))
        full = frozenset(login for login, frames in room.items() if not frames)
        return Choice(tuple(drawn), room, full)

    def room(self, given: int, total: int) -> int:
        """How many more frames a streamer may give who gave `given` of a game's `total`; FRAMES_PER_STREAM at most.

        With them they are STREAMER_SHARE of all at most, or FRAMES_PER_STREAM in number.
        """
        if self._share >= 1:
            return self._always
        # given + n <= share x (total + n), solved for n; 1e-9 for what floats lose
        by_share = math.floor((self._share * total - given) / (1 - self._share) + 1e-9)
        return min(self._always, max(self._always - given, by_share, 0))
