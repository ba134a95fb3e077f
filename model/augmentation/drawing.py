"""What overlays and screens are drawn with: boxes, text, textures, people.

Pictures and patches are float32, 0 to 1. Imports TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from model.augmentation.stateless_random import Chance

ROWS, _CELLS = 24, 40  # of text, at most: a row's letters are cells that are inked or not
_TEXTURE = 6  # blobs of a texture, along a side
_PATTERN = 24  # cells of a pattern, along a side, at most
_Pair = tuple[tf.Tensor, tf.Tensor]
SIDE = 96  # pixels of a texture or a pattern


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of a picture: int32 scalars."""

    top: tf.Tensor
    left: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor


def box(image: tf.Tensor, top: tf.Tensor, left: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> Box:
    """The pixels of shares of the picture; four at least, for a box has a border and something in it."""
    rows, columns = (tf.cast(tf.shape(image)[side], tf.float32) for side in (0, 1))
    high, wide = (tf.maximum(4, tf.cast(part, tf.int32)) for part in (height * rows, width * columns))
    down = tf.minimum(tf.cast(top * rows + 0.5, tf.int32), tf.shape(image)[0] - high)
    right = tf.minimum(tf.cast(left * columns + 0.5, tf.int32), tf.shape(image)[1] - wide)
    return Box(down, right, high, wide)


def pasted(image: tf.Tensor, patch: tf.Tensor, place: Box, opacity: tf.Tensor | float) -> tf.Tensor:
    """`image` with `patch` (h, w, 3), stretched, in `place`; `opacity` 0 to 1, or (h, w, 1) of them."""
    size = tf.stack([place.height, place.width])
    cover = tf.broadcast_to(tf.cast(opacity, tf.float32), tf.concat([size, [1]], 0))
    layer = tf.concat([tf.image.resize(patch, size), cover], 2)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    rest = [[place.top, height - place.top - place.height], [place.left, width - place.left - place.width], [0, 0]]
    layer = tf.pad(layer, rest)
    return image * (1 - layer[..., 3:]) + layer[..., :3] * layer[..., 3:]


def soft(place: Box, chance: Chance) -> tf.Tensor:
    """An opacity (h, w, 1) for `pasted`: 1, but for 6 boxes of 10 rising from 0 over 1 to 15 pixels at the edges."""
    wide = tf.where(chance.of(0).number() < 0.6, chance.of(1).number(1, 15), 1e-3)
    down, across = (tf.minimum(tf.range(size) + 1, size - tf.range(size)) for size in (place.height, place.width))
    inward = tf.cast(tf.minimum(down[:, None], across[None]), tf.float32)
    return tf.clip_by_value(inward / wide, 0, 1)[..., None]


def written(image: tf.Tensor, place: Box, chance: Chance, *, rows: tf.Tensor, ink: tf.Tensor) -> tf.Tensor:
    """Rows of short strokes in `place`, as small text looks: each begins with a name in a colour; their ends differ."""
    lines = tf.cast(rows, tf.int32)
    inked = chance.of(0).numbers((ROWS, _CELLS)) < 0.72
    until = chance.of(1).numbers((ROWS, 1), 0.3, 1.0)
    across = tf.range(_CELLS, dtype=tf.float32)[None] / _CELLS
    cells = tf.cast(inked & (across < until) & (across > 0.04), tf.float32)
    named = across[..., None] < chance.of(2).numbers((ROWS, 1, 1), 0.15, 0.3)
    colors = tf.where(named, chance.of(3).numbers((ROWS, 1, 3)), ink)
    colors = tf.broadcast_to(colors, (ROWS, _CELLS, 3))
    size = tf.stack([place.height, place.width])
    strokes = tf.image.resize(_spaced(cells[..., None])[: 2 * lines + 1], size, method="nearest")
    letters = tf.image.resize(_spaced(colors)[: 2 * lines + 1], size, method="nearest")
    return pasted(image, letters, place, strokes)


def _spaced(rows: tf.Tensor) -> tf.Tensor:
    """(2n + 1, cells, channels): empty rows before, between and after those of (n, cells, channels)."""
    pairs = tf.stack([tf.zeros_like(rows), rows], 1)
    return tf.concat([tf.reshape(pairs, (2 * ROWS, _CELLS, -1)), tf.zeros_like(rows[:1])], 0)


def plain(chance: Chance, dark: bool = False) -> tf.Tensor:
    """(2, 2, 3): one colour, for one box in three with another at its bottom."""
    colors = chance.of(0).numbers((2, 1, 3), 0.0, 0.25 if dark else 1.0)
    colors = tf.where(chance.of(1).number() < 0.33, colors, colors[:1])
    return tf.broadcast_to(colors, (2, 2, 3))


def texture(chance: Chance) -> tf.Tensor:
    """(96, 96, 3): soft blobs around one colour, as a dim room out of focus."""
    light = chance.of(0).numbers((_TEXTURE, _TEXTURE, 1), -0.3, 0.3) + chance.of(1).numbers((1, 1, 3), 0.1, 0.8)
    blobs = light + chance.of(2).numbers((_TEXTURE, _TEXTURE, 3), -0.08, 0.08)
    return tf.clip_by_value(tf.image.resize(blobs, [SIDE] * 2, method="bicubic"), 0, 1)


def pattern(chance: Chance) -> tf.Tensor:
    """(96, 96, 3): 2 to 24 cells along a side, in any colours, with hard or soft edges, more or less of one colour."""
    cells = tf.cast(chance.of(0).number(2, _PATTERN + 1), tf.int32)
    colors = chance.of(1).numbers((_PATTERN, _PATTERN, 3))[:cells, :cells]
    hard = tf.image.resize(colors, [SIDE] * 2, method="nearest")
    soft = tf.image.resize(colors, [SIDE] * 2, method="bicubic")
    strength = chance.of(2).number(0.2, 1.0)
    mixed = strength * tf.where(chance.of(3).number() < 0.33, hard, soft)
    return tf.clip_by_value(mixed + (1 - strength) * chance.of(4).numbers((1, 1, 3)), 0, 1)


def gradient(chance: Chance) -> tf.Tensor:
    """(96, 96, 3): four colours, one in each corner."""
    return tf.image.resize(chance.numbers((2, 2, 3)), [SIDE] * 2, method="bilinear")


def part(image: tf.Tensor, chance: Chance) -> tf.Tensor:
    """(96, 96, 3): a window of 30 to 60 % of either side of `image`."""
    start = tf.stack([chance.of(0).number(0, 0.4), chance.of(1).number(0, 0.4)])
    window = tf.concat([start, start + chance.of(2).number(0.3, 0.6)], 0)
    return tf.image.crop_and_resize(image[None], window[None], [0], [SIDE] * 2)[0]


def person(ground: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Shoulders, hair and a face in ellipses before `ground` (h, w, 3), as a camera shows somebody who plays."""
    x, y, size = chance.of(0).number(0.35, 0.65), chance.of(1).number(0.35, 0.6), chance.of(2).number(0.12, 0.25)
    skin = tf.clip_by_value(tf.constant([0.84, 0.65, 0.51]) * chance.of(3).number(0.35, 1.1), 0, 1)
    hair = skin * chance.of(4).number(0.1, 0.6)
    clothed = _ellipse(ground, (x, y + 2.4 * size), (1.9 * size, 1.4 * size), chance.of(5).numbers((3,)))
    haired = _ellipse(clothed, (x, y - 0.25 * size), (size, 1.25 * size), hair)
    return _ellipse(haired, (x, y), (0.82 * size, 1.1 * size), skin)


def room(chance: Chance) -> tf.Tensor:
    """A room out of focus, most often with somebody in it."""
    empty = texture(chance.of(0))
    return tf.cond(chance.of(1).number() < 0.6, lambda: person(empty, chance.of(2)), lambda: empty)


def _ellipse(image: tf.Tensor, centre: _Pair, axes: _Pair, color: tf.Tensor) -> tf.Tensor:
    """Centre and half axes, across and down, in shares of the picture."""
    down, across = tf.linspace(0.0, 1.0, tf.shape(image)[0]), tf.linspace(0.0, 1.0, tf.shape(image)[1])
    inside = ((across[None] - centre[0]) / axes[0]) ** 2 + ((down[:, None] - centre[1]) / axes[1]) ** 2 < 1
    return tf.where(inside[..., None], color, image)
