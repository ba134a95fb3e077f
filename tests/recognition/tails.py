"""Sources that are watched, as a test writes them down."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from data.entities import Frame
from data.errors import StreamError
from data.video.decoder import encode
from tests.footage import flat

Look = Sequence[Frame] | StreamError  # what one look gives


class FakeTail:
    """A tail of these looks; with the last one it is over, unless that is an error."""

    def __init__(self, *looks: Look, live: bool = True, pause_s: float = 2.0) -> None:
        self._looks = deque(looks)
        self.live = live
        self.pause_s = pause_s
        self.lost = 0

    @property
    def over(self) -> bool:
        return not self._looks

    def look(self) -> Iterator[Frame]:
        found = self._looks.popleft()
        if isinstance(found, StreamError):
            raise found
        yield from found


class Twitch:
    """Where sources are opened: by each opening the next tail, or an error; the last error again and again."""

    def __init__(self, *found: FakeTail | StreamError) -> None:
        self._found = deque(found)
        self.opened: list[tuple[str, int, int]] = []

    def open(self, source: str, at_first: int, behind: int) -> FakeTail:
        self.opened.append((source, at_first, behind))
        last = len(self._found) == 1 and isinstance(self._found[0], StreamError)
        found = self._found[0] if last else self._found.popleft()
        if isinstance(found, StreamError):
            raise found
        return found


def shown(*colours: tuple[int, int, int], first: float | None = None) -> list[Frame]:
    """Frames of these colours, half of each in shadow; `first`: the date of the first one, the others 2 s apart."""
    dates = [None if first is None else first + 2 * index for index in range(len(colours))]
    return [Frame(0, _shaded(colour), date) for colour, date in zip(colours, dates, strict=True)]


def _shaded(colour: tuple[int, int, int]) -> bytes:
    image = flat(colour, 16, 16)
    image[:, :8] //= 2
    return encode(image, 95)
