"""Feature cache: outputs of a frozen backbone, computed once for each frame instead of once an epoch. Imports Keras.

The head trains on more than the original frames: on a few augmented views of each, and on synthetic negatives.
Their features are cached too. A network that trains as a whole sees new augmentations in each epoch instead.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

import keras
import numpy as np

from data.entities import Game, StoredFrame
from data.errors import SettingsError
from model.augmentation.pipeline import Augmentation
from model.datasets import frame_cache
from model.datasets.frame_cache import CacheLimits
from model.datasets.image_dataset import ImageDataset
from model.datasets.sampler import UNBALANCED
from model.terminal.progress import Progress, no_progress
from model.training.callbacks import BatchProgress

_FRAMES_PER_NEGATIVE = 4  # one synthetic negative per four frames
_NEGATIVES_WEIGHT = 0.5  # loss of all synthetic negatives together, relative to all games together
_NO_GAME = 0  # game id of a synthetic negative; Helix ids begin at 1
_NEGATIVES = -1  # pseudo view index of synthetic negatives


@dataclass(frozen=True, slots=True, eq=False)
class HeadTrainingSet:
    """What a head trains on."""

    rows: np.ndarray  # of the feature cache, int64 (n,)
    frames: Sequence[StoredFrame]  # the frame of each row; that of a synthetic negative has the game id 0

    def labels(self, classes: Sequence[Game]) -> np.ndarray:
        """Return the label of each row, int64 (n,); the number of classes for a synthetic negative."""
        label_of = {game.id: label for label, game in enumerate(classes)}
        return np.array([label_of.get(frame.game_id, len(classes)) for frame in self.frames], np.int64)

    def class_weights(self, games: np.ndarray, balance: str) -> np.ndarray:
        """Return loss weights, float32 (classes + 1,): `games` (classes,), then the weight of a synthetic negative.

        All synthetic negatives that an EpochSampler with this `balance` draws then count half as much as all games.
        """
        negatives = sum(frame.game_id == _NO_GAME for frame in self.frames)
        fraction = negatives / len(self.frames) if balance == UNBALANCED else 1 / (len(games) + 1)
        weight = _NEGATIVES_WEIGHT * (1 - fraction) / fraction if negatives else 0.0
        return np.append(games, weight).astype(np.float32)


@dataclass(eq=False)
class FeatureCache:
    """Features of a dataset's frames by one backbone, shared by all training runs that start from it."""

    dataset: ImageDataset
    log: Callable[[str], None]  # called with a line before each computation
    _: KW_ONLY
    progress: Progress = no_progress
    augmentation: Augmentation = field(default_factory=Augmentation)
    views: int = 0  # augmented views of each frame, besides the original as view 0
    synthetic_negatives: bool = False  # also one for a part of the frames
    accelerate: Callable[[keras.Model], keras.Model] = lambda model: model  # see Hardware.accelerate
    # Size limits of the float16 features.
    limits: CacheLimits = field(default_factory=lambda: CacheLimits(2 << 30, 0))

    def __post_init__(self) -> None:
        self.views = self.views if self.augmentation else 0
        self._index = {frame: index for index, frame in enumerate(self.dataset.frames)}
        # Rows: the originals, then view by view, then the synthetic negatives. Allocated when the width d is known.
        self._values = np.empty((0, 0), np.float16)  # (rows, d)
        self._computed = np.zeros((self.views + 2) * len(self.dataset.frames), bool)  # (rows,)
        self._fast: tuple[keras.Model, keras.Model] | None = None  # the last backbone, and it accelerated

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Return the features at these rows, float32 (n, d)."""
        return self._values[rows].astype(np.float32)

    def original_rows(self, frames: Sequence[StoredFrame], backbone: keras.Model) -> np.ndarray:
        """Return the rows of the original frames, int64 (n,), in their order; compute missing features."""
        return self._rows(frames, 0, backbone)

    def training_set(self, frames: Sequence[StoredFrame], backbone: keras.Model) -> HeadTrainingSet:
        """Return all views of these frames, and their synthetic negatives; compute missing features.

        Augmentations that show another image, such as a webcam, take it from these frames only.
        """
        rows = [self._rows(frames, view, backbone) for view in range(self.views + 1)]
        owners = list(frames) * len(rows)
        if self.synthetic_negatives:
            chosen = [frame for frame in frames if _has_negative(frame)]
            rows.append(self._rows(chosen, _NEGATIVES, backbone))
            owners += [replace(frame, game_id=_NO_GAME) for frame in chosen]
        return HeadTrainingSet(np.concatenate(rows), owners)

    def _rows(self, frames: Sequence[StoredFrame], view: int, backbone: keras.Model) -> np.ndarray:
        count = len(self.dataset.frames)
        start = (view if view != _NEGATIVES else self.views + 1) * count
        rows = np.array([start + self._index[frame] for frame in frames], np.int64)  # (n,)
        missing = np.flatnonzero(~self._computed[rows])
        if len(missing):
            # Shuffled, because a webcam shows the neighbour in the batch, which should be of any game.
            mixed = np.random.default_rng(count + view).permutation(missing)
            self._compute([frames[index] for index in mixed], rows[mixed], view, backbone)
        return rows

    def _compute(self, frames: list[StoredFrame], rows: np.ndarray, view: int, backbone: keras.Model) -> None:
        names = {0: "originals", _NEGATIVES: "synthetic negatives"}
        self.log(f"backbone: features of {len(frames)} frames, {names.get(view, f'view {view} of {self.views}')}")
        subset = replace(self.dataset, frames=frames)
        seed = self.augmentation.seed
        if view == _NEGATIVES:
            batches = subset.synthetic_negative_batches(rows, seed)
        else:  # a row is unique to its frame and view, and so serves as the sample id
            batches = subset.augmented_batches(rows, self.augmentation) if view else subset.batches()
        if self._fast is None or self._fast[0] is not backbone:  # Keras traces a model in its first prediction
            self._fast = backbone, self.accelerate(backbone)
        _backbone, fast = self._fast
        with self.progress("features", math.ceil(len(frames) / subset.batch_size)) as advance:
            features = np.asarray(fast.predict(batches, verbose=0, callbacks=[BatchProgress(advance)]))  # (n, d)
        if not self._values.size:
            self._values = self._allocate(features.shape[1])
        self._values[rows] = features
        self._computed[rows] = True

    def _allocate(self, width: int) -> np.ndarray:
        values = frame_cache.allocate_array((len(self._computed), width), np.dtype(np.float16), self.limits)
        if values is None:
            size = len(self._computed) * width * 2 / 1e9
            raise SettingsError(f"CACHE_DISK_GB: the features take {size:.1f} GB. Raise it, or lower AUGMENT_VIEWS.")
        return values


def _has_negative(frame: StoredFrame) -> bool:
    # Depends on the frame only: all folds and runs choose the same frames.
    return hashlib.blake2b(frame.path.encode(), digest_size=1).digest()[0] % _FRAMES_PER_NEGATIVE == 0
