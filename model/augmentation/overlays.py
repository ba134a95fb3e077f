"""What streamers lay over a game: a camera, chat, alerts, banners. float32 pictures, 0 to 1. Imports TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from model.augmentation.drawing import ROWS, Box, box, part, pasted, plain, room, written
from model.augmentation.stateless_random import Chance


def webcam(image: tf.Tensor, other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A camera in a corner or at an edge, 22 to 42 % of the width: part of `other`, or a room; some have a frame."""
    width = chance.of(0).number(0.22, 0.42)
    height = width * chance.of(1).number(0.6, 1.1)
    spot = _at_the_rim(image, height, width, chance.of(2))
    shown = tf.cond(chance.of(6).number() < 0.5, lambda: part(other, chance.of(3)), lambda: room(chance.of(7)))
    framed = pasted(image, plain(chance.of(8)), spot, tf.cast(chance.of(9).number() < 0.5, tf.float32))
    border = tf.maximum(1, tf.shape(image)[0] // 80)
    inner = Box(spot.top + border, spot.left + border, spot.height - 2 * border, spot.width - 2 * border)
    return pasted(framed, shown, inner, 1.0)


def chat(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A column of text at the left or right, 18 to 32 % of the width, on a ground that is more or less opaque."""
    width, height = chance.of(0).number(0.18, 0.32), chance.of(1).number(0.5, 1.0)
    left = tf.where(chance.of(2).number() < 0.5, 0.0, 1 - width)
    top = chance.of(3).number() * (1 - height)
    spot = box(image, top, left, height, width)
    image = pasted(image, plain(chance.of(4), dark=True), spot, chance.of(5).number(0.4, 1.0))
    return written(image, spot, chance.of(6), rows=chance.of(7).number(10, ROWS), ink=chance.of(8).number(0.75, 1.0))


def alert(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A bright box with two rows of text, where alerts come: in the upper or lower half, often in the middle."""
    width, height = chance.of(0).number(0.25, 0.5), chance.of(1).number(0.1, 0.22)
    left = tf.where(chance.of(2).number() < 0.5, (1 - width) / 2, chance.of(3).number() * (1 - width))
    spot = box(image, chance.of(4).number() * (1 - height), left, height, width)
    image = pasted(image, plain(chance.of(5)), spot, chance.of(6).number(0.8, 1.0))
    return written(image, spot, chance.of(7), rows=chance.of(8).number(2, 4), ink=chance.of(9).number(0.0, 1.0))


def banner(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A strip along the top or the bottom, 6 to 15 % of the height, with a row of text."""
    height = chance.of(0).number(0.06, 0.15)
    top = tf.where(chance.of(1).number() < 0.3, 0.0, 1 - height)
    spot = box(image, top, tf.constant(0.0), height, tf.constant(1.0))
    image = pasted(image, plain(chance.of(2)), spot, chance.of(3).number(0.7, 1.0))
    return written(image, spot, chance.of(4), rows=chance.of(5).number(1, 3), ink=chance.of(6).number(0.0, 1.0))


def _at_the_rim(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor, chance: Chance) -> Box:
    """A box in one of the corners, three times out of four, or somewhere along the left or right edge."""
    left = tf.where(chance.of(0).number() < 0.5, 0.0, 1 - width)
    corner = tf.where(chance.of(1).number() < 0.5, 0.0, 1 - height)
    top = tf.where(chance.of(2).number() < 0.75, corner, chance.of(3).number() * (1 - height))
    return box(image, top, left, height, width)
