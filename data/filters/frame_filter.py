"""Frame quality filter: rejects flat frames, test cards, and frames that repeat an earlier one of their stream.

All decisions are made on thumbnails of 30 x 30 cells. They find duplicates better than perceptual hashes: a
figure that walks over a still background changes the cells that it crosses, but no bit of a hash.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

import numpy as np

from data.video.decoder import generate_test_pattern
from data.video.images import decode_thumbnail, to_grayscale, to_thumbnail

# Reasons for a rejection, as the download counts and prints them.
BLACK, ONE_COLOUR, TEST_CARD, FROZEN, DUPLICATE = "black", "one colour", "test card", "frozen", "seen before"

# Test cards, by the FFmpeg video sources that generate them.
TEST_CARDS = ("smptebars", "smptehdbars", "pal75bars", "pal100bars", "testsrc", "testsrc2", "rgbtestsrc", "yuvtestsrc")

# Levels are those of uint8 pixels, 0 to 255. The limits were measured on the gameplay clips of the tests.
_OUTLIER_CELLS = 27  # 3 % of the cells on each side may differ, for a small logo or a clock
_FLAT_LEVELS = 3  # contrast of a flat frame; gameplay at a quarter of its brightness has 6 or more
_DARK_LEVEL = 32  # mean level below which a flat frame is called black
_CARD_LEVELS = 40  # tolerance: cards come at 75 % or 100 %, in SD or HD colors, and slightly dimmed
_CARD_FRACTION = 0.5  # matching cells; logos, clocks and texts leave 60 % or more, gameplay has 30 % at most
_CARD_ROWS = 3  # every third row is compared
_DUPLICATE_LEVELS = 3, 8  # limits of the tolerance; encoding a still image again changes no cell by more than 3
_DUPLICATE_CONTRAST_FRACTION = 1 / 8  # tolerance as a fraction of the frame's contrast: dark frames move less
_HISTORY_FRAMES = 15  # frames to remember of a stream: as many as a playlist lists segments


class FrameQualityFilter:
    """Rejects frames that no dataset needs. Several threads may share a filter.

    Args:
        max_streams: number of streams to remember, those used last; each takes 15 kB.
    """

    def __init__(self, max_streams: int = 2000) -> None:
        self._max_streams = max_streams
        self._test_cards = _TestCards()
        self._lock = threading.Lock()
        self._histories: OrderedDict[str, deque[np.ndarray]] = OrderedDict()  # by login, each uint8 (30, 30)

    def reject_reason(self, login: str, jpeg: bytes) -> str:
        """Return why to reject a frame, one of the module's constants; "" to keep it, which also remembers it.

        Raises UndecodableVideo for an invalid JPEG.
        """
        thumbnail = decode_thumbnail(jpeg)  # (30, 30, 3)
        gray = to_grayscale(thumbnail)  # (30, 30)
        contrast = _contrast(gray)
        if contrast <= _FLAT_LEVELS:
            return BLACK if gray.mean() < _DARK_LEVEL else ONE_COLOUR
        if self._test_cards.match(thumbnail):
            return TEST_CARD
        with self._lock:
            history = self._histories.setdefault(login, deque(maxlen=_HISTORY_FRAMES))
            self._histories.move_to_end(login)
            if len(self._histories) > self._max_streams:
                self._histories.popitem(last=False)  # the stream that was used least recently
            return self._duplicate_reason(history, gray, contrast)

    @staticmethod
    def _duplicate_reason(history: deque[np.ndarray], gray: np.ndarray, contrast: int) -> str:
        """Return FROZEN if the frame equals the last kept one, DUPLICATE if an earlier one; otherwise keep it."""
        least, most = _DUPLICATE_LEVELS
        tolerance = min(most, max(least, contrast * _DUPLICATE_CONTRAST_FRACTION))
        # uint8 differences would wrap around, so subtract the smaller level from the larger one.
        moved = [(np.maximum(gray, old) - np.minimum(gray, old)).max() > tolerance for old in history]
        if all(moved):
            history.append(gray)
            return ""
        return DUPLICATE if moved[-1] else FROZEN


class AcceptAll:
    """A filter that rejects no frame."""

    def reject_reason(self, login: str, jpeg: bytes) -> str:  # noqa: ARG002 - the same method as FrameQualityFilter's
        """Return "": keep the frame."""
        return ""


class _TestCards:
    """Test cards, as the range of levels that each cell of a thumbnail may have."""

    def __init__(self) -> None:
        cards = [to_thumbnail(generate_test_pattern(source)) for source in TEST_CARDS]
        planes = np.stack([self._planes(card) for card in cards], axis=1).astype(np.int16)  # (3, cards, cells)
        self._low = np.clip(planes - _CARD_LEVELS, 0, 255).astype(np.uint8)
        self._high = np.clip(planes + _CARD_LEVELS, 0, 255).astype(np.uint8)

    def match(self, thumbnail: np.ndarray) -> bool:
        """Return whether the thumbnail shows a test card, even if something covers half of it."""
        planes = self._planes(thumbnail)[:, None]  # (3, 1, cells)
        red, green, blue = (self._low <= planes) & (planes <= self._high)  # each (cards, cells)
        return bool((red & green & blue).mean(axis=1).max() >= _CARD_FRACTION)

    @staticmethod
    def _planes(thumbnail: np.ndarray) -> np.ndarray:
        """Return every third row as uint8 (3, cells): channels first, because NumPy is fastest along the last axis."""
        return np.ascontiguousarray(thumbnail[::_CARD_ROWS].reshape(-1, 3).T)


def is_flat(jpeg: bytes) -> bool:
    """Return whether a frame is black or of one color, which no game is. Raises UndecodableVideo."""
    return _contrast(to_grayscale(decode_thumbnail(jpeg))) <= _FLAT_LEVELS


def _contrast(gray: np.ndarray) -> int:
    """Return the difference of the brightest and the darkest level, without the outliers on both sides."""
    levels = np.sort(gray, axis=None, kind="stable")  # for uint8 a radix sort
    return int(levels[-1 - _OUTLIER_CELLS]) - int(levels[_OUTLIER_CELLS])
