"""Image annotation: draw predictions on frames and lay frames out as a contact sheet. Owns Pillow."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data.text import printable_line
from data.video.images import decode_jpeg, encode_jpeg
from recognition.decision.verdict import Prediction

KNOWN, UNKNOWN = (60, 190, 110), (240, 160, 40)  # RGB, 0 to 255, like all colors of this module
_WHITE, _DARK = (255, 255, 255), (30, 36, 48)
_FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"  # Latin, Cyrillic, Greek, Arabic, Hebrew and more
_CJK_FONT = "NotoSansCJK-Regular.ttc"  # 20 MB, therefore not shipped: Pillow searches the system's font folders
_FONT_SIZE = 12  # pixels
_TILE = 240  # pixels: smaller frames are enlarged, otherwise the text would not fit
_STRIP, _PAD, _BAR = 30, 6, 4  # pixels: height of the darkened strip, padding of its text, height of the bar
_MAX_TEXT = 1000  # characters: more never fit on a sheet, and Pillow refuses a million
_TITLE = 24  # pixels: height of a title line of a contact sheet
_JPEG_QUALITY = 90


def annotate_frame(jpeg: bytes, number: int, prediction: Prediction) -> bytes:
    """Return the frame as a JPEG with its number, game and confidence along the bottom edge.

    A bar below the text is as long as the confidence: green for a known game, orange for an unknown frame. An
    unknown frame shows the closest game with a question mark. The image has at least 240 x 240 pixels.
    """
    image = Image.fromarray(decode_jpeg(jpeg))
    if image.height < _TILE:
        image = image.resize((_TILE, _TILE), Image.Resampling.BICUBIC)
    width, height = image.size
    box = (0, height - _STRIP, width, height)
    # Text is drawn on the strip only: stacked accents would reach into the frame.
    strip = image.crop(box).point(lambda value: value // 4)
    color = KNOWN if prediction.known else UNKNOWN
    strip.paste(color, (0, _STRIP - _BAR, round(width * prediction.confidence), _STRIP))
    name = prediction.game.name if prediction.known else f"{prediction.game.name}?"
    percent = f"{100 * prediction.confidence:.1f}%"
    baseline = _STRIP - _BAR - _PAD - 3
    percent_x = width - _PAD - _text_width(percent)
    _put_text(strip, _truncate(f"{number} {name}", percent_x - 2 * _PAD), _PAD, baseline, _WHITE)
    _put_text(strip, percent, percent_x, baseline, _WHITE)
    image.paste(strip, box)
    return encode_jpeg(np.asarray(image), _JPEG_QUALITY)


def contact_sheet(jpegs: Sequence[bytes], titles: Sequence[str]) -> bytes:
    """Return one JPEG: frames of equal size in rows, in their order, below one line of text for each title."""
    tiles = [Image.fromarray(decode_jpeg(jpeg)) for jpeg in jpegs]
    width, height = tiles[0].size
    # A sheet slightly wider than high, such as five columns for fifteen frames.
    columns = min(len(tiles), round((len(tiles) * 5 / 3) ** 0.5))
    rows = -(-len(tiles) // columns)
    top = _TITLE * len(titles) + _PAD
    sheet = Image.new("RGB", (columns * width, top + rows * height), _WHITE)
    for index, title in enumerate(titles):
        line = Image.new("RGB", (sheet.width, _TITLE), _WHITE)
        _put_text(line, _truncate(title, sheet.width - 2 * _PAD), _PAD, _TITLE - _PAD, _DARK)
        sheet.paste(line, (0, _TITLE * index))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (column * width, top + row * height))
    return encode_jpeg(np.asarray(sheet), _JPEG_QUALITY)


def _put_text(image: Image.Image, text: str, x: float, baseline: int, color: tuple[int, int, int]) -> None:
    draw = ImageDraw.Draw(image)
    for run, font in _runs(text):
        draw.text((x, baseline), run, color, font, anchor="ls")  # left, baseline
        x += font.getlength(run)


def _truncate(text: str, width: float) -> str:
    """Return the text, or as much of its beginning as fits into `width` pixels, with an ellipsis."""
    text = text[:_MAX_TEXT]
    if _text_width(text) <= width:
        return text
    ends = range(1, len(text) + 1)
    end = bisect_right(ends, width, key=lambda end: _text_width(f"{text[:end]}…"))
    return f"{text[:end]}…" if end else ""


def _text_width(text: str) -> float:
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
