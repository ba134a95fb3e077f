"""Screens that show no game: what a model learns to be sure of nothing from. Imports TensorFlow.

Training with such pictures, whose label is all games alike: Hendrycks et al., Deep Anomaly Detection with Outlier
Exposure, ICLR 2019.
"""

from __future__ import annotations

import tensorflow as tf

from model.augmentation import drawing, overlays
from model.augmentation.stateless_random import Chance

_KINDS = (0.05, 0.1, 0.2, 0.3, 0.15, 0.1, 0.1)  # shares of one colour, noise, pattern, desktop, person, blend, jigsaw
_TILES = 4  # of a jigsaw, along a side
_WINDOWS = 4  # of a desktop, at most


@tf.autograph.experimental.do_not_convert  # there is no Python flow to convert, and looking takes seconds
def batch(images: tf.Tensor, places: tf.Tensor, seed: int) -> tf.Tensor:
    """uint8 (b, h, w, 3), a screen for each of `images` of that kind; `places`: int64 (b,), tell their chances apart.

    Some are made of the images, cut up or blurred beyond recognition.
    """
    others = tf.roll(images, 1, axis=0)

    def one(values: tuple[tf.Tensor, ...]) -> tf.Tensor:
        image, other, place = values
        own, foreign = (tf.cast(each, tf.float32) / 255 for each in (image, other))
        pixels = _screen(own, foreign, Chance(seed, place))
        return tf.cast(tf.round(tf.clip_by_value(pixels, 0, 1) * 255), tf.uint8)

    return tf.map_fn(one, (images, others, places), fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8))


def _screen(image: tf.Tensor, other: tf.Tensor, chance: Chance) -> tf.Tensor:
    def large(patch: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(patch, tf.shape(image)[:2])

    kinds = [
        lambda: large(drawing.plain(chance.of(0), dark=True)),
        lambda: _noise(image, chance.of(1)),
        lambda: large(_ground(chance.of(2))),
        lambda: _desktop(large(_ground(chance.of(3))), chance.of(4)),
        lambda: large(drawing.room(chance.of(5))),
        lambda: large(tf.image.resize((image + other) / 2, [8, 8], method="area")),
        lambda: _jigsaw(image, other, chance.of(6)),
    ]
    made = tf.switch_case(chance.of(7).among(_KINDS), kinds)
    made = tf.cond(chance.of(8).number() < 0.5, lambda: _text(made, chance.of(9)), lambda: made)
    laid = tf.cond(chance.of(10).number() < 0.25, lambda: overlays.webcam(made, other, chance.of(11)), lambda: made)
    return tf.cond(chance.of(12).number() < 0.25, lambda: overlays.chat(laid, other, chance.of(13)), lambda: laid)


def _ground(chance: Chance) -> tf.Tensor:
    return tf.cond(
        chance.of(0).number() < 0.5, lambda: drawing.gradient(chance.of(1)), lambda: drawing.pattern(chance.of(2))
    )


def _noise(image: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Of pixels, or of spots that are up to eight times as large."""
    size = tf.cast(tf.cast(tf.shape(image)[:2], tf.float32) / chance.of(0).number(1, 8), tf.int32)
    mixed = tf.stack([tf.cast(chance.place, tf.int64), tf.constant(chance.branch, tf.int64)])
    spots = tf.random.stateless_uniform(tf.concat([size, [3]], 0), mixed)
    return tf.image.resize(spots, tf.shape(image)[:2], method="bicubic")


def _desktop(ground: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Windows with text, light or dark, and most often a bar along the bottom."""
    made = ground
    for number in range(_WINDOWS):
        own = chance.of(number)
        made = tf.cond(own.of(0).number() < 0.6, lambda own=own, made=made: _window(made, own), lambda made=made: made)
    bar = drawing.box(ground, tf.constant(0.95), tf.constant(0.0), tf.constant(0.05), tf.constant(1.0))
    shown = tf.cast(chance.of(_WINDOWS).number() < 0.7, tf.float32)
    return drawing.pasted(made, drawing.plain(chance.of(_WINDOWS + 1)), bar, shown)


def _window(image: tf.Tensor, chance: Chance) -> tf.Tensor:
    height, width = chance.of(0).number(0.2, 0.9), chance.of(1).number(0.2, 0.9)
    top, left = chance.of(2).number() * (1 - height), chance.of(3).number() * (1 - width)
    light = chance.of(4).number() < 0.6
    shade = tf.where(light, chance.of(5).number(0.86, 1.0), chance.of(6).number(0.04, 0.25))
    made = drawing.pasted(image, tf.fill((2, 2, 3), shade), drawing.box(image, top, left, height, width), 1.0)
    title = drawing.box(image, top, left, tf.constant(0.035), width)
    made = drawing.pasted(made, drawing.plain(chance.of(7)), title, 1.0)
    page = drawing.box(image, top + 0.04, left, height - 0.04, width)
    ink = tf.where(light, chance.of(8).number(0, 0.4), 0.85)
    return drawing.written(made, page, chance.of(9), rows=chance.of(10).number(4, drawing.ROWS), ink=ink)


def _jigsaw(image: tf.Tensor, other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Squares from anywhere in both pictures, side by side."""
    count, share = _TILES * _TILES, 1 / _TILES
    corners = chance.of(0).numbers((count, 2), 0, 1 - share)
    sources = tf.cast(chance.of(1).numbers((count,)) < 0.5, tf.int32)
    side = tf.shape(image)[0] // _TILES
    windows = tf.concat([corners, corners + share], 1)
    tiles = tf.image.crop_and_resize(tf.stack([image, other]), windows, sources, tf.stack([side, side]))
    rows = tf.transpose(tf.reshape(tiles, (_TILES, _TILES, side, side, 3)), (0, 2, 1, 3, 4))
    return tf.image.resize(tf.reshape(rows, (_TILES * side, _TILES * side, 3)), tf.shape(image)[:2])


def _text(image: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A few large or many small lines, somewhere."""
    top, left = chance.of(0).number(0, 0.5), chance.of(1).number(0, 0.5)
    place = drawing.box(image, top, left, chance.of(2).number(0.15, 0.5), 1 - left)
    return drawing.written(
        image, place, chance.of(3), rows=chance.of(4).number(1, drawing.ROWS), ink=chance.of(5).number()
    )
