"""Synthetic negatives: images that show no game, trained towards a uniform prediction (Outlier Exposure).

Source: Hendrycks et al., Deep Anomaly Detection with Outlier Exposure, ICLR 2019 (https://arxiv.org/abs/1812.04606).
"""

from __future__ import annotations

import cv2
import numpy as np

from model.augmentation import drawing, overlays

_STREAM = 1000  # differs from each transform's, so that an image and a negative of the same sample id are independent
_TILES = 4  # of a jigsaw, along a side
_MAX_WINDOWS = 4  # of a desktop


def synthetic_batch(images: np.ndarray, sample_ids: np.ndarray, seed: int) -> np.ndarray:
    """Return a synthetic negative for each of `images`, uint8 RGB (B, H, W, 3).

    sample_ids: int64 (B,), at least 0; random numbers are a pure function of (seed, sample id).
    Some are made of the images, cut up or blurred beyond recognition.
    """
    rngs = [np.random.default_rng((seed, sample_id, _STREAM)) for sample_id in sample_ids.tolist()]
    return np.stack([_synthetic_negative(images[index], images[index - 1], rng) for index, rng in enumerate(rngs)])


def _synthetic_negative(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kinds = (
        lambda: drawing.solid_color(rng, dark=True),
        lambda: _noise(image.shape, rng),
        lambda: _background(rng),
        lambda: draw_desktop(image.shape, rng),
        lambda: drawing.webcam_background(rng),
        lambda: cv2.resize(cv2.addWeighted(image, 0.5, other, 0.5, 0), (8, 8), interpolation=cv2.INTER_AREA),
        lambda: _jigsaw(image, other, rng),
    )
    negative = drawing.stretch(kinds[rng.choice(len(kinds), p=_KIND_PROBABILITIES)](), image.shape)  # (H, W, 3)
    if rng.random() < 0.5:
        top, left, height = rng.uniform((0, 0, 0.15), (0.5, 0.5, 0.5))
        box = drawing.region_of(negative, top, left, height, 1 - left)
        drawing.draw_text_lines(box, rng, rows=(1, drawing.MAX_TEXT_ROWS), ink=rng.random())
    for overlay in (overlays.webcam, overlays.chat):
        if rng.random() < 0.25:
            negative = overlay(negative, other, rng)
    return negative


def _background(rng: np.random.Generator) -> np.ndarray:
    return drawing.gradient(rng) if rng.random() < 0.5 else drawing.pattern(rng)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return noise of pixels, or of spots up to eight times as large."""
    rows, columns = (np.array(shape[:2]) / rng.uniform(1, 8)).astype(int).tolist()
    return drawing.stretch(drawing.random_colors(rng, rows, columns), shape, cv2.INTER_CUBIC)


def draw_desktop(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a desktop with up to four windows; 70 % have a task bar."""
    screen = drawing.stretch(_background(rng), shape)
    for _ in range(rng.binomial(_MAX_WINDOWS, 0.6)):
        _draw_window(screen, rng)
    if rng.random() < 0.7:
        drawing.paste(drawing.region_of(screen, 0.95, 0, 0.05, 1), drawing.solid_color(rng))
    return screen


def _draw_window(screen: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a window, light or dark, with a title bar and text."""
    height, width = rng.uniform(0.2, 0.9, 2)
    top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    shade, ink = (rng.integers(219, 256), rng.uniform(0, 0.4)) if rng.random() < 0.6 else (rng.integers(10, 64), 0.85)
    drawing.region_of(screen, top, left, height, width)[:] = shade
    drawing.paste(drawing.region_of(screen, top, left, 0.035, width), drawing.solid_color(rng))
    page = drawing.region_of(screen, top + 0.04, left, height - 0.04, width)
    drawing.draw_text_lines(page, rng, rows=(4, drawing.MAX_TEXT_ROWS), ink=ink)


def _jigsaw(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return tiles cut from anywhere in both images, side by side."""
    sources = rng.integers(2, size=_TILES * _TILES)
    corners = rng.uniform(0, 1 - 1 / _TILES, (_TILES * _TILES, 2))
    windows = zip(sources, *corners.T, strict=True)
    tiles = [drawing.region_of((image, other)[source], y, x, 1 / _TILES, 1 / _TILES) for source, y, x in windows]
    return np.vstack([np.hstack(tiles[row::_TILES]) for row in range(_TILES)])


# One colour, noise, a background, a desktop, a webcam, a blend of two frames reduced to 8 x 8 pixels, a jigsaw.
_KIND_PROBABILITIES = (0.05, 0.1, 0.2, 0.3, 0.15, 0.1, 0.1)
