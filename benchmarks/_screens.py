"""Screens to plant among gameplay, drawn unlike the toolkit's own examples: other layouts, another font, real scenes.

A menu lies over a blurred frame of its own game, as menus do; an intermission has an image of its own.
Images are uint8 RGB (240, 240, 3).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_SIDE = 240
_FONT = Path(__file__).parents[1] / "data" / "video" / "fonts" / "DejaVuSans.ttf"
_ENTRIES = [
    *("Continue", "New game", "Load", "Options", "Controls", "Multiplayer", "Credits", "Quit", "Campaign", "Skirmish"),
    *("Profile", "Video", "Audio", "Back", "Apply", "Difficulty", "Inventory", "Quests", "Map", "Skills", "Loadout"),
    *("Achievements", "Leaderboard", "Join", "Host", "Shop", "Ready", "Settings"),
]
_WAIT = ("We will start soon", "Back in 5 minutes", "On a break", "Live at 20:00", "Coffee!", "Bald geht es los", "Fin")


def menu(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a menu over `frame`, uint8 RGB (240, 240, 3), blurred and darkened."""
    blurred = Image.fromarray(frame).filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 6)))
    shade = Image.new("RGB", (_SIDE, _SIDE), tuple(rng.integers(0, 60, 3).tolist()))
    picture = Image.blend(blurred, shade, rng.uniform(0.3, 0.85))
    draw, size = ImageDraw.Draw(picture), int(rng.integers(9, 16))
    left, top, ink = int(rng.choice((14, 80, 140))), int(rng.integers(50, 80)), _light(rng)
    draw.text((left, top - 34), str(rng.choice(_ENTRIES)).upper(), ink, ImageFont.truetype(_FONT, 2 * size))
    entries = rng.choice(_ENTRIES, int(rng.integers(4, 9)), replace=False)
    chosen, framed = int(rng.integers(len(entries))), rng.random() < 0.5
    for row, text in enumerate(entries):
        y = top + row * (size + 7)
        if framed or row == chosen:
            fill = _light(rng) if row == chosen else (30, 30, 36)
            draw.rounded_rectangle((left - 5, y - 2, left + 92, y + size + 3), 4, fill)
        draw.text((left, y), str(text), (10, 10, 10) if row == chosen else ink, ImageFont.truetype(_FONT, size))
    return np.asarray(picture)


def intermission(rng: np.random.Generator) -> np.ndarray:
    """Return a waiting screen: rings or stripes, a phrase in a ribbon, three small lines."""
    picture = Image.new("RGB", (_SIDE, _SIDE), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for step in range(int(rng.integers(2, 9))):
        color = tuple(rng.integers(0, 256, 3).tolist())
        x, y, radius = rng.integers(-60, 300, 3).tolist()
        if rng.random() < 0.5:
            draw.ellipse((x - abs(radius), y - abs(radius), x + abs(radius), y + abs(radius)), outline=color, width=9)
        else:
            draw.polygon([(x, 0), (x + 30 + 5 * step, 0), (x - 60, _SIDE), (x - 90, _SIDE)], fill=color)
    y, size = int(rng.integers(70, 150)), int(rng.integers(16, 26))
    draw.rectangle((0, y - 8, _SIDE, y + size + 12), fill=tuple(rng.integers(0, 90, 3).tolist()))
    font = ImageFont.truetype(_FONT, size)
    draw.text((_SIDE / 2, y), str(rng.choice(_WAIT)), _light(rng), font, anchor="ma")
    for row in range(3):
        draw.text((12, 190 + 14 * row), f"@{rng.choice(_ENTRIES).lower()}", _light(rng), ImageFont.truetype(_FONT, 9))
    return np.asarray(picture)


def _light(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(160, 256, 3).tolist())
