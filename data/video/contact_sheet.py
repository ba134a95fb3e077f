"""Contact sheet: pictures in rows below titles, in a grid of cells, as one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress

from PIL import Image

from data.errors import UndecodableVideo
from data.video.images import decode_resized
from data.video.lettering import put_text, truncate

_TILE, _TITLE, _PAD = 120, 24, 6  # pixels: side of a picture, height of a title, space between cells
_ASPECT = 1.5  # width of a sheet by its height, about
_WHITE, _DARK = (255, 255, 255), (30, 36, 48)


def contact_sheet(cells: Sequence[tuple[str, Sequence[bytes]]]) -> bytes:
    """Return one or more cells, each a title and its pictures, row by row, as a PNG.

    All cells are as wide as the one with the most pictures. The place of a picture that cannot be decoded stays empty.
    """
    width, height = max(len(jpegs) for _, jpegs in cells) * _TILE + _PAD, _TITLE + _TILE + _PAD
    columns = min(len(cells), max(1, round((len(cells) * _ASPECT * height / width) ** 0.5)))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width + _PAD, rows * height), _WHITE)
    for index, (title, jpegs) in enumerate(cells):
        row, column = divmod(index, columns)
        left, top = _PAD + column * width, row * height
        line = Image.new("RGB", (width - _PAD, _TITLE), _WHITE)  # stacked accents would reach into other cells
        put_text(line, truncate(title, line.width), 0, _TITLE - _PAD, _DARK)
        sheet.paste(line, (left, top))
        for number, jpeg in enumerate(jpegs):
            with suppress(UndecodableVideo):
                tile = Image.fromarray(decode_resized(jpeg, _TILE))
                sheet.paste(tile, (left + number * _TILE, top + _TITLE))
    png = io.BytesIO()
    sheet.save(png, "PNG")
    return png.getvalue()
