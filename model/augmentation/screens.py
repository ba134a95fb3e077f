"""Example screens without gameplay, by kind: menus, intermissions, a person who talks, desktops.

They depend on the seed only, never on a dataset's frames, so that their features hold nobody's picture.
Images are uint8 RGB (height, width, 3). Sizes are fractions of the image's.
"""

from __future__ import annotations

import string

import cv2
import numpy as np

from model.augmentation import drawing, overlays
from model.augmentation.portraits import draw_portrait
from model.augmentation.synthetic_negatives import draw_desktop

_SHAPE = (240, 240, 3)
_PHRASES = ("STARTING SOON", "BE RIGHT BACK", "BRB", "STREAM OFFLINE", "THANKS FOR WATCHING", "PAUSE", "SEE YOU SOON")
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def draw_screens(kind: str, count: int, seed: int, *, realistic: bool = False) -> np.ndarray:
    """Return `count` screens of `kind`, a key of SCREENS, uint8 RGB (count, 240, 240, 3).

    realistic: people as cameras show them, instead of flat ones.
    """
    number, draw = list(SCREENS).index(kind), draw_portrait if realistic and kind == "talking" else SCREENS[kind]
    return np.stack([draw(np.random.default_rng((seed, number, index))) for index in range(count)])


def _menu(rng: np.random.Generator) -> np.ndarray:
    """Return a title, and a column of entries or a grid of tiles, on a background out of focus."""
    screen = _background(rng)
    width = rng.uniform(0.25, 0.9)
    left = rng.choice((0.05, 0.5 - width / 2, 0.95 - width)) if width < 0.85 else 0.05
    if rng.random() < 0.6:
        drawing.paste(drawing.region_of(screen, 0, left, 1, width), _dark(rng), rng.uniform(0.4, 0.9))
    _write(screen, _words(rng, 2), (rng.uniform(0.08, 0.2), left + 0.02), rng.uniform(0.05, 0.09), rng)
    tiles = rng.random() < 0.4
    rows, columns = (int(rng.integers(2, 8)), int(rng.integers(2, 8))) if tiles else (int(rng.integers(3, 10)), 1)
    _draw_entries(screen, (left, width), (rows, columns), rng)
    return screen


def _draw_entries(
    screen: np.ndarray, span: tuple[float, float], cells: tuple[int, int], rng: np.random.Generator
) -> None:
    """Draw boxes with text in rows and columns below the title; one of them has another colour."""
    (left, width), (rows, columns) = span, cells
    high, wide, chosen = 0.7 / rows, width / columns, int(rng.integers(rows * columns))
    plain, marked, has_boxes = _dark(rng), drawing.solid_color(rng), rng.random() < 0.7
    for index in range(rows * columns):
        top, start = 0.25 + index // columns * high, left + index % columns * wide
        box = drawing.region_of(screen, top, start, 0.75 * high, 0.9 * wide)
        if has_boxes or index == chosen:
            drawing.paste(box, marked if index == chosen else plain, 0.85)
        if columns > 3 and rng.random() < 0.6:
            drawing.paste(box[2:-2, 2:-2], drawing.texture(rng))
        else:
            _write(screen, _words(rng, 2), (top + 0.5 * high, start + 0.1 * wide), min(0.06, 0.35 * high), rng)


def _intermission(rng: np.random.Generator) -> np.ndarray:
    """Return a large phrase on a calm background; some have a clock, small text, a webcam or a chat."""
    screen = drawing.stretch(drawing.solid_color(rng, dark=True), _SHAPE) if rng.random() < 0.3 else _background(rng)
    phrase, height = str(rng.choice(_PHRASES)), rng.uniform(0.05, 0.12)
    top = rng.uniform(0.3, 0.6)
    _write(screen, phrase, (top, None), height, rng)
    if rng.random() < 0.4:
        clock = f"{rng.integers(60)}:{rng.integers(60):02}"
        _write(screen, clock, (top + 2 * height, None), height, rng)
    if rng.random() < 0.4:
        _write(screen, _words(rng, 3), (rng.choice((0.08, 0.92)), None), 0.035, rng)
    for overlay in (overlays.webcam, overlays.chat):
        if rng.random() < 0.15:
            screen = overlay(screen, drawing.texture(rng), rng)
    return screen


def _talking(rng: np.random.Generator) -> np.ndarray:
    """Return a person in a room who fills the picture; some have a chat, an alert or a banner."""
    screen = drawing.stretch(drawing.webcam_person(drawing.texture(rng), rng), _SHAPE)
    for overlay in (overlays.chat, overlays.alert, overlays.banner):
        if rng.random() < 0.3:
            screen = overlay(screen, screen, rng)
    return screen


def _desktop(rng: np.random.Generator) -> np.ndarray:
    return draw_desktop(_SHAPE, rng)


def _background(rng: np.random.Generator) -> np.ndarray:
    """Return colours out of focus, as menus and intermissions have behind them; darkened in half of the cases."""
    patch = (drawing.gradient, drawing.pattern, drawing.texture)[int(rng.integers(3))](rng)
    screen = cv2.GaussianBlur(drawing.stretch(patch, _SHAPE), (0, 0), rng.uniform(1, 8))
    return drawing.to_uint8(screen * rng.uniform(0.2, 0.7)) if rng.random() < 0.5 else screen


def _dark(rng: np.random.Generator) -> np.ndarray:
    return drawing.solid_color(rng, dark=rng.random() < 0.75)


def _words(rng: np.random.Generator, most: int) -> str:
    lengths = rng.integers(3, 9, int(rng.integers(1, most, endpoint=True)))
    return " ".join("".join(rng.choice(list(string.ascii_uppercase), length)) for length in lengths)


def _write(
    screen: np.ndarray, text: str, place: tuple[float, float | None], height: float, rng: np.random.Generator
) -> None:
    """Write `text` in a light or coloured ink. place: baseline and left edge; None centres the text."""
    font, thickness = _FONTS[int(rng.integers(len(_FONTS)))], int(rng.integers(1, 3))
    scale = height * len(screen) / cv2.getTextSize("A", font, 1, thickness)[0][1]
    width = cv2.getTextSize(text, font, scale, thickness)[0][0]
    scale *= min(1.0, 0.95 * screen.shape[1] / width)  # a long text becomes small instead of leaving the picture
    width = cv2.getTextSize(text, font, scale, thickness)[0][0]
    left = (screen.shape[1] - width) // 2 if place[1] is None else int(place[1] * screen.shape[1])
    ink = rng.uniform(150, 256, 3) if rng.random() < 0.8 else rng.uniform(0, 256, 3)
    cv2.putText(screen, text, (left, int(place[0] * len(screen))), font, scale, ink.tolist(), thickness, cv2.LINE_AA)


SCREENS = {"menu": _menu, "intermission": _intermission, "talking": _talking, "desktop": _desktop}
