"""Factories: training workers from the settings. Imports Keras: import this module after parsing the arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras

from config import Settings
from data.entities import Game, StoredFrame
from model.augmentation.pipeline import TRANSFORM_NAMES, Augmentation
from model.datasets.frame_cache import CacheLimits
from model.datasets.image_dataset import ImageDataset
from model.networks import network
from model.networks.distributed_model import DistributedModel
from model.terminal.progress import Progress, no_progress
from model.training.checkpoint import CheckpointStore
from model.training.feature_cache import FeatureCache
from model.training.hardware import Hardware, batch_size
from model.training.plan import TrainerSettings
from model.training.trainer import Trainer

_GB = 1 << 30


@dataclass(frozen=True)
class TrainingContext:
    """What all training runs of one call of model.create share."""

    settings: Settings
    dataset: ImageDataset  # all frames
    hardware: Hardware
    checkpoints: CheckpointStore
    log: Callable[[str], None]  # called with each progress line
    progress: Progress = no_progress

    @cached_property
    def feature_cache(self) -> FeatureCache:
        """The features of all frames by the backbone with its initial weights."""
        return FeatureCache(
            self.dataset,
            self.log,
            progress=self.progress,
            augmentation=make_augmentation(self.settings),
            views=self.settings.augment_views,
            synthetic_negatives=self.settings.augment and self.settings.augment_screens,
            accelerate=self.hardware.accelerate,
            limits=cache_limits(self.settings),
        )

    def make_network(self) -> keras.Model:
        """Build the network with its initial weights, the same ones each time."""
        return make_network(self.settings, len(self.dataset.classes), self.hardware)

    def make_trainer(
        self, model: keras.Model, training: Sequence[StoredFrame], validation: Sequence[StoredFrame], name: str
    ) -> Trainer:
        """Return a trainer of `model` on `training` frames, without validation if `validation` is empty."""
        tensorboard_path = self.settings.tensorboard_path
        return Trainer(
            model,
            self.subset(training),
            self.subset(validation) if validation else None,
            trainer_settings(self.settings),
            log=self.log,
            progress=self.progress,
            augmentation=make_augmentation(self.settings),
            hardware=self.hardware,
            feature_cache=self.feature_cache,
            checkpoints=self.checkpoints,
            name=name,
            tensorboard_path=Path(tensorboard_path) if tensorboard_path else None,
        )

    @property
    def overlays(self) -> Augmentation:
        """The augmentation of validation frames: what streams show, so without replaced centres."""
        return replace(make_augmentation(self.settings), center=0.0)

    def subset(self, frames: Sequence[StoredFrame]) -> ImageDataset:
        """Return the dataset with these frames only."""
        return replace(self.dataset, frames=frames)

    def without(self, games: Collection[Game], log: Callable[[str], None], **changes: Any) -> TrainingContext:
        """Return the context without these games, which shares the feature cache.

        changes: of the settings that the features do not depend on.
        """
        classes = tuple(game for game in self.dataset.classes if game not in games)
        ids = {game.id for game in classes}
        frames = [frame for frame in self.dataset.frames if frame.game_id in ids]
        dataset = replace(self.dataset, frames=frames, classes=classes)
        smaller = replace(self, settings=self.settings.model_copy(update=changes), dataset=dataset, log=log)
        vars(smaller)["feature_cache"] = self.feature_cache  # a cached property: set before its first use
        return smaller


def make_network(settings: Settings, classes: int, hardware: Hardware) -> keras.Model:
    """Build a network on all devices. Raises SettingsError: invalid architecture, initial weights or FINE_TUNE."""
    keras.utils.set_random_seed(settings.seed)  # every call gives the same weights, whatever ran before
    with hardware.scope():
        model = network.build(
            settings.architecture,
            settings.img_size,
            classes,
            dropout=settings.dropout,
            initial_weights=settings.initial_weights,
            model_class=DistributedModel if hardware.strategy else keras.Model,
        )
    if network.split_head(model):
        # Checks FINE_TUNE now: the head may train for hours before the setting is needed.
        network.unfreeze_from(model, settings.fine_tune)
        network.unfreeze_from(model, network.HEAD_ONLY)
    return model


def prepare_dataset(
    settings: Settings, dataset: ImageDataset, hardware: Hardware, model: keras.Model, progress: Progress = no_progress
) -> ImageDataset:
    """Return the dataset with a batch size that fits the memory, and cached if that pays off and is allowed."""
    size = batch_size(settings.batch_size, hardware, network.activation_bytes_per_image(model), len(dataset.frames))
    batched = replace(dataset, batch_size=size, prefetch_buffer=settings.prefetch_buffer)
    # A frozen backbone reads each frame a few times only, and takes much longer than decoding does.
    read_rarely = network.split_head(model) and settings.fine_tune == network.HEAD_ONLY and hardware.strategy is None
    return batched if read_rarely else batched.with_cache(cache_limits(settings), progress)


def cache_limits(settings: Settings) -> CacheLimits:
    """Return the maximum sizes of a cache."""
    return CacheLimits(int(settings.cache_memory_gb * _GB), int(settings.cache_disk_gb * _GB), settings.model_path)


def make_augmentation(settings: Settings) -> Augmentation:
    """Return the augmentation with the probabilities of the augment_* settings; none if `augment` is false."""
    if not settings.augment:
        return Augmentation()
    return Augmentation(**{name: getattr(settings, f"augment_{name}") for name in TRANSFORM_NAMES}, seed=settings.seed)


def trainer_settings(settings: Settings) -> TrainerSettings:
    """Return the settings of a Trainer: each field is the setting of the same name."""
    return TrainerSettings(**{each.name: getattr(settings, each.name) for each in fields(TrainerSettings)})
