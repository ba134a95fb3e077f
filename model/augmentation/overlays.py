"""Stream overlays: a webcam, a chat column, an alert box and a banner.

Each transform draws into `image`, uint8 RGB (height, width, 3), and returns it. Sizes are fractions of the image's.
"""

from __future__ import annotations

import numpy as np

from model.augmentation import drawing


def webcam(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a webcam, 22 to 42 % of the width: part of `other` or a room. 75 % lie in a corner, 50 % have a frame."""
    width = rng.uniform(0.22, 0.42)
    height = width * rng.uniform(0.6, 1.1)
    top = rng.choice((0, 1 - height, rng.uniform(0, 1 - height)), p=_TOP_PROBABILITIES)
    box = drawing.region_of(image, top, rng.choice((0, 1 - width)), height, width)
    if rng.random() < 0.5:
        drawing.paste(box, drawing.solid_color(rng))
    border = max(1, len(image) // 80)
    picture = drawing.random_crop(other, rng) if rng.random() < 0.5 else drawing.webcam_background(rng)
    drawing.paste(box[border:-border, border:-border], picture)
    return image


def chat(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a column of text at the left or right, 18 to 32 % of the width, on a dark, more or less opaque ground."""
    width, height = rng.uniform((0.18, 0.5), (0.32, 1))
    box = drawing.region_of(image, rng.uniform(0, 1 - height), rng.choice((0, 1 - width)), height, width)
    drawing.paste(box, drawing.solid_color(rng, dark=True), rng.uniform(0.4, 1))
    drawing.draw_text_lines(box, rng, rows=(10, drawing.MAX_TEXT_ROWS), ink=rng.uniform(0.75, 1))
    return image


def alert(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a box of any colour with two or three rows of text; half of them lie in the middle of the width."""
    width, height = rng.uniform((0.25, 0.1), (0.5, 0.22))
    left = rng.choice(((1 - width) / 2, rng.uniform(0, 1 - width)))
    box = drawing.region_of(image, rng.uniform(0, 1 - height), left, height, width)
    drawing.paste(box, drawing.solid_color(rng), rng.uniform(0.8, 1))
    drawing.draw_text_lines(box, rng, rows=(2, 3), ink=rng.random())
    return image


def banner(image: np.ndarray, _other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a strip along the bottom, 30 % along the top: 6 to 15 % of the height, one or two rows of text."""
    height = rng.uniform(0.06, 0.15)
    box = drawing.region_of(image, 0 if rng.random() < 0.3 else 1 - height, 0, height, 1)
    drawing.paste(box, drawing.solid_color(rng), rng.uniform(0.7, 1))
    drawing.draw_text_lines(box, rng, rows=(1, 2), ink=rng.random())
    return image


_TOP_PROBABILITIES = (0.375, 0.375, 0.25)  # of a webcam: the top edge, the bottom edge, somewhere between
