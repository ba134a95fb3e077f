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


class StreamSelector:
    """Selects streams at random, so that no streamer dominates a game.

    Args:
        stream_tries: maximum number of streams in a selection.
        frames_per_stream: frames that every streamer may give; also the maximum per grab.
        max_streamer_fraction: maximum fraction of a game's frames from one streamer, 0 to 1; 1: no limit.
        rng: source of randomness.
    """

    def __init__(
        self, stream_tries: int, frames_per_stream: int, max_streamer_fraction: float, rng: random.Random
    ) -> None:
        self._max_streams = stream_tries
        self._base_quota = frames_per_stream
        self._max_fraction = max_streamer_fraction
        self._rng = rng

    def select(self, streams: Sequence[Stream], existing_frames: Mapping[str, int]) -> Selection:
        """Return a random selection of a game's `streams`, those of the streamers with the fewest frames first.

        `existing_frames`: by login, the number of the game's frames.
        """
        total = sum(existing_frames.values())
        quota = {stream.login: self.quota(existing_frames.get(stream.login, 0), total) for stream in streams}
        eligible = [stream for stream in streams if quota[stream.login]]
        # Draw first, then sort: otherwise streams that always fail would stay first and hide all others.
        selected = self._rng.sample(eligible, min(len(eligible), self._max_streams))
        selected.sort(key=lambda stream: existing_frames.get(stream.login, 0))
        over_quota = frozenset(login for login, frames in quota.items() if not frames)
        return Selection(tuple(selected), quota, over_quota)

    def quota(self, existing_frames: int, total: int) -> int:
        """Return how many more frames a streamer may give, 0 to frames_per_stream.

        With these frames the streamer has at most frames_per_stream frames, or at most the maximum fraction of all.

        Args:
            existing_frames: number of the streamer's frames in this game.
            total: number of the game's frames.
        """
        if self._max_fraction >= 1:
            return self._base_quota
        # existing + n <= fraction * (total + n), solved for n; 1e-9 makes up for rounding errors.
        by_fraction = math.floor((self._max_fraction * total - existing_frames) / (1 - self._max_fraction) + 1e-9)
        return min(self._base_quota, max(self._base_quota - existing_frames, by_fraction, 0))
