"""Image dataset: stored frames as TensorFlow datasets of images and labels. Imports TensorFlow.

Frames are read by path: TensorFlow's readers decode local JPEG files on its own threads.
"""

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
from model.datasets.frame_cache import CacheLimits, FrameCache, build_cache
from model.datasets.sampler import EpochSampler

log = logging.getLogger(__name__)

_MAX_WARNINGS = 10
_Transform = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (images, sample_ids) → images


@dataclass(frozen=True, slots=True)
class ImageDataset:
    """Frames of a dataset with their labels. Images of another size are enlarged or shrunk to img_size silently."""

    root: Path  # folder of the frames
    frames: Sequence[StoredFrame]
    classes: Sequence[Game]  # in the order of the model's outputs; a frame's label is the index of its game
    img_size: int  # height and width, pixels; the resizing is area averaging, which distorts what is not square
    batch_size: int = 16
    prefetch_buffer: int = 2  # batches prepared ahead
    cache: FrameCache | None = None  # decoded frames; without it every epoch decodes the files

    @property
    def labels(self) -> np.ndarray:
        """The label of each frame, int64 (n,), in the order of `frames`."""
        label_of = {game.id: label for label, game in enumerate(self.classes)}
        return np.array([label_of[frame.game_id] for frame in self.frames], np.int64)

    def batches(self) -> tf.data.Dataset:
        """Return batches of (uint8 RGB (B, img_size, img_size, 3), int64 (B,)) in the order of `frames`."""
        rows = tf.data.Dataset.range(len(self.frames))  # the rows also serve as sample ids, which nothing uses here
        batches = self._load(tf.data.Dataset.zip(rows, rows), self.batch_size)
        return batches.map(lambda images, labels, _sample_ids: (images, labels)).prefetch(self.prefetch_buffer)

    def augmented_batches(self, sample_ids: np.ndarray, augmentation: Augmentation) -> tf.data.Dataset:
        """Return the same batches with augmented images. `sample_ids`: int64 (n,), seeds of the frames."""
        return self._transformed(sample_ids, partial(augment_batch, augmentation=augmentation))

    def synthetic_negative_batches(self, sample_ids: np.ndarray, seed: int) -> tf.data.Dataset:
        """Return the same batches with synthetic negatives, some of them made from the frames."""
        return self._transformed(sample_ids, partial(synthetic_batch, seed=seed))

    def _transformed(self, sample_ids: np.ndarray, transform: _Transform) -> tf.data.Dataset:
        def apply(images: tf.Tensor, labels: tf.Tensor, sample_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return _apply(transform, images, sample_ids), labels

        rows = tf.data.Dataset.from_tensor_slices((np.arange(len(self.frames)), sample_ids))
        return self._load(rows, self.batch_size).map(apply, tf.data.AUTOTUNE).prefetch(self.prefetch_buffer)

    def training_batches(
        self,
        sampler: EpochSampler,
        first_epoch: int = 0,
        augmentation: Augmentation | None = None,
        weights: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """Return the batches that `sampler` draws from `frames`, from `first_epoch` on without end.

        `weights`: loss weight of each class, (classes,); adds each image's weight as a third value.
        """

        def finish(images: tf.Tensor, labels: tf.Tensor, sample_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
            if augmentation:
                images = _apply(partial(augment_batch, augmentation=augmentation), images, sample_ids)
            return (images, labels) if weights is None else (images, labels, tf.gather(weights, labels))

        def load(rows: tf.data.Dataset) -> tf.data.Dataset:
            return self._load(rows, sampler.per_replica_batch).map(finish, tf.data.AUTOTUNE)

        return _epochs(sampler, first_epoch, load).prefetch(self.prefetch_buffer)

    def first_images(self, count: int) -> np.ndarray:
        """Return the first `count` images, or all, uint8 (count, img_size, img_size, 3)."""
        few = replace(self, frames=self.frames[:count], batch_size=count)
        return next(few.batches().as_numpy_iterator())[0]

    def with_cache(self, limits: CacheLimits) -> ImageDataset:
        """Return this dataset with all frames decoded into a cache, if `limits` allow it."""
        images = (images for images, _labels in self.batches().as_numpy_iterator())
        return replace(self, cache=build_cache(self.frames, self.img_size, images, limits))

    def _load(self, rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Map (row of `frames`, sample id) pairs to batches of (images, labels, sample ids)."""
        labels, cache = tf.constant(self.labels), self.cache
        if cache:
            cached = tf.constant(cache.rows(self.frames))

            def take(rows: tf.Tensor, sample_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
                images = tf.numpy_function(cache.take, [tf.gather(cached, rows)], tf.uint8)
                # numpy_function loses the static shape, which Keras needs: (B, img_size, img_size, 3)
                images = tf.ensure_shape(images, (None, self.img_size, self.img_size, 3))
                return images, tf.gather(labels, rows), sample_ids

            return rows.batch(batch_size).map(take, tf.data.AUTOTUNE)  # one lookup a batch, not one a frame
        paths = tf.constant([str(self.root / frame.path) for frame in self.frames])

        def decode(row: tf.Tensor, sample_id: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return _resized(_decode(paths[row]), self.img_size), labels[row], sample_id

        return rows.map(decode, tf.data.AUTOTUNE).batch(batch_size)


def _apply(transform: _Transform, images: tf.Tensor, sample_ids: tf.Tensor) -> tf.Tensor:
    """Apply a numpy function to a batch within a TensorFlow dataset: uint8 (B, H, W, 3) → the same shape."""
    return tf.ensure_shape(tf.numpy_function(transform, [images, sample_ids], tf.uint8, stateful=False), images.shape)


def _epochs(
    sampler: EpochSampler, first_epoch: int, load: Callable[[tf.data.Dataset], tf.data.Dataset]
) -> tf.data.Dataset:
    """Chain the epochs without end; `load` maps the (row, sample id) pairs of one epoch to its batches."""

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        drawn = tf.numpy_function(sampler.rows_and_ids, [number], (tf.int64, tf.int64))
        return load(tf.data.Dataset.from_tensor_slices(tuple(tf.ensure_shape(part, (None,)) for part in drawn)))

    # flat_map, not interleave: the order must be that of the sampler.
    return tf.data.Dataset.counter(first_epoch).flat_map(epoch)


def feature_batches(
    values: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    sampler: EpochSampler,
    first_epoch: int,
    weights: np.ndarray,
) -> tf.data.Dataset:
    """Return batches of (features, labels, weights), as `ImageDataset.training_batches` does of images.

    `values`: returns the features of rows, int64 (B,) → float32 (B, d). `labels`: of all rows, int64 (n,). `weights`:
    loss weight of each label.
    """
    width = values(np.zeros(1, np.int64)).shape[1]  # d

    def load(rows: tf.Tensor, _sample_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
        features = tf.ensure_shape(tf.numpy_function(values, [rows], tf.float32), (None, width))
        own = tf.gather(labels, rows)  # (B,)
        return features, own, tf.gather(weights, own)

    return _epochs(sampler, first_epoch, lambda rows: rows.batch(sampler.per_replica_batch).map(load)).prefetch(2)


def _decode(path: str | tf.Tensor) -> tf.Tensor:
    """Decode a JPEG file to uint8 RGB (H, W, 3)."""
    # The slow, exact DCT gives bit for bit what OpenCV gives in recognition.
    return tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")


def _resized(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resize an image to uint8 (size, size, 3), if it has another size."""

    def resize() -> tf.Tensor:
        return tf.cast(tf.round(tf.image.resize(image, (size, size), method="area")), tf.uint8)

    image = tf.cond(tf.reduce_all(tf.shape(image) == [size, size, 3]), lambda: image, resize)
    return tf.ensure_shape(image, (size, size, 3))


def decodable_frames(root: Path, frames: Sequence[StoredFrame]) -> list[StoredFrame]:
    """Return the frames whose files decode, in the order given; log a warning for the others.

    Every file is decoded once, in parallel: an undecodable file in the middle of an epoch would end the training run.
    """
    with ThreadPoolExecutor() as pool:  # about 1 ms for 240 x 240 pixels
        decodable = list(pool.map(lambda frame: _is_decodable(root / frame.path), frames))
    bad = [frame for frame, good in zip(frames, decodable, strict=True) if not good]
    for frame in bad[:_MAX_WARNINGS]:
        log.warning("%s cannot be decoded and is skipped.", root / frame.path)
    if len(bad) > _MAX_WARNINGS:
        log.warning("%d more images cannot be decoded and are skipped.", len(bad) - _MAX_WARNINGS)
    return [frame for frame, good in zip(frames, decodable, strict=True) if good]


def _is_decodable(path: Path) -> bool:
    try:
        with tf.device("CPU"):
            return _decode(str(path)).ndim == 3
    except tf.errors.OpError:
        return False
