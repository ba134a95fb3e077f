"""The folder's pictures as TensorFlow datasets. Imports TensorFlow: import it after the arguments are parsed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.entities import Game, StoredFrame

log = logging.getLogger(__name__)

# 12,400 pictures of 240 x 240 pixels; with more on a side every epoch decodes its files again.
CACHE_BYTES = 2 << 30
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Images:
    """One side's pictures and labels.

    `classes`: the games in the order of the model's outputs; a frame's label is its game's place there.
    `img_size`: pixels; other sizes are scaled to it by area averaging. `shuffle_buffer`: pictures,
    `prefetch_buffer`: batches. `cache_bytes`: decoded pictures of this many bytes are kept in memory.
    """

    root: Path
    frames: Sequence[StoredFrame]
    classes: Sequence[Game]
    img_size: int
    batch_size: int = 16
    shuffle_buffer: int = 250
    prefetch_buffer: int = 1
    cache_bytes: int = CACHE_BYTES

    @property
    def labels(self) -> np.ndarray:
        """int64 (n,): each frame's class, in the order of `frames`."""
        place = {game.id: label for label, game in enumerate(self.classes)}
        return np.array([place[frame.game_id] for frame in self.frames], np.int64)

    def in_order(self) -> tf.data.Dataset:
        """Batches of (uint8 (b, img_size, img_size, 3) RGB, int64 (b,)) in the order of `frames`."""
        pairs = self._pairs().map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
        return self._batches(pairs.cache() if self._fits() else pairs)

    def shuffled(self, seed: int) -> tf.data.Dataset:
        """The same batches in a new random order of all frames each epoch; `seed` makes it repeatable."""
        everything = len(self.frames)
        if self._fits():
            # The buffer refers to the cached pictures: all of them shuffled cost no memory besides.
            decoded = self._pairs().map(self._decode, num_parallel_calls=tf.data.AUTOTUNE).cache()
            return self._batches(decoded.shuffle(everything, seed=seed))
        pairs = self._pairs().shuffle(everything, seed=seed)
        decoded = pairs.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
        return self._batches(decoded.shuffle(self.shuffle_buffer, seed=seed))

    def first(self, count: int) -> np.ndarray:
        """uint8 (count or all, img_size, img_size, 3): the first of `frames`, decoded."""
        few = replace(self, frames=self.frames[:count], batch_size=count)
        return next(few.in_order().as_numpy_iterator())[0]

    def _pairs(self) -> tf.data.Dataset:
        paths = [str(self.root / frame.path) for frame in self.frames]
        return tf.data.Dataset.from_tensor_slices((paths, self.labels))

    def _batches(self, pairs: tf.data.Dataset) -> tf.data.Dataset:
        return pairs.batch(self.batch_size).prefetch(self.prefetch_buffer)

    def _fits(self) -> bool:
        return len(self.frames) * self.img_size**2 * 3 <= self.cache_bytes

    def _decode(self, path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = _decoded(path)
        right = tf.reduce_all(tf.shape(image) == [self.img_size, self.img_size, 3])
        image = tf.cond(right, lambda: image, lambda: self._scaled(image))
        return tf.ensure_shape(image, (self.img_size, self.img_size, 3)), label

    def _scaled(self, image: tf.Tensor) -> tf.Tensor:
        scaled = tf.image.resize(image, (self.img_size, self.img_size), method="area")
        return tf.cast(tf.round(scaled), tf.uint8)


def _decoded(path: str | tf.Tensor) -> tf.Tensor:
    """uint8 (height, width, 3) RGB, to the bit what OpenCV makes of the same file: the slow, exact DCT."""
    return tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")


def readable(root: Path, frames: Sequence[StoredFrame]) -> list[StoredFrame]:
    """The frames whose files decode, in the order given; the others are named in warnings.

    Every file is decoded once, in parallel: a bad one found in the middle of an epoch would end the
    training. 240 x 240 pixels take about a millisecond.
    """
    with ThreadPoolExecutor() as pool:
        fine = list(pool.map(_decodes, [str(root / frame.path) for frame in frames]))
    bad = [frame for frame, good in zip(frames, fine, strict=True) if not good]
    for frame in bad[:_NAMED]:
        log.warning("%s cannot be decoded and is left out.", root / frame.path)
    if len(bad) > _NAMED:
        log.warning("%d more images cannot be decoded and are left out.", len(bad) - _NAMED)
    return [frame for frame, good in zip(frames, fine, strict=True) if good]


def _decodes(path: str) -> bool:
    try:
        with tf.device("CPU"):
            return _decoded(path).ndim == 3
    except tf.errors.OpError:
        return False
