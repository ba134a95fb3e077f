"""A white sheet to draw on in the README's pixels, saved as a PNG with two pixels for each of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon
from PIL import Image, ImageColor

INK, GREY, LINE, PAPER = "#1f2430", "#667080", "#c9d0d9", "#f6f8fa"
BLUE, ORANGE, GREEN, VIOLET = "#2a6fbb", "#d9691e", "#2e8b57", "#7a5cc0"
WIDTH = 900  # of a README's column on GitHub, roughly

_SCALE = 2
_POINTS = 0.72  # a pixel of a hundredth of an inch, in points
_HEAD = 7  # of an arrow, length
_NEAR = 6  # of 255: colours no farther apart than this are taken for the same


class Canvas:
    """Places are (x, y) in pixels from the top left corner; sizes of type are in pixels, too."""

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100 * _SCALE, facecolor="white")
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(height, 0))
        self._axes.axis("off")
        self._pictures: list[tuple[tuple[int, int], Image.Image]] = []

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        color: str = INK,
        bold: bool = False,
        mono: bool = False,
        align: str = "left",
    ) -> None:
        """Write a line, its baseline at `y`; `x` is its left end, its centre or its right end, by `align`."""
        family, weight = "monospace" if mono else "sans-serif", "bold" if bold else "normal"
        options: dict[str, Any] = {"fontsize": size * _POINTS, "fontfamily": family, "fontweight": weight}
        # A name is no formula: without parse_math=False two dollar signs would make it one.
        self._axes.text(x, y, words, color=color, ha=align, va="baseline", parse_math=False, **options)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "white",
        edge: str = LINE,
        line: float = 1.2,
        radius: float = 6,
        dashed: bool = False,
    ) -> None:
        """Draw a rectangle with round corners."""
        style = f"round,pad=0,rounding_size={radius}"
        options: dict[str, Any] = {"linestyle": "--" if dashed else "-", "linewidth": line * _POINTS}
        self._axes.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor=fill, edgecolor=edge, **options))

    def path(self, xs: list[float], ys: list[float], *, color: str = GREY, line: float = 1.6) -> None:
        """Draw a line through these points."""
        self._axes.plot(xs, ys, color=color, linewidth=line * _POINTS, solid_capstyle="butt")

    def arrow(self, *points: tuple[float, float], color: str = GREY, line: float = 1.6) -> None:
        """Draw a line through `points`, two at least, with a head at the last one."""
        (x0, y0), (x, y) = points[-2:]
        along = np.array([x - x0, y - y0]) / np.hypot(x - x0, y - y0)
        tip, neck = np.array([x, y]), np.array([x, y]) - _HEAD * along
        across = np.array([-along[1], along[0]]) * _HEAD * 0.5
        xs, ys = zip(*points[:-1], neck, strict=True)
        self.path(list(xs), list(ys), color=color, line=line)
        self._axes.add_patch(Polygon([tip, neck + across, neck - across], color=color, linewidth=0))

    def picture(self, x: float, y: float, side: float, image: np.ndarray) -> None:
        """Lay a uint8 RGB `image` (height, width, 3) over the drawing, as a square of `side`."""
        pixels = round(side * _SCALE)
        scaled = Image.fromarray(image).resize((pixels, pixels), Image.Resampling.LANCZOS)
        self._pictures.append(((round(x * _SCALE), round(y * _SCALE)), scaled))

    def save(self, path: Path) -> None:
        """Write the PNG, in 256 colours: screenshots of games would make it four times as large."""
        drawing = io.BytesIO()
        self._figure.savefig(drawing, format="png")
        sheet = Image.open(drawing).convert("RGB")
        for corner, picture in self._pictures:
            sheet.paste(picture, corner)
        sheet.quantize(palette=_palette(sheet), dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def _palette(sheet: Image.Image) -> Image.Image:
    """At most 256 colours for `sheet`: white and those of this module exactly, so that plain areas stay plain."""
    own = np.array(
        [ImageColor.getrgb(color) for color in ("white", INK, GREY, LINE, PAPER, BLUE, ORANGE, GREEN, VIOLET)]
    )
    sample = sheet.resize((sheet.width // 3, sheet.height // 3), Image.Resampling.NEAREST)  # else it takes a minute
    found = np.array(sample.quantize(256 - len(own), kmeans=1).getpalette()).reshape(-1, 3)
    near = np.abs(found[:, None] - own[None]).max(axis=2).min(axis=1) < _NEAR
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([own, found[~near]]).astype(np.uint8).tobytes())
    return palette
