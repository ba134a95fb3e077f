"""Screen head: fit it to drawn screens and to training frames, and measure it on other ones. Imports TensorFlow.

Menus, intermissions and talkers are in no dataset, and are drawn instead (model.augmentation.screens).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from data.video.images import resize_image
from model.augmentation.pipeline import Augmentation
from model.augmentation.screens import draw_screens
from model.datasets.image_dataset import ImageDataset
from model.inference import linear_head
from model.inference.screens import SCREEN_KINDS, ScreenHead

_SEED, _OTHER_SEED = 501, 7501  # of the screens to fit to, and of those to measure with
_DRAWN, _FEW_DRAWN = 64, 16  # screens of each kind to fit to; more change nothing on held-out ones
_FEW_FRAMES = 200  # a training set of fewer frames has the smaller number: drawing would take longer than the training
_MAX_FRAMES = 4000  # of gameplay to fit to, evenly from all games
_FALSE_SCREENS = 0.01  # fraction of gameplay frames
_BATCH = 16


def fit(with_features: Any, training_set: ImageDataset, augmentation: Augmentation) -> ScreenHead:
    """Return a head for the features of `with_features`, which returns (logits, features); not calibrated yet.

    augmentation: of the frames, so that a webcam or a chat beside gameplay is gameplay.
    """
    frames = training_set.sample_of_each_class(max(1, _MAX_FRAMES // len(training_set.classes)))
    drawn = _count(training_set)
    gameplay = frames.augmented_batches(np.arange(len(frames.frames)), augmentation)
    features = _features(with_features, gameplay.concatenate(_drawn_batches(with_features, drawn, _SEED)))
    labels = np.repeat(np.arange(1 + len(SCREEN_KINDS)), [len(frames.frames), *[drawn] * len(SCREEN_KINDS)])
    head = linear_head.fit(features, labels, 1 + len(SCREEN_KINDS))
    weights, bias = head.weights, head.bias - head.mean @ head.weights  # column 0: gameplay
    return ScreenHead((weights[:, 1:] - weights[:, :1]).astype(np.float32), (bias[1:] - bias[0]).astype(np.float32))


def measure(with_features: Any, head: ScreenHead, training_set: ImageDataset) -> np.ndarray:
    """Return the largest margin of each drawn screen of another seed, float64 (screens, kinds): a column for each."""
    batches = _drawn_batches(with_features, _count(training_set) // 2, _OTHER_SEED)
    return head.margins(_features(with_features, batches)).max(axis=1).reshape(len(SCREEN_KINDS), -1).T


def threshold(margins: Sequence[np.ndarray]) -> float:
    """Return the margin that at most 1 % of gameplay frames exceed. margins: parts, each (n, kinds)."""
    return float(np.quantile(np.concatenate(margins).max(axis=1), 1 - _FALSE_SCREENS, method="higher"))


def _count(training_set: ImageDataset) -> int:
    return _DRAWN if len(training_set.frames) >= _FEW_FRAMES else _FEW_DRAWN


def _drawn_batches(with_features: Any, count: int, seed: int) -> tf.data.Dataset:
    """Return batches of `count` screens of each kind, one kind after the other.

    They have labels, which nothing uses, as batches of frames have: Keras traces a network again for other types.
    """
    images = _drawn_images(with_features.input_shape[1], count, seed)
    return tf.data.Dataset.from_tensor_slices((images, np.zeros(len(images), np.int64))).batch(_BATCH)


@lru_cache(maxsize=2)  # the folds of a cross-validation use the same ones
def _drawn_images(size: int, count: int, seed: int) -> np.ndarray:
    """Draw `count` screens of each kind, uint8 (kinds · count, size, size, 3)."""
    images = [image for kind in SCREEN_KINDS for image in draw_screens(kind, count, seed, realistic=True)]
    return np.stack([resize_image(image, size) for image in images])


def _features(with_features: Any, batches: tf.data.Dataset) -> np.ndarray:
    """Return the features of all images, float32 (n, d)."""
    return np.asarray(with_features.predict(batches, verbose=0)[1])
