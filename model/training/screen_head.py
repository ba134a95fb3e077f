"""Screen head: fit it to drawn screens and to training frames, and measure it on other screens and frames.

Menus, intermissions and talkers are in no dataset, and are drawn for each fit instead (model.augmentation.screens).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.video.images import resize_image
from model.augmentation.pipeline import Augmentation
from model.augmentation.screens import draw_screens
from model.datasets.image_dataset import ImageDataset
from model.inference import linear_head
from model.inference.screens import SCREEN_KINDS, ScreenHead

_SEED, _OTHER_SEED = 501, 7501  # of the screens to fit to, and of those to measure with
_DRAWN, _MEASURED = 64, 32  # screens of each kind; more to fit to change nothing on held-out ones
_MAX_FRAMES = 4000  # of gameplay to fit to, evenly from all games
_FALSE_SCREENS = 0.01  # fraction of gameplay frames
_BATCH = 16  # divides both, and is the default of BATCH_SIZE: Keras traces a network again for each other size


def fit(with_features: Any, training_set: ImageDataset, augmentation: Augmentation) -> ScreenHead:
    """Return a head for the features of `with_features`, which returns (logits, features); not calibrated yet.

    augmentation: of the frames, so that a webcam or a chat beside gameplay is gameplay.
    """
    frames = training_set.sample_of_each_class(max(1, _MAX_FRAMES // len(training_set.classes)))
    gameplay = _features(with_features, frames.augmented_batches(np.arange(len(frames.frames)), augmentation))
    drawn = _drawn_features(with_features, _DRAWN, _SEED)
    labels = np.repeat(np.arange(1 + len(SCREEN_KINDS)), [len(gameplay), *[_DRAWN] * len(SCREEN_KINDS)])
    head = linear_head.fit(np.concatenate([gameplay, drawn]), labels, 1 + len(SCREEN_KINDS))
    weights, bias = head.weights, head.bias - head.mean @ head.weights  # column 0: gameplay
    return ScreenHead((weights[:, 1:] - weights[:, :1]).astype(np.float32), (bias[1:] - bias[0]).astype(np.float32))


def measure(with_features: Any, head: ScreenHead) -> np.ndarray:
    """Return the largest margin of each drawn screen of another seed, float64 (screens, kinds): a column for each."""
    margins = head.margins(_drawn_features(with_features, _MEASURED, _OTHER_SEED))
    return margins.max(axis=1).reshape(len(SCREEN_KINDS), _MEASURED).T


def threshold(margins: Sequence[np.ndarray]) -> float:
    """Return the margin that at most 1 % of gameplay frames exceed. margins: parts, each (n, kinds)."""
    return float(np.quantile(np.concatenate(margins).max(axis=1), 1 - _FALSE_SCREENS, method="higher"))


def _drawn_features(with_features: Any, count: int, seed: int) -> np.ndarray:
    """Return the features of `count` screens of each kind, one kind after the other, float32 (kinds · count, d)."""
    size = with_features.input_shape[1]
    images = [image for kind in SCREEN_KINDS for image in draw_screens(kind, count, seed, realistic=True)]
    return _features(with_features, np.stack([resize_image(image, size) for image in images]))


def _features(with_features: Any, images: Any) -> np.ndarray:
    """Return the features of an array of images or of a dataset of batches, float32 (n, d)."""
    batch = {"batch_size": _BATCH} if isinstance(images, np.ndarray) else {}
    return np.asarray(with_features.predict(images, verbose=0, **batch)[1])
