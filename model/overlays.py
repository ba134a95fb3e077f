"""What streamers lay over a game: a camera, chat, alerts, banners. float32 pictures, 0 to 1. Imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from model.chance import Chance

_ROWS, _CELLS = 24, 40  # of text, at most: a row's letters are cells that are inked or not
_TEXTURE = 6  # blobs of a texture, along a side


@dataclass(frozen=True, slots=True)
class _Box:
    """Pixels of a picture: int32 scalars."""

    top: tf.Tensor
    left: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor


def webcam(image: tf.Tensor, other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A camera in a corner or at an edge, 22 to 42 % of the width: part of `other`, or a texture; some have a frame."""
    width = chance.of(0).number(0.22, 0.42)
    height = width * chance.of(1).number(0.6, 1.1)
    box = _at_the_rim(image, height, width, chance.of(2))
    start = tf.stack([chance.of(3).number(0, 0.4), chance.of(4).number(0, 0.4)])
    window = tf.concat([start, start + chance.of(5).number(0.3, 0.6)], 0)
    shown = tf.cond(
        chance.of(6).number() < 0.6,
        lambda: tf.image.crop_and_resize(other[None], window[None], [0], [_TEXTURE * 16] * 2)[0],
        lambda: _texture(chance.of(7)),
    )
    framed = _pasted(image, _plain(chance.of(8)), box, tf.cast(chance.of(9).number() < 0.5, tf.float32))
    border = tf.maximum(1, tf.shape(image)[0] // 80)
    inner = _Box(box.top + border, box.left + border, box.height - 2 * border, box.width - 2 * border)
    return _pasted(framed, shown, inner, 1.0)


def chat(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A column of text at the left or right, 18 to 32 % of the width, on a ground that is more or less opaque."""
    width, height = chance.of(0).number(0.18, 0.32), chance.of(1).number(0.5, 1.0)
    left = tf.where(chance.of(2).number() < 0.5, 0.0, 1 - width)
    top = chance.of(3).number() * (1 - height)
    box = _box(image, top, left, height, width)
    image = _pasted(image, _plain(chance.of(4), dark=True), box, chance.of(5).number(0.4, 1.0))
    return _written(image, box, chance.of(6), rows=chance.of(7).number(10, _ROWS), ink=chance.of(8).number(0.75, 1.0))


def alert(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A bright box with two rows of text, where alerts come: in the upper or lower half, often in the middle."""
    width, height = chance.of(0).number(0.25, 0.5), chance.of(1).number(0.1, 0.22)
    left = tf.where(chance.of(2).number() < 0.5, (1 - width) / 2, chance.of(3).number() * (1 - width))
    box = _box(image, chance.of(4).number() * (1 - height), left, height, width)
    image = _pasted(image, _plain(chance.of(5)), box, chance.of(6).number(0.8, 1.0))
    return _written(image, box, chance.of(7), rows=chance.of(8).number(2, 4), ink=chance.of(9).number(0.0, 1.0))


def banner(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A strip along the top or the bottom, 6 to 15 % of the height, with a row of text."""
    height = chance.of(0).number(0.06, 0.15)
    top = tf.where(chance.of(1).number() < 0.3, 0.0, 1 - height)
    box = _box(image, top, tf.constant(0.0), height, tf.constant(1.0))
    image = _pasted(image, _plain(chance.of(2)), box, chance.of(3).number(0.7, 1.0))
    return _written(image, box, chance.of(4), rows=chance.of(5).number(1, 3), ink=chance.of(6).number(0.0, 1.0))


def _at_the_rim(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor, chance: Chance) -> _Box:
    """A box in one of the corners, three times out of four, or somewhere along the left or right edge."""
    left = tf.where(chance.of(0).number() < 0.5, 0.0, 1 - width)
    corner = tf.where(chance.of(1).number() < 0.5, 0.0, 1 - height)
    top = tf.where(chance.of(2).number() < 0.75, corner, chance.of(3).number() * (1 - height))
    return _box(image, top, left, height, width)


def _box(image: tf.Tensor, top: tf.Tensor, left: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> _Box:
    """The pixels of shares of the picture; four at least, for a box has a border and something in it."""
    rows, columns = (tf.cast(tf.shape(image)[side], tf.float32) for side in (0, 1))
    high, wide = (tf.maximum(4, tf.cast(part, tf.int32)) for part in (height * rows, width * columns))
    down = tf.minimum(tf.cast(top * rows + 0.5, tf.int32), tf.shape(image)[0] - high)
    right = tf.minimum(tf.cast(left * columns + 0.5, tf.int32), tf.shape(image)[1] - wide)
    return _Box(down, right, high, wide)


def _pasted(image: tf.Tensor, patch: tf.Tensor, box: _Box, opacity: tf.Tensor | float) -> tf.Tensor:
    """`image` with `patch` (h, w, 3), stretched, in `box`; `opacity` 0 to 1, or (h, w, 1) of them."""
    size = tf.stack([box.height, box.width])
    cover = tf.broadcast_to(tf.cast(opacity, tf.float32), tf.concat([size, [1]], 0))
    layer = tf.concat([tf.image.resize(patch, size), cover], 2)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    rest = [[box.top, height - box.top - box.height], [box.left, width - box.left - box.width], [0, 0]]
    layer = tf.pad(layer, rest)
    return image * (1 - layer[..., 3:]) + layer[..., :3] * layer[..., 3:]


def _written(image: tf.Tensor, box: _Box, chance: Chance, *, rows: tf.Tensor, ink: tf.Tensor) -> tf.Tensor:
    """Rows of short strokes in `box`, as small text looks: each begins with a word in a colour, a name; ends differ."""
    lines = tf.cast(rows, tf.int32)
    inked = chance.of(0).numbers((_ROWS, _CELLS)) < 0.72
    until = chance.of(1).numbers((_ROWS, 1), 0.3, 1.0)
    across = tf.range(_CELLS, dtype=tf.float32)[None] / _CELLS
    cells = tf.cast(inked & (across < until) & (across > 0.04), tf.float32)
    named = across[..., None] < chance.of(2).numbers((_ROWS, 1, 1), 0.15, 0.3)
    colors = tf.where(named, chance.of(3).numbers((_ROWS, 1, 3)), ink)
    colors = tf.broadcast_to(colors, (_ROWS, _CELLS, 3))
    size = tf.stack([box.height, box.width])
    strokes = tf.image.resize(_spaced(cells[..., None])[: 2 * lines + 1], size, method="nearest")
    letters = tf.image.resize(_spaced(colors)[: 2 * lines + 1], size, method="nearest")
    return _pasted(image, letters, box, strokes)


def _spaced(rows: tf.Tensor) -> tf.Tensor:
    """(2n + 1, cells, channels): empty rows before, between and after those of (n, cells, channels)."""
    pairs = tf.stack([tf.zeros_like(rows), rows], 1)
    return tf.concat([tf.reshape(pairs, (2 * _ROWS, _CELLS, -1)), tf.zeros_like(rows[:1])], 0)


def _plain(chance: Chance, dark: bool = False) -> tf.Tensor:
    """(2, 2, 3): one colour, for one box in three with another at its bottom."""
    colors = chance.of(0).numbers((2, 1, 3), 0.0, 0.25 if dark else 1.0)
    colors = tf.where(chance.of(1).number() < 0.33, colors, colors[:1])
    return tf.broadcast_to(colors, (2, 2, 3))


def _texture(chance: Chance) -> tf.Tensor:
    """(96, 96, 3): soft blobs around one colour, as a dim room out of focus."""
    light = chance.of(0).numbers((_TEXTURE, _TEXTURE, 1), -0.3, 0.3) + chance.of(1).numbers((1, 1, 3), 0.1, 0.8)
    blobs = light + chance.of(2).numbers((_TEXTURE, _TEXTURE, 3), -0.08, 0.08)
    return tf.clip_by_value(tf.image.resize(blobs, [_TEXTURE * 16] * 2, method="bicubic"), 0, 1)
