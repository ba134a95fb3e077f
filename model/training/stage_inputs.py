"""Stage inputs: the model that a stage trains and the data for Keras' `fit`, for whole networks and for heads."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import ImageDataset, feature_batches
from model.datasets.sampler import EpochSampler
from model.training.feature_cache import FeatureCache
from model.training.hardware import Hardware
from model.training.plan import TrainerSettings, class_weights

_HEAD_STEPS, _MAX_HEAD_BATCH = 50, 512


class NetworkInputs:
    """A whole network that trains on images."""

    def __init__(
        self,
        model: keras.Model,
        images: ImageDataset,
        settings: TrainerSettings,
        hardware: Hardware,
        augmentation: Augmentation | None,
    ) -> None:
        self.model = model
        self.sampler = EpochSampler(
            images.frames,
            images.batch_size,
            settings.seed,
            balance=settings.sampling_balance,
            workers=hardware.workers,
            worker=hardware.worker,
            devices=hardware.devices,
        )
        self._images = images
        self._hardware = hardware
        self._augmentation = augmentation
        self._weights = _class_weights(images, settings)

    def batches(self, first_epoch: int) -> Any:
        """Return training batches without end, from `first_epoch` on."""
        return self._hardware.distribute(
            lambda: self._images.training_batches(self.sampler, first_epoch, self._augmentation, self._weights)
        )

    def validation_data(self, images: ImageDataset) -> Any:
        """Return the validation images in batches."""
        return self._hardware.replicate(images.batches())  # (B, H, W, 3), (B,)


class HeadInputs:
    """The head of a network that trains on cached features of its frozen backbone."""

    def __init__(
        self,
        parts: tuple[keras.Model, keras.Model],
        images: ImageDataset,
        settings: TrainerSettings,
        cache: FeatureCache,
    ) -> None:
        self._backbone, self.model = parts
        self._cache = cache
        training_set = cache.training_set(images.frames, self._backbone)
        batch_size = _head_batch(len(training_set.frames), images.batch_size)
        balance = settings.sampling_balance
        self.sampler = EpochSampler(training_set.frames, batch_size, settings.seed, balance=balance)
        # The sampler draws indices 0 to n - 1 into these two, int64 (n,) each.
        self._rows, self._labels = training_set.rows, training_set.labels(images.classes)
        weights = _class_weights(images, settings)
        equal = np.ones(len(images.classes), np.float32)
        self._weights = training_set.weights(equal if weights is None else weights, balance)  # (classes + 1,)

    def batches(self, first_epoch: int) -> Any:
        """Return training batches without end, from `first_epoch` on."""
        return feature_batches(self._values, self._labels, self.sampler, first_epoch, self._weights)

    def _values(self, rows: np.ndarray) -> np.ndarray:
        return self._cache.values(self._rows[rows])  # (B, d)

    def validation_data(self, images: ImageDataset) -> Any:
        """Return (features (n, d), labels (n,)) of the validation images."""
        rows = self._cache.original_rows(images.frames, self._backbone)
        return self._cache.values(rows), images.labels


StageInputs = NetworkInputs | HeadInputs


def _class_weights(images: ImageDataset, settings: TrainerSettings) -> np.ndarray | None:
    return class_weights(images.frames, [game.id for game in images.classes]) if settings.class_weights else None


def _head_batch(rows: int, minimum: int) -> int:
    """Return a batch size for about 50 steps an epoch: a head's step is cheap, and larger batches are less noisy."""
    return max(minimum, min(rows // _HEAD_STEPS, _MAX_HEAD_BATCH))
