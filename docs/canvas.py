"""Canvas: a drawing surface in the README's pixels, saved as a PNG at twice that resolution."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib.path
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image, ImageColor

INK, GREY, LINE, PAPER = "#1f2430", "#667080", "#c9d0d9", "#f6f8fa"
BLUE, ORANGE, GREEN, VIOLET = "#2a6fbb", "#d9691e", "#2e8b57", "#7a5cc0"
WIDTH = 900  # pixels, about the width of a README on GitHub

_SCALE = 2  # pixels of the PNG per pixel of the README, for high-resolution screens
_POINTS = 0.72  # points per pixel at 100 dpi
_ARROW_HEAD = 5  # length in pixels, without its outline
_NEAR = 6  # of 255: colours that differ less count as one


class Canvas:
    """A white drawing surface. Positions (x, y) are pixels from the top left corner; font sizes are pixels as well."""

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100 * _SCALE, facecolor="white")
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(height, 0))  # y grows downwards
        self._axes.axis("off")
        self._images: list[tuple[tuple[int, int], Image.Image]] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 12,
        color: str = INK,
        bold: bool = False,
        mono: bool = False,
        align: str = "left",
    ) -> None:
        """Write a line with its baseline at `y`; `align` says whether `x` is its left end, center or right end."""
        family, weight = "monospace" if mono else "sans-serif", "bold" if bold else "normal"
        options: dict[str, Any] = {"fontsize": size * _POINTS, "fontfamily": family, "fontweight": weight}
        # parse_math=False: two dollar signs in a name would make it a formula.
        self._axes.text(x, y, text, color=color, ha=align, va="baseline", parse_math=False, **options)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "white",
        edge: str = LINE,
        radius: float = 6,
        dashed: bool = False,
    ) -> None:
        """Draw a rectangle with round corners."""
        style = f"round,pad=0,rounding_size={radius}"
        options: dict[str, Any] = {"linestyle": "--" if dashed else "-", "linewidth": 1.2 * _POINTS}
        self._axes.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor=fill, edgecolor=edge, **options))

    def arrow(self, *points: tuple[float, float], color: str = GREY) -> None:
        """Draw a line through two or more points, with an arrow head at the last one."""
        head = f"-|>,head_length={_ARROW_HEAD},head_width={_ARROW_HEAD / 2}"
        options: dict[str, Any] = {"mutation_scale": _POINTS, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.6 * _POINTS}
        path = matplotlib.path.Path(list(points))
        self._axes.add_patch(FancyArrowPatch(path=path, arrowstyle=head, color=color, joinstyle="miter", **options))

    def image(self, x: float, y: float, side: float, pixels: np.ndarray) -> None:
        """Put an image, uint8 RGB (height, width, 3), on top of the drawing as a square of `side`."""
        size = round(side * _SCALE)
        scaled = Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS)
        self._images.append(((round(x * _SCALE), round(y * _SCALE)), scaled))

    def save(self, path: Path) -> None:
        """Write the PNG in 256 colours, which makes it a quarter of the size in full colour."""
        drawing = io.BytesIO()
        self._figure.savefig(drawing, format="png")
        sheet = Image.open(drawing).convert("RGB")
        for corner, image in self._images:
            sheet.paste(image, corner)
        sheet.quantize(palette=_palette(sheet), dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def _palette(sheet: Image.Image) -> Image.Image:
    """Return at most 256 colours for `sheet`, with this module's colours exact so that plain areas are not dithered."""
    names = ("white", INK, GREY, LINE, PAPER, BLUE, ORANGE, GREEN, VIOLET)
    exact = np.array([ImageColor.getrgb(name) for name in names])  # (9, 3)
    # A ninth of the pixels is enough, and takes seconds instead of a minute.
    sample = sheet.resize((sheet.width // 3, sheet.height // 3), Image.Resampling.NEAREST)
    found = np.array(sample.quantize(256 - len(exact), kmeans=1).getpalette()).reshape(-1, 3)
    is_near = np.abs(found[:, None] - exact[None]).max(axis=2).min(axis=1) < _NEAR
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([exact, found[~is_near]]).astype(np.uint8).tobytes())
    return palette
