"""Fake followers: watched sources whose polls a test writes down."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from data.entities import Frame
from data.video.images import encode_jpeg
from tests.sample_images import flat

PollResult = Sequence[Frame] | Exception  # what one poll gives


class FakeFollower:
    """A follower with these poll results. It ends with the last one, unless that is an error."""

    def __init__(self, *results: PollResult, live: bool = True, poll_interval_s: float = 2.0) -> None:
        self._results = deque(results)
        self.ended = not results
        self.live = live
        self.poll_interval_s = poll_interval_s
        self.missed_segments = 0

    def poll(self) -> Iterator[Frame]:
        result = self._results.popleft()
        self.ended = not self._results
        if isinstance(result, Exception):
            raise result
        yield from result


class FakeOpener:
    """Opens the next follower, or raises the next exception; the last error repeats for ever."""

    def __init__(self, *results: FakeFollower | Exception) -> None:
        self._results = deque(results)
        self.opened: list[tuple[str, int, int]] = []  # the arguments of each call

    def open_follower(self, source: str, initial_frames: int, max_backlog: int) -> FakeFollower:
        self.opened.append((source, initial_frames, max_backlog))
        repeats = len(self._results) == 1 and isinstance(self._results[0], Exception)
        result = self._results[0] if repeats else self._results.popleft()
        if isinstance(result, Exception):
            raise result
        return result


def frames_of(*colours: tuple[int, int, int], first: float | None = None) -> list[Frame]:
    """Return frames of these colours, half of each darkened; `first` dates the first one, the others 2 s apart."""
    dates = [None if first is None else first + 2 * index for index in range(len(colours))]
    return [Frame(0, _shaded(colour), date) for colour, date in zip(colours, dates, strict=True)]


def _shaded(colour: tuple[int, int, int]) -> bytes:
    image = flat(colour, 16, 16)
    image[:, :8] //= 2  # or the frame would be of one colour, which is never a game
    return encode_jpeg(image, 95)
