"""Which frames are worth keeping: no flat ones, no test cards, none that repeats a kept one of its stream.

All is judged on thumbnails of 30 x 30 cells. For repeats they tell more than perceptual hashes do: a figure that
walks over a still background changes the cells that it crosses, and none of a hash's bits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np

from data.video.decoder import generate_test_pattern
from data.video.images import decode_thumbnail, to_grayscale, to_thumbnail

BLACK, ONE_COLOUR, TEST_CARD, FROZEN, DUPLICATE = "black", "one colour", "test card", "frozen", "seen before"

TEST_CARD_SOURCES = (
    "smptebars",
    "smptehdbars",
    "pal75bars",
    "pal100bars",
    "testsrc",
    "testsrc2",
    "rgbtestsrc",
    "yuvtestsrc",
)  # FFmpeg's sources of test cards

_OUTLIER_CELLS = 27  # cells, 3 % of them: so many may differ from the rest, for a small logo, or a clock
_FLAT_LEVELS = (
    3  # of 255, from the darkest to the brightest of the others; gameplay at a quarter of its light has 6 or more
)
_DARK = 32  # mean level of a flat frame that is called black
_CARD_LEVELS = 40  # of 255: cards are shown at 75 % or 100 %, in the colours of SD or HD, and a little dimmed
_CARD_FRACTION = 0.5  # of the cells; logos, clocks and texts leave 60 % or more, gameplay has 30 % at most
_CARD_ROWS = 3  # every third row is looked at
_DUPLICATE_LEVELS = 3, 8  # of 255; encoding a still picture anew changes no cell by more than 3
_DUPLICATE_CONTRAST_FRACTION = 1 / 8  # of the frame's own contrast, between those two: in the dark, less is a movement
_WINDOW = 15  # frames of a stream that are remembered: a live window's


class FrameQualityFilter:
    """Judges frames, and remembers what it let through of the `streams` looked at last. Threads may share it."""

    def __init__(self, streams: int = 2000) -> None:
        """Draws the test cards. A stream takes 15 kB."""
        self._max_streams = streams
        self._test_cards = _TestCards(TEST_CARD_SOURCES)
        self._lock = threading.Lock()
        self._histories: OrderedDict[str, deque[np.ndarray]] = OrderedDict()  # by login, grey thumbnails

    def reject_reason(self, login: str, jpeg: bytes) -> str:
        """Why to leave this frame out, one of the words above; or "" for one to keep, which is remembered.

        Raises UndecodableVideo when the bytes are no JPEG.
        """
        thumbnail = decode_thumbnail(jpeg)
        grey = to_grayscale(thumbnail)
        contrast = _contrast(grey)
        if contrast <= _FLAT_LEVELS:  # as in `is_flat`
            return BLACK if grey.mean() < _DARK else ONE_COLOUR
        if self._test_cards.match(thumbnail):
            return TEST_CARD
        with self._lock:
            return self._duplicate_reason(self._history(login), grey, contrast)

    def _history(self, login: str) -> deque[np.ndarray]:
        """What is remembered of a stream. The one that was not looked at for longest is forgotten for a new one."""
        kept = self._histories.setdefault(login, deque(maxlen=_WINDOW))
        self._histories.move_to_end(login)
        if len(self._histories) > self._max_streams:
            self._histories.popitem(last=False)
        return kept

    @staticmethod
    def _duplicate_reason(kept: deque[np.ndarray], grey: np.ndarray, contrast: int) -> str:
        """Whether the last one kept is the same picture, or one before it; if none is, this one is kept."""
        least, most = _DUPLICATE_LEVELS
        still = min(most, max(least, contrast * _DUPLICATE_CONTRAST_FRACTION))
        moved = [(np.maximum(grey, old) - np.minimum(grey, old)).max() > still for old in kept]
        if all(moved):
            kept.append(grey)
            return ""
        return DUPLICATE if moved[-1] else FROZEN


class AcceptAll:
    """Lets every frame through."""

    def reject_reason(self, login: str, jpeg: bytes) -> str:
        """Nothing is a reason to leave a frame out."""
        del login, jpeg
        return ""


class _TestCards:
    """Test cards, as the range of levels that each cell of a thumbnail may have."""

    def __init__(self, sources: Sequence[str]) -> None:
        pictures = [to_thumbnail(generate_test_pattern(source)) for source in sources]
        planes = np.stack([self._planes(picture) for picture in pictures], axis=1).astype(np.int16)
        self._low = np.clip(planes - _CARD_LEVELS, 0, 255).astype(np.uint8)
        self._high = np.clip(planes + _CARD_LEVELS, 0, 255).astype(np.uint8)

    def match(self, thumbnail: np.ndarray) -> bool:
        """Whether it shows one of them, whatever else lies over it."""
        planes = self._planes(thumbnail)[:, None]
        red, green, blue = (self._low <= planes) & (planes <= self._high)  # each (cards, cells)
        return bool((red & green & blue).mean(axis=1).max() >= _CARD_FRACTION)

    @staticmethod
    def _planes(thumbnail: np.ndarray) -> np.ndarray:
        """uint8 (3, cells): channels first, since NumPy is quickest along the last axis."""
        return np.ascontiguousarray(thumbnail[::_CARD_ROWS].reshape(-1, 3).T)


def is_flat(jpeg: bytes) -> bool:
    """Whether a frame is black or of one colour, which no game is. Raises UndecodableVideo when the bytes are no JPEG."""
    return _contrast(to_grayscale(decode_thumbnail(jpeg))) <= _FLAT_LEVELS


def _contrast(grey: np.ndarray) -> int:
    """Levels between the dark and the bright cells, a few outliers on both sides left out."""
    levels = np.sort(grey, axis=None, kind="stable")  # a radix sort
    return int(levels[-1 - _OUTLIER_CELLS]) - int(levels[_OUTLIER_CELLS])
