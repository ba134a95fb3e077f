"""Feature cache: outputs of a frozen backbone, computed once for each frame instead of once an epoch. Imports Keras.

The head trains on more than the original frames: on a few augmented views of each, and on synthetic non-game images.
Their features are cached too. A network that trains as a whole sees new augmentations in each epoch instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from data.entities import Game, StoredFrame
from data.errors import SettingsError
from model.augmentation.pipeline import Augmentation
from model.datasets import frame_cache
from model.datasets.frame_cache import CacheLimits
from model.datasets.image_dataset import ImageDataset
from model.datasets.sampler import UNBALANCED

_SCREEN_EVERY = 4  # one synthetic screen for so many frames
_SCREENS_WEIGHT = 0.5  # loss of all screens together, relative to all games together
_NO_GAME = 0  # game id of a screen; Helix ids begin at 1
_SCREENS = -1  # the view of a frame that is the screen made from it
_DEFAULT_LIMITS = CacheLimits(2 << 30, 0)


@dataclass(frozen=True, slots=True, eq=False)
class HeadTrainingSet:
    """What a head trains on.

    Args:
        rows: rows of the feature cache, int64 (n,).
        frames: the frame of each row; that of a screen has the game id 0.
    """

    rows: np.ndarray
    frames: Sequence[StoredFrame]

    def labels(self, classes: Sequence[Game]) -> np.ndarray:
        """Return the label of each row, int64 (n,); a screen has the number of classes as its label."""
        label_of = {game.id: label for label, game in enumerate(classes)}
        return np.array([label_of.get(frame.game_id, len(classes)) for frame in self.frames], np.int64)

    def weights(self, classes: np.ndarray, balance: str) -> np.ndarray:
        """Return loss weights, float32 (classes + 1,): `classes` (classes,), then the weight of a screen.

        With it, all screens that an EpochSampler with this `balance` draws count half as much as all games.
        """
        screens = sum(frame.game_id == _NO_GAME for frame in self.frames)
        fraction = screens / len(self.frames) if balance == UNBALANCED else 1 / (len(classes) + 1)
        screen = _SCREENS_WEIGHT * (1 - fraction) / fraction if screens else 0.0
        return np.append(classes, screen).astype(np.float32)


class FeatureCache:
    """Features of a dataset's frames by one backbone, shared by all trainings that start from it.

    Args:
        dataset: all frames.
        log: called with a line before each computation.
        progress_bar: show Keras' progress bar.
        augmentation: transforms for the views.
        views: augmented views of each frame, besides the original as view 0.
        screens: compute a synthetic screen for a part of the frames.
        limits: maximum size of the features, which are stored in float16.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        log: Callable[[str], None],
        *,
        progress_bar: bool = False,
        augmentation: Augmentation | None = None,
        views: int = 0,
        screens: bool = False,
        limits: CacheLimits = _DEFAULT_LIMITS,
    ) -> None:
        self._dataset = dataset
        self._log = log
        self._progress_bar = progress_bar
        self._augmentation = augmentation or Augmentation()
        self._views = views if self._augmentation else 0
        self._screens = screens
        self._limits = limits
        self._index = {frame: index for index, frame in enumerate(dataset.frames)}
        # Rows: the originals, then view by view, then the screens. Allocated when the width d is known.
        self._values = np.empty((0, 0), np.float16)  # (rows, d)
        self._computed = np.zeros((self._views + 2) * len(dataset.frames), bool)  # (rows,)

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Return the features at these rows, float32 (n, d)."""
        return self._values[rows].astype(np.float32)

    def original_rows(self, frames: Sequence[StoredFrame], backbone: keras.Model) -> np.ndarray:
        """Return the rows of the original frames, int64 (n,), in their order; compute missing features."""
        return self._rows(frames, 0, backbone)

    def training_set(self, frames: Sequence[StoredFrame], backbone: keras.Model) -> HeadTrainingSet:
        """Return all views of these frames, and their screens; compute missing features.

        Augmentations that show another image, such as a webcam, take it from these frames only.
        """
        rows = [self._rows(frames, view, backbone) for view in range(self._views + 1)]
        owners = list(frames) * len(rows)
        if self._screens:
            chosen = [frame for frame in frames if _hash_byte(frame) % _SCREEN_EVERY == 0]
            rows.append(self._rows(chosen, _SCREENS, backbone))
            owners += [replace(frame, game_id=_NO_GAME) for frame in chosen]
        return HeadTrainingSet(np.concatenate(rows), owners)

    def _rows(self, frames: Sequence[StoredFrame], view: int, backbone: keras.Model) -> np.ndarray:
        count = len(self._dataset.frames)
        start = (view if view != _SCREENS else self._views + 1) * count
        rows = np.array([start + self._index[frame] for frame in frames], np.int64)  # (n,)
        missing = np.flatnonzero(~self._computed[rows])
        if len(missing):
            # Shuffled, because a webcam shows the neighbour in the batch, which should be of any game.
            mixed = np.random.default_rng(count + view).permutation(missing)
            self._compute([frames[index] for index in mixed], rows[mixed], view, backbone)
        return rows

    def _compute(self, frames: list[StoredFrame], rows: np.ndarray, view: int, backbone: keras.Model) -> None:
        names = {0: "originals", _SCREENS: "synthetic screens"}
        self._log(f"backbone: features of {len(frames)} frames, {names.get(view, f'view {view} of {self._views}')}")
        subset = replace(self._dataset, frames=frames)
        seed = self._augmentation.seed
        if view == _SCREENS:
            batches = subset.screen_batches(rows, seed)
        else:  # a row is unique to its frame and view, and so serves as the sample id
            batches = subset.augmented_batches(rows, self._augmentation) if view else subset.batches()
        with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
            features = np.asarray(backbone.predict(batches, verbose=int(self._progress_bar)))  # (n, d)
        if not self._values.size:
            self._values = self._allocate(features.shape[1])
        self._values[rows] = features
        self._computed[rows] = True

    def _allocate(self, width: int) -> np.ndarray:
        values = frame_cache.allocate_array((len(self._computed), width), np.dtype(np.float16), self._limits)
        if values is None:
            size = len(self._computed) * width * 2 / 1e9
            raise SettingsError(f"CACHE_DISK_GB: the features take {size:.1f} GB. Raise it, or lower AUGMENT_VIEWS.")
        return values


def _hash_byte(frame: StoredFrame) -> int:
    """Return a number from 0 to 255 that depends on the frame only: folds and runs choose the same frames."""
    return hashlib.blake2b(frame.path.encode(), digest_size=1).digest()[0]
