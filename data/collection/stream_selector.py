"""Stream selection: which of a game's live streams to try, in which order, and each streamer's quota of frames."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.entities import Stream


@dataclass(frozen=True)
class Selection:
    """The selected streams of a game."""

    streams: tuple[Stream, ...]  # to try in this order
    quota: Mapping[str, int]  # by login, the number of frames that the streamer may give now
    over_quota: frozenset[str]  # logins of the streamers who may give no frame


@dataclass(frozen=True)
class StreamSelector:
    """Selects streams at random, so that no streamer dominates a game."""

    stream_tries: int  # maximum number of streams in a selection
    frames_per_stream: int  # number of frames that every streamer may give; also the maximum per grab
    max_streamer_fraction: float  # of a game's frames, 0 to 1; 1: no limit
    rng: random.Random

    def select(self, streams: Sequence[Stream], existing_frames: Mapping[str, int]) -> Selection:
        """Return a random selection of a game's `streams`, those of the streamers with the fewest frames first.

        `existing_frames`: by login, the number of the game's frames.
        """
        total = sum(existing_frames.values())
        quota = {stream.login: self.quota(existing_frames.get(stream.login, 0), total) for stream in streams}
        eligible = [stream for stream in streams if quota[stream.login]]
        # Draw first, then sort: otherwise streams that always fail would stay first and hide all others.
        selected = self.rng.sample(eligible, min(len(eligible), self.stream_tries))
        selected.sort(key=lambda stream: existing_frames.get(stream.login, 0))
        over_quota = frozenset(login for login, frames in quota.items() if not frames)
        return Selection(tuple(selected), quota, over_quota)

    def quota(self, existing_frames: int, total: int) -> int:
        """Return how many more frames a streamer may give who has `existing_frames` of a game's `total` frames.

        The streamer then has at most frames_per_stream frames, or at most max_streamer_fraction of all.
        """
        fraction = self.max_streamer_fraction
        if fraction >= 1:
            return self.frames_per_stream
        # existing + n <= fraction * (total + n), solved for n; 1e-9 makes up for rounding errors.
        by_fraction = math.floor((fraction * total - existing_frames) / (1 - fraction) + 1e-9)
        return min(self.frames_per_stream, max(self.frames_per_stream - existing_frames, by_fraction, 0))
