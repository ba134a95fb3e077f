"""Portraits: people in front of a camera, shaded and noisy, for the screen head to learn talking streamers from.

Drawn as ellipses by the seed only. Real webcams differ from flat drawings by their light, blur and noise.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.augmentation import drawing

SIDE = 240  # pixels; the image is square
_SKIN = np.array([224.0, 172.0, 138.0])
_DARK = np.array([28.0, 27.0, 30.0])


def draw_portrait(rng: np.random.Generator) -> np.ndarray:
    """Return a person in a room, uint8 RGB (240, 240, 3)."""
    room = _room(rng)
    picture, side_light = _Person(room, rng).drawn(), rng.uniform(-0.5, 0.5)
    red, green, blue = np.moveaxis(picture != room, 2, 0)  # by channel: reductions over three values are slow
    is_person = (red | green | blue)[..., None]
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 2.5))
    picture = picture * np.where(is_person, 1 + side_light * np.linspace(-1, 1, SIDE)[None, :, None], 1)
    return _as_camera(picture, rng)


def _room(rng: np.random.Generator) -> np.ndarray:
    """Return a wall with furniture out of focus, float64 (240, 240, 3)."""
    room = drawing.stretch(drawing.texture(rng), (SIDE, SIDE, 3)).astype(np.float64)
    for _ in range(int(rng.integers(12))):
        left, top, width, height = SIDE * rng.uniform((-0.1, -0.1, 0.05, 0.05), (0.9, 0.9, 0.5, 0.5))
        corners = (int(left), int(top)), (int(left + width), int(top + height))
        cv2.rectangle(room, *corners, _color(rng).tolist(), cv2.FILLED if rng.random() < 0.7 else 2)
    return cv2.GaussianBlur(room, (0, 0), rng.uniform(0.8, 5))


def _color(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 255, 3) if rng.random() < 0.4 else rng.uniform(0, 255) + rng.uniform(-15, 15, 3)


def _as_camera(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture in uneven light, with a camera's colours and noise, uint8."""
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.75, 1.2, 3)
    if rng.random() < 0.7:
        grey = ((picture[..., 0] + picture[..., 1] + picture[..., 2]) / 3)[..., None]
        picture = grey + (picture - grey) * rng.uniform()
    if rng.random() < 0.7:
        picture = (
            picture * cv2.resize(rng.uniform(0.3, 1.5, (3, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]
        )
    if rng.random() < 0.6:
        noise = rng.normal(0, rng.uniform(2, 25), picture.shape)
        picture = picture + cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 1.2))
    return drawing.to_uint8(picture * rng.uniform(0.6, 1.1) + rng.uniform(-20, 20))


class _Person:
    """A person whose parts are ellipses around the face's center, in multiples of its half width."""

    def __init__(self, room: np.ndarray, rng: np.random.Generator) -> None:
        self._picture, self._rng = room.copy(), rng
        self._x, self._y, self._size = SIDE * rng.uniform((0.3, 0.28, 0.1), (0.7, 0.55, 0.3))
        self._skin = np.minimum(_SKIN * rng.uniform(0.35, 1.15), 255)
        self._hair = self._skin * rng.uniform(0.05, 0.7) if rng.random() < 0.8 else rng.uniform(0, 255, 3)

    def drawn(self) -> np.ndarray:
        """Draw all parts and return the picture, float64 (240, 240, 3)."""
        self._ellipse(0, 2.7, self._rng.uniform(1.7, 2.6), 1.5, np.clip(_color(self._rng), 0, 255))  # shoulders
        self._ellipse(0, -0.25, self._rng.uniform(0.9, 1.2), 1.25, self._hair)
        if self._rng.random() < 0.35:  # long hair
            self._ellipse(0, 0.6, 1.1, 1.5, self._hair)
        self._ellipse(0, 1.3, 0.45, 0.7, 0.8 * self._skin)  # neck
        self._ellipse(0, 0, 0.8, 1.08, self._skin)
        self._draw_face()
        self._draw_equipment()
        return self._picture

    def _ellipse(self, x: float, y: float, across: float, down: float, color: np.ndarray) -> None:
        center = int(self._x + x * self._size), int(self._y + y * self._size)
        axes = max(1, int(across * self._size)), max(1, int(down * self._size))
        cv2.ellipse(self._picture, center, axes, 0, 0, 360, color.tolist(), cv2.FILLED, cv2.LINE_AA)

    def _draw_face(self) -> None:
        for side in (-1, 1):
            self._ellipse(0.82 * side, 0, 0.12, 0.25, 0.9 * self._skin)  # ear
            self._ellipse(0.32 * side, -0.12, 0.15, 0.07, np.full(3, 235.0))
            self._ellipse(0.32 * side, -0.12, 0.06, 0.06, _DARK)
            self._ellipse(0.32 * side, -0.34, 0.2, 0.045, 0.7 * self._hair)  # brow
        self._ellipse(0, 0.2, 0.13, 0.22, 0.85 * self._skin)  # nose
        if self._rng.random() < 0.3:
            self._ellipse(0, 0.75, 0.55, 0.4, self._hair)  # beard
        self._ellipse(0, 0.58, 0.3, self._rng.uniform(0.04, 0.14), self._skin * (0.8, 0.5, 0.5))  # mouth

    def _draw_equipment(self) -> None:
        if self._rng.random() < 0.4:  # headphones
            center, axes = (int(self._x), int(self._y - 0.1 * self._size)), (int(self._size), int(1.25 * self._size))
            cv2.ellipse(self._picture, center, axes, 0, 180, 360, _DARK.tolist(), max(2, int(0.14 * self._size)))
            for side in (-1, 1):
                self._ellipse(0.95 * side, 0.05, 0.2, 0.36, _DARK)
        if self._rng.random() < 0.35:  # microphone
            x, y = self._rng.uniform((-1.2, 0.9), (1.2, 1.8))
            top = int(self._x + x * self._size), int(self._y + y * self._size)
            foot = int(top[0] + self._rng.uniform(-2, 2) * self._size), SIDE
            cv2.line(self._picture, top, foot, _DARK.tolist(), max(2, int(0.1 * self._size)), cv2.LINE_AA)
            self._ellipse(x, y, 0.25, 0.38, _DARK)
