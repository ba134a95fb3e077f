"""Frames with their predictions drawn on them, and sheets of such frames. Owns cv2 beside data.video.decoder.

OpenCV's letters are ASCII: accents are left out, and other scripts become question marks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from data.video.decoder import decode, encode

if TYPE_CHECKING:
    from recognition.decision.verdict import Prediction

KNOWN, UNKNOWN = (60, 190, 110), (240, 160, 40)  # RGB, as all here
_WHITE, _DARK = (255, 255, 255), (30, 36, 48)
_FONT, _LETTER = cv2.FONT_HERSHEY_DUPLEX, 0.42  # about ten pixels high
_TILE = 240  # pixels: smaller frames are enlarged to it
_STRIP, _PAD, _BAR = 30, 6, 4  # pixels of what stands on a frame
_TITLE = 24  # pixels of a line above a sheet
_QUALITY = 90


def annotate_frame(jpeg: bytes, number: int, prediction: Prediction) -> bytes:
    """The frame as a JPEG, at least 240 pixels high and wide, with its number, game and confidence along the bottom.

    Of an unknown frame the closest game, with a question mark, and an orange bar instead of a green one.
    """
    image = _tile(decode(jpeg))
    height, width = image.shape[:2]
    strip = image[height - _STRIP :]
    strip[:] = strip // 4
    colour = KNOWN if prediction.known else UNKNOWN
    strip[-_BAR:, : round(width * prediction.confidence)] = colour
    percent = f"{100 * prediction.confidence:.1f}%"
    room = width - 3 * _PAD - _width(percent)
    name = prediction.game.name if prediction.known else f"{prediction.game.name}?"
    baseline = height - _BAR - _PAD - 3
    _put_text(image, _truncate(f"{number} {name}", room), _PAD, baseline, _WHITE)
    _put_text(image, percent, width - _PAD - _width(percent), baseline, _WHITE)
    return encode(image, _QUALITY)


def contact_sheet(jpegs: Sequence[bytes], titles: Sequence[str]) -> bytes:
    """Frames of one size side by side in rows, as a JPEG, below `titles`, a line each."""
    tiles = [decode(jpeg) for jpeg in jpegs]
    columns = _columns(len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    width = rows[0].shape[1]
    head = np.full((_TITLE * len(titles) + _PAD, width, 3), 255, np.uint8)
    for line, title in enumerate(titles, start=1):
        _put_text(head, _truncate(title, width - 2 * _PAD), _PAD, _TITLE * line - _PAD, _DARK)
    return encode(np.vstack([head, *rows]), _QUALITY)


def _tile(image: np.ndarray) -> np.ndarray:
    """The image, enlarged where it is too small for letters; a copy that may be drawn on."""
    size = max(_TILE, image.shape[0])
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) if size > len(image) else image.copy()


def _columns(count: int) -> int:
    """Of a sheet that is a little wider than high: five for fifteen frames."""
    return min(count, round((count * 5 / 3) ** 0.5))


def _put_text(image: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    """Write `text` from `x`, its baseline at `y`."""
    cv2.putText(image, _ascii(text), (x, y), _FONT, _LETTER, colour, 1, cv2.LINE_AA)


def _truncate(text: str, width: int) -> str:
    """As much of the text's beginning as fits into so many pixels."""
    if _width(text) <= width:
        return text
    return next((cut for end in range(len(text), 0, -1) if _width(cut := text[:end] + "...") <= width), "")


def _width(text: str) -> int:
    """Pixels."""
    return int(cv2.getTextSize(_ascii(text), _FONT, _LETTER, 1)[0][0])


def _ascii(text: str) -> str:
    return "".join(
        character if character.isascii() else "?"
        for character in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(character)
    )
