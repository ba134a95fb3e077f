"""Pictures as other streamers might have shown them: cameras, chat, alerts, banners, a worse encoder, other colours.

Everything is a function of the seeds given, and each picture draws for itself. No mirroring: a game's display is not
symmetric. Imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import tensorflow as tf

from model.augmentation import drawing, overlays
from model.augmentation.stateless_random import Chance

_Change = Callable[[tf.Tensor, tf.Tensor, Chance], tf.Tensor]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The share of pictures, 0 to 1, that each change is made to; `seed` of all of them."""

    scene: float = 0.0
    crop: float = 0.0
    color: float = 0.0
    webcam: float = 0.0
    chat: float = 0.0
    alert: float = 0.0
    banner: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0
    seed: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in NAMES)


NAMES = tuple(field.name for field in fields(Augmentation) if field.name != "seed")  # in the order they are made in


@tf.autograph.experimental.do_not_convert  # there is no Python flow to convert, and looking takes seconds
def batch(images: tf.Tensor, places: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """uint8 (b, h, w, 3) for `images` of that kind; `places`: int64 (b,), tell one picture's chances from another's.

    What a camera shows is the next picture of the batch, or a texture.
    """
    others = tf.roll(images, 1, axis=0)

    def one(values: tuple[tf.Tensor, ...]) -> tf.Tensor:
        image, other, place = values
        return _changed(image, other, Chance(augmentation.seed, place), augmentation)

    return tf.map_fn(one, (images, others, places), fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8))


def _changed(image: tf.Tensor, other: tf.Tensor, chance: Chance, augmentation: Augmentation) -> tf.Tensor:
    pixels, foreign = (tf.cast(each, tf.float32) / 255 for each in (image, other))
    for number, name in enumerate(NAMES):
        if share := getattr(augmentation, name):
            pixels = _perhaps(_CHANGES[name], pixels, foreign, chance.of(number), share)
    return tf.ensure_shape(tf.cast(tf.round(tf.clip_by_value(pixels, 0, 1) * 255), tf.uint8), image.shape)


def _perhaps(change: _Change, image: tf.Tensor, other: tf.Tensor, chance: Chance, share: float) -> tf.Tensor:
    changed = tf.cond(chance.of(0).number() < share, lambda: change(image, other, chance.of(1)), lambda: image)
    return tf.ensure_shape(changed, image.shape)


def _scene(image: tf.Tensor, other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Another scene within the same rim, where games have their displays: they are all that two maps may share.

    What takes the middle's place, from 5 to 25 % to 75 to 95 % of either side: part of `other`, a pattern, a
    gradient, or the middle itself mirrored.
    """
    top, left = chance.of(0).number(0.05, 0.25), chance.of(1).number(0.05, 0.25)
    bottom, right = chance.of(2).number(0.75, 0.95), chance.of(3).number(0.75, 0.95)
    middle = tf.image.crop_and_resize(image[None], [[top, left, bottom, right]], [0], [drawing.SIDE] * 2)[0]
    kinds = [
        lambda: drawing.part(other, chance.of(4)),
        lambda: drawing.pattern(chance.of(5)),
        lambda: drawing.gradient(chance.of(6)),
        lambda: middle[:, ::-1],
    ]
    patch = tf.switch_case(chance.of(7).among(_SCENES), kinds)
    light = tf.where(chance.of(8).number() < 0.5, chance.of(9).number(0.3, 1.3), 1.0)
    place = drawing.box(image, top, left, bottom - top, right - left)
    return drawing.pasted(image, patch * light, place, drawing.soft(place, chance.of(10)))


def _crop(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """A window of 80 to 100 % of either side, up to a tenth of it wider than high or the reverse, made large again."""
    scale, stretch = chance.of(0).number(0.8, 1.0), chance.of(1).number(-0.05, 0.05)
    height, width = scale * (1 - tf.maximum(stretch, 0)), scale * (1 + tf.minimum(stretch, 0))
    top, left = chance.of(2).number() * (1 - height), chance.of(3).number() * (1 - width)
    window = tf.stack([top, left, top + height, left + width])
    return tf.image.crop_and_resize(image[None], window[None], [0], tf.shape(image)[:2])[0]


def _color(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Brightness, contrast, saturation, a little hue: game settings, capture cards and encoders differ in them."""
    image = tf.image.adjust_brightness(image, chance.of(0).number(-0.15, 0.15))
    image = tf.image.adjust_contrast(image, chance.of(1).number(0.7, 1.3))
    image = tf.clip_by_value(image, 0, 1)
    image = tf.image.adjust_saturation(image, chance.of(2).number(0.6, 1.4))
    return tf.image.adjust_hue(image, chance.of(3).number(-0.03, 0.03))


def _blur(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """Detail lost as in a rendition of a third to nine tenths of the size, scaled up again."""
    size = tf.shape(image)[:2]
    small = tf.cast(tf.cast(size, tf.float32) * chance.number(0.33, 0.9), tf.int32)
    return tf.image.resize(tf.image.resize(image, tf.maximum(small, 4), method="area"), size, method="bilinear")


def _jpeg(image: tf.Tensor, _other: tf.Tensor, chance: Chance) -> tf.Tensor:
    """The blocks and ringing of a starved encoder."""
    image = tf.clip_by_value(image, 0, 1)
    return tf.image.adjust_jpeg_quality(image, tf.cast(chance.number(15, 70), tf.int32))


_SCENES = (0.35, 0.3, 0.2, 0.15)  # the shares of its kinds
_CHANGES: dict[str, _Change] = {
    "scene": _scene,
    "crop": _crop,
    "color": _color,
    "webcam": overlays.webcam,
    "chat": overlays.chat,
    "alert": overlays.alert,
    "banner": overlays.banner,
    "blur": _blur,
    "jpeg": _jpeg,
}
