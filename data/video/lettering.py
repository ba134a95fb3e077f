"""Lettering: text of any script on images, in the fonts of this folder and of the system."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from data.text import printable_line

_FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"  # Latin, Cyrillic, Greek, Arabic, Hebrew and more
_CJK_FONT = "NotoSansCJK-Regular.ttc"  # 20 MB, therefore not shipped: Pillow searches the system's font folders
_FONT_SIZE = 12  # pixels
_MAX_TEXT = 1000  # characters: more never fit on a sheet, and Pillow refuses a million


def put_text(image: Image.Image, text: str, x: float, baseline: int, color: tuple[int, int, int]) -> None:
    """Draw one line of text from `x` on, on this baseline, both in pixels; `color`: RGB, 0 to 255."""
    draw = ImageDraw.Draw(image)
    for run, font in _runs(text):
        draw.text((x, baseline), run, color, font, anchor="ls")  # left, baseline
        x += font.getlength(run)


def truncate(text: str, width: float) -> str:
    """Return the text, or as much of its beginning as fits into `width` pixels, with an ellipsis."""
    text = text[:_MAX_TEXT]
    if text_width(text) <= width:
        return text
    ends = range(1, len(text) + 1)
    end = bisect_right(ends, width, key=lambda end: text_width(f"{text[:end]}…"))
    return f"{text[:end]}…" if end else ""


def text_width(text: str) -> float:
    """Return the width of the text, pixels."""
    return sum(font.getlength(run) for run, font in _runs(text))


def _runs(text: str) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """Split the text into runs of one font: DejaVu Sans has no East Asian wide characters.

    Composed characters (NFC) need no text shaping: fonts have a glyph for é, but may misplace a combining accent.
    """
    line = unicodedata.normalize("NFC", printable_line(text))
    # Wide or fullwidth: Unicode Standard Annex 11.
    for wide, run in groupby(line, lambda character: unicodedata.east_asian_width(character) in "WF"):
        yield "".join(run), _font(wide)


@cache
def _font(cjk: bool) -> ImageFont.FreeTypeFont:
    """Return the font; without a CJK font on this system, DejaVu Sans draws its replacement glyph."""
    if cjk:
        with suppress(OSError):
            return ImageFont.truetype(_CJK_FONT, _FONT_SIZE)
    return ImageFont.truetype(_FONT, _FONT_SIZE)
