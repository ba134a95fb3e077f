"""The folder's pictures as TensorFlow datasets. Imports TensorFlow: import it after the arguments are parsed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.entities import Game, StoredFrame
from model.augmentation.pipeline import Augmentation, augment_batch
from model.augmentation.synthetic_negatives import synthetic_batch
from model.datasets.frame_cache import Cache, Limits, filled
from model.datasets.sampler import Order

log = logging.getLogger(__name__)

_NAMED = 10
_Load = Callable[..., tuple[tf.Tensor, ...]]
_BatchTransform = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (images, sample ids) → images


@dataclass(frozen=True, slots=True)
class Images:
    """One side's pictures and labels.

    `classes`: the games in the order of the model's outputs; a frame's label is its game's place there.
    `img_size`: pixels; other sizes are scaled to it by area averaging. `prefetch_buffer`: batches.
    `cache`: where the frames lie decoded; without one every epoch decodes their files again.
    """

    root: Path
    frames: Sequence[StoredFrame]
    classes: Sequence[Game]
    img_size: int
    batch_size: int = 16
    prefetch_buffer: int = 2
    cache: Cache | None = None

    @property
    def labels(self) -> np.ndarray:
        """int64 (n,): each frame's class, in the order of `frames`."""
        place = {game.id: label for label, game in enumerate(self.classes)}
        return np.array([place[frame.game_id] for frame in self.frames], np.int64)

    def in_order(self) -> tf.data.Dataset:
        """Batches of (uint8 (b, img_size, img_size, 3) RGB, int64 (b,)) in the order of `frames`."""
        rows = tf.data.Dataset.range(len(self.frames))
        batches = self._pictures(tf.data.Dataset.zip(rows, rows), self.batch_size)
        return batches.map(lambda images, labels, _places: (images, labels)).prefetch(self.prefetch_buffer)

    def changed(self, places: np.ndarray, augmentation: Augmentation) -> tf.data.Dataset:
        """As `in_order`, each picture changed; `places`, int64 (n,), tell their chances apart."""
        return self._remade(places, partial(augment_batch, augmentation=augmentation))

    def as_screens(self, places: np.ndarray, seed: int) -> tf.data.Dataset:
        """As `in_order`, but for screens without a game, some of them made of the pictures."""
        return self._remade(places, partial(synthetic_batch, seed=seed))

    def _remade(self, places: np.ndarray, change: _BatchTransform) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices((np.arange(len(self.frames)), places))
        batches = self._pictures(rows, self.batch_size)
        return batches.map(
            lambda images, labels, ids: (_transformed(change, images, ids), labels), tf.data.AUTOTUNE
        ).prefetch(self.prefetch_buffer)

    def shuffled(
        self,
        order: Order,
        first_epoch: int = 0,
        augmentation: Augmentation | None = None,
        weights: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """The batches that `order` draws of `frames`, epoch after epoch from `first_epoch` on, without end.

        `augmentation` changes the pictures; `weights` (classes,) adds each picture's weight as a third value.
        """

        def finished(images: tf.Tensor, labels: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, ...]:
            if augmentation:
                images = _transformed(partial(augment_batch, augmentation=augmentation), images, places)
            return (images, labels) if weights is None else (images, labels, tf.gather(weights, labels))

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            return self._pictures(drawn(order, number), order.local_batch).map(finished, tf.data.AUTOTUNE)

        return tf.data.Dataset.counter(first_epoch).flat_map(epoch).prefetch(self.prefetch_buffer)

    def first(self, count: int) -> np.ndarray:
        """uint8 (count or all, img_size, img_size, 3): the first of `frames`, decoded."""
        few = replace(self, frames=self.frames[:count], batch_size=count)
        return next(few.in_order().as_numpy_iterator())[0]

    def cached(self, limits: Limits) -> Images:
        """The same with its frames decoded once and kept, where `limits` allow it. Raises ModelError."""
        batches = (images for images, _labels in self.in_order().as_numpy_iterator())
        return replace(self, cache=filled(self.frames, self.img_size, batches, limits))

    def _pictures(self, rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Batches of (images, labels, places) for pairs of a row of `frames` and its place in the course of things."""
        if self.cache:
            return rows.batch(batch_size).map(self._from_cache(self.cache), tf.data.AUTOTUNE)
        return rows.map(self._from_files(), tf.data.AUTOTUNE).batch(batch_size)

    def _from_cache(self, cache: Cache) -> _Load:
        kept, labels = tf.constant(cache.rows(self.frames)), tf.constant(self.labels)

        def load(rows: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, ...]:
            images = tf.numpy_function(cache.take, [tf.gather(kept, rows)], tf.uint8)
            return tf.ensure_shape(images, (None, self.img_size, self.img_size, 3)), tf.gather(labels, rows), places

        return load

    def _from_files(self) -> _Load:
        paths, labels = tf.constant([str(self.root / frame.path) for frame in self.frames]), tf.constant(self.labels)

        def load(row: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return self._fitted(_decoded(paths[row])), labels[row], place

        return load

    def _fitted(self, image: tf.Tensor) -> tf.Tensor:
        right = tf.reduce_all(tf.shape(image) == [self.img_size, self.img_size, 3])
        image = tf.cond(right, lambda: image, lambda: self._scaled(image))
        return tf.ensure_shape(image, (self.img_size, self.img_size, 3))

    def _scaled(self, image: tf.Tensor) -> tf.Tensor:
        scaled = tf.image.resize(image, (self.img_size, self.img_size), method="area")
        return tf.cast(tf.round(scaled), tf.uint8)


def _transformed(transform: _BatchTransform, images: tf.Tensor, sample_ids: tf.Tensor) -> tf.Tensor:
    """Return what `transform` makes of a batch, uint8 (B, H, W, 3). It is NumPy code, so there is no graph to trace."""
    changed = tf.numpy_function(transform, [images, sample_ids], tf.uint8, stateful=False)
    return tf.ensure_shape(changed, images.shape)


def drawn(order: Order, epoch: tf.Tensor) -> tf.data.Dataset:
    """The pairs of row and place that `order` draws for an epoch."""
    rows, places = tf.numpy_function(order.epoch, [epoch], (tf.int64, tf.int64))
    return tf.data.Dataset.from_tensor_slices((tf.ensure_shape(rows, (None,)), tf.ensure_shape(places, (None,))))


def drawn_from(
    take: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    order: Order,
    first_epoch: int = 0,
    weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """As `Images.shuffled`, of what `take` gives for rows, int64 (b,) → float32 (b, d), with `labels` (n,)."""
    width = take(np.zeros(1, np.int64)).shape[1]

    def made(rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found = tf.ensure_shape(tf.numpy_function(take, [rows], tf.float32), (None, width))
        kinds = tf.gather(labels, rows)
        return (found, kinds) if weights is None else (found, kinds, tf.gather(weights, kinds))

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        return drawn(order, number).map(lambda rows, _places: rows).batch(order.local_batch).map(made)

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch).prefetch(2)


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
