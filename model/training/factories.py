"""Workers made from the settings. Imports Keras: import it after the arguments are parsed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from config import Settings
from data.entities import StoredFrame
from model.augmentation.pipeline import TRANSFORM_NAMES, Augmentation
from model.datasets.frame_cache import Limits
from model.datasets.image_dataset import Images
from model.networks import network as networks
from model.networks.distributed_model import Spread
from model.training import hardware
from model.training.checkpoint import Checkpoints
from model.training.feature_cache import Features
from model.training.hardware import Hardware
from model.training.plan import Plan
from model.training.trainer import Trainer

_GB = 1 << 30
_TAKES = ("fine_tune", "fine_tune_epochs", "fine_tune_learning_rate", "schedule", "warmup")


@dataclass(frozen=True)
class Workshop:
    """What every training of one run of model.create shares. `pictures`: all frames; `bar`: progress bars show."""

    settings: Settings
    pictures: Images
    hardware: Hardware
    checkpoints: Checkpoints
    tell: Callable[[str], None]
    bar: bool
    features: Features = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        made = Features(
            self.pictures,
            self.tell,
            bar=self.bar,
            augmentation=augmentation(settings),
            views=settings.augment_views,
            screens=settings.augment and settings.augment_screens,
            limits=limits(settings),
        )
        object.__setattr__(self, "features", made)

    def network(self) -> keras.Model:
        """A network at its beginning, the same each time."""
        return network(self.settings, len(self.pictures.classes), self.hardware)

    def trainer(
        self, model: keras.Model, learning: Sequence[StoredFrame], validation: Sequence[StoredFrame], name: str
    ) -> Trainer:
        """Trains `model` on frames of `pictures`, judged on others, or on none where `validation` is empty."""
        logs = self.settings.tensorboard_path
        return Trainer(
            model,
            self.side(learning),
            self.side(validation) if validation else None,
            plan(self.settings),
            tell=self.tell,
            bar=self.bar,
            augmentation=augmentation(self.settings),
            hardware=self.hardware,
            features=self.features,
            checkpoints=self.checkpoints,
            name=name,
            logs=Path(logs) if logs else None,
        )

    @property
    def overlays(self) -> Augmentation:
        """How frames to be judged are changed: as streams are, not as is good to learn from."""
        return replace(augmentation(self.settings), center=0.0)

    def side(self, frames: Sequence[StoredFrame]) -> Images:
        """Some of the pictures."""
        return replace(self.pictures, frames=frames)


def network(settings: Settings, classes: int, machine: Hardware) -> keras.Model:
    """A network on all devices, from the weights that the settings name. Raises SettingsError: those, or fine_tune."""
    keras.utils.set_random_seed(settings.seed)
    with machine.scope():
        model = networks.build(
            settings.architecture,
            settings.img_size,
            classes,
            dropout=settings.dropout,
            initial_weights=settings.initial_weights,
            kind=Spread if machine.strategy else keras.Model,
        )
    if networks.head(model):
        networks.train_from(model, settings.fine_tune)  # known before the head has trained for hours
        networks.train_from(model, networks.HEAD)
    return model


def prepared(settings: Settings, pictures: Images, machine: Hardware, model: keras.Model) -> Images:
    """`pictures` in batches that fit the memory, decoded once if they may be kept and are read often.

    A backbone that stays sees each a few times only, and takes many times as long as decoding does. Raises
    ModelError.
    """
    size = networks.bytes_per_image(model)
    batch = hardware.batch_size(settings.batch_size, machine, size, len(pictures.frames))
    fitting = replace(pictures, batch_size=batch, prefetch_buffer=settings.prefetch_buffer)
    seldom = networks.head(model) and settings.fine_tune == networks.HEAD and machine.strategy is None
    return fitting if seldom else fitting.cached(limits(settings))


def limits(settings: Settings) -> Limits:
    """What a cache may take."""
    memory, disk = (int(size * _GB) for size in (settings.cache_memory_gb, settings.cache_disk_gb))
    return Limits(memory, disk, settings.model_path)


def augmentation(settings: Settings) -> Augmentation:
    """The shares of the settings augment_*, all 0 without augment."""
    if not settings.augment:
        return Augmentation()
    return Augmentation(**{name: getattr(settings, f"augment_{name}") for name in TRANSFORM_NAMES}, seed=settings.seed)


def plan(settings: Settings) -> Plan:
    """A Trainer's part of the settings."""
    names = (*_TAKES, "label_smoothing", "weight_decay", "class_weights", "balance", "xla")
    return Plan(
        settings.epochs,
        settings.patience,
        settings.learning_rate,
        settings.seed,
        minutes=settings.time_limit_min,
        **{name: getattr(settings, name) for name in names},
    )
