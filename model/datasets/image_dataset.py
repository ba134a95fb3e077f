"""Image dataset: stored frames as TensorFlow datasets of images and labels. Imports TensorFlow.

OpenCV decodes the frames on TensorFlow's threads: training sees the pixels that evaluation and recognition see.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.entities import Game, StoredFrame
from data.errors import UndecodableVideo
from data.text import plural, printable
from model.augmentation.pipeline import Augmentation, augment_batch
from model.augmentation.synthetic_negatives import synthetic_batch
from model.datasets import image_files
from model.datasets.frame_cache import CacheLimits, FrameCache, build_cache
from model.datasets.sampler import EpochSampler
from model.terminal.progress import Advance, Progress, no_progress

log = logging.getLogger(__name__)

_MAX_LOST = 10  # files that may become unreadable during a training run
_Transform = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (images, sample_ids) → images


@dataclass(frozen=True, slots=True)
class ImageDataset:
    """Frames of a dataset with their labels. Images of another size are enlarged or shrunk to img_size."""

    root: Path  # folder of the frames
    frames: Sequence[StoredFrame]
    classes: Sequence[Game]  # in the order of the model's outputs; a frame's label is the index of its game
    img_size: int  # height and width, pixels; the resizing is area averaging, which distorts what is not square
    batch_size: int = 16
    prefetch_buffer: int = 2  # batches prepared ahead
    cache: FrameCache | None = None  # decoded frames; without it every epoch decodes the files
    _lost: set[str] = field(default_factory=set)  # paths of files that became unreadable, of all copies of this dataset

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

    def sample_of_each_class(self, most: int) -> ImageDataset:
        """Return the dataset with at most `most` frames of each class, from all of its streamers."""
        chosen: list[StoredFrame] = []
        for game in self.classes:
            frames = sorted((f for f in self.frames if f.game_id == game.id), key=lambda f: (f.login, f.number))
            chosen += frames[:: math.ceil(len(frames) / most) or 1]
        return replace(self, frames=chosen)

    def with_cache(self, limits: CacheLimits, progress: Progress = no_progress) -> ImageDataset:
        """Return this dataset with all frames decoded into a cache, if `limits` allow it."""
        with progress("decoding frames", len(self.frames)) as advance:
            cache = build_cache(self.frames, self.img_size, self._counted_images(advance), limits)
        return replace(self, cache=cache)

    def _counted_images(self, advance: Advance) -> Iterator[np.ndarray]:
        for images, _labels in self.batches().as_numpy_iterator():
            yield images
            advance(len(images))

    def _load(self, rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Map (row of `frames`, sample id) pairs to batches of (images, labels, sample ids)."""
        labels = tf.constant(self.labels)
        fetch = self._from_cache(self.cache) if self.cache else self._from_files

        def load(rows: tf.Tensor, sample_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
            images = tf.numpy_function(fetch, [rows], tf.uint8)  # one call a batch, not one a frame
            # numpy_function loses the static shape, which Keras needs: (B, img_size, img_size, 3)
            images = tf.ensure_shape(images, (None, self.img_size, self.img_size, 3))
            return images, tf.gather(labels, rows), sample_ids

        return rows.batch(batch_size).map(load, tf.data.AUTOTUNE)

    def _from_cache(self, cache: FrameCache) -> Callable[[np.ndarray], np.ndarray]:
        cached = cache.rows(self.frames)
        return lambda rows: cache.take(cached[rows])

    def _from_files(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([self._pixels(row) for row in rows.tolist()])

    def _pixels(self, row: int) -> np.ndarray:
        """Decode a frame, uint8 (img_size, img_size, 3); black if it was decodable and is no longer.

        Raises UndecodableVideo for many of them: a disk is gone.
        """
        path = self.root / self.frames[row].path
        try:
            return image_files.read_image(path, self.img_size)
        except UndecodableVideo as error:
            if str(path) not in self._lost:
                self._lost.add(str(path))
                log.warning("%s became unreadable and counts as a black image: %s.", printable(str(path)), error)
            if len(self._lost) > _MAX_LOST:
                raise UndecodableVideo(f"more than {_MAX_LOST} frames became unreadable: {self.root}") from error
            return np.zeros((self.img_size, self.img_size, 3), np.uint8)


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


def decodable_frames(
    root: Path, frames: Sequence[StoredFrame], img_size: int, progress: Progress = no_progress
) -> list[StoredFrame]:
    """Return the frames whose files decode, in the order given; log the others, and how many have another size.

    Every file is decoded once: an undecodable file in the middle of an epoch would be learned as a black image.
    """
    sizes = []  # about 1 ms for 240 x 240 pixels
    with progress("checking frames", len(frames)) as advance:
        for size in image_files.read_all([root / frame.path for frame in frames], image_files.image_size):
            sizes.append(size)
            advance(1)
    resized = sum(size not in (None, (img_size, img_size)) for size in sizes)
    if resized:
        some = f"{resized:,} of {plural(sum(map(bool, sizes)), 'frame')}"
        log.warning("%s are not %d x %d pixels and are resized (IMG_SIZE).", some, img_size, img_size)
    return [frame for frame, size in zip(frames, sizes, strict=True) if size]
