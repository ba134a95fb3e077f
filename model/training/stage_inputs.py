"""Stage inputs: the model that a stage trains and the data for Keras' `fit`, for whole networks and for heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from data.errors import SettingsError
from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import ImageDataset, feature_batches
from model.datasets.sampler import EpochSampler
from model.training.feature_cache import FeatureCache
from model.training.hardware import Hardware
from model.training.plan import TrainerSettings

_HEAD_STEPS, _MAX_HEAD_BATCH = 50, 512


@dataclass(frozen=True, slots=True)
class StageInputs:
    """What a stage trains."""

    model: keras.Model
    steps: int  # batches in an epoch
    batches: Callable[[int], Any]  # first epoch, from 0 → training batches without end
    validation_data: Callable[[ImageDataset], Any]  # validation images → data for `fit`


def network_inputs(
    model: keras.Model,
    images: ImageDataset,
    settings: TrainerSettings,
    hardware: Hardware,
    augmentation: Augmentation | None,
) -> StageInputs:
    """Return the inputs of a whole network, which trains on images (B, H, W, 3)."""
    sampler = EpochSampler(
        images.frames,
        images.batch_size,
        settings.seed,
        balance=settings.sampling_balance,
        workers=hardware.workers,
        worker=hardware.worker,
        devices=hardware.devices,
    )
    weights = _class_weights(images) if settings.class_weights else None

    def batches(first_epoch: int) -> Any:
        return hardware.distribute(partial(images.training_batches, sampler, first_epoch, augmentation, weights))

    def validation_data(validation: ImageDataset) -> Any:
        return hardware.replicate(validation.batches())

    return StageInputs(hardware.accelerate(model), sampler.steps, batches, validation_data)


def head_inputs(
    parts: tuple[keras.Model, keras.Model], images: ImageDataset, settings: TrainerSettings, cache: FeatureCache
) -> StageInputs:
    """Return the inputs of a head, which trains on cached features (B, d) of its frozen backbone."""
    backbone, head = parts
    training_set = cache.training_set(images.frames, backbone)
    rows, labels = training_set.rows, training_set.labels(images.classes)  # int64 (n,), what the sampler draws from
    # About 50 steps an epoch: a head's step is cheap, and larger batches are less noisy.
    batch_size = max(images.batch_size, min(len(rows) // _HEAD_STEPS, _MAX_HEAD_BATCH))
    sampler = EpochSampler(training_set.frames, batch_size, settings.seed, balance=settings.sampling_balance)
    game_weights = _class_weights(images) if settings.class_weights else np.ones(len(images.classes), np.float32)
    weights = training_set.class_weights(game_weights, settings.sampling_balance)  # (classes + 1,)

    def batches(first_epoch: int) -> Any:
        return feature_batches(lambda drawn: cache.values(rows[drawn]), labels, sampler, first_epoch, weights)

    def validation_data(validation: ImageDataset) -> Any:
        return cache.values(cache.original_rows(validation.frames, backbone)), validation.labels  # (n, d), (n,)

    return StageInputs(head, sampler.steps, batches, validation_data)


def _class_weights(images: ImageDataset) -> np.ndarray:
    """Return the loss weight of each class, float32 (classes,): inverse to its frames, 1 on average over frames."""
    counts = np.bincount(images.labels, minlength=len(images.classes))  # (classes,)
    if not counts.all():
        raise SettingsError("CLASS_WEIGHTS: a game has no training frame. Set it to false, or collect more frames.")
    # As scikit-learn's class_weight="balanced".
    return (len(images.frames) / (len(images.classes) * counts)).astype(np.float32)
