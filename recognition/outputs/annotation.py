"""Image annotation: draw predictions on frames and lay frames out as a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from data.video.images import decode_jpeg, encode_jpeg
from data.video.lettering import put_text, text_width, truncate
from recognition.decision.verdict import Prediction

KNOWN, UNKNOWN = (60, 190, 110), (240, 160, 40)  # RGB, 0 to 255, like all colors of this module
_WHITE, _DARK = (255, 255, 255), (30, 36, 48)
_TILE = 240  # pixels: smaller frames are enlarged, otherwise the text would not fit
_STRIP, _PAD, _BAR = 30, 6, 4  # pixels: height of the darkened strip, padding of its text, height of the bar
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
    percent_x = width - _PAD - text_width(percent)
    put_text(strip, truncate(f"{number} {name}", percent_x - 2 * _PAD), _PAD, baseline, _WHITE)
    put_text(strip, percent, percent_x, baseline, _WHITE)
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
        put_text(line, truncate(title, sheet.width - 2 * _PAD), _PAD, _TITLE - _PAD, _DARK)
        sheet.paste(line, (0, _TITLE * index))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (column * width, top + row * height))
    return encode_jpeg(np.asarray(sheet), _JPEG_QUALITY)
