"""What a frozen backbone makes of each frame, once: nothing changes, so neither do its features. Imports Keras.

A head learns from more than the frames as they are: from each of them changed in a few ways, and from screens that
show no game. Their features are made once too, where the pictures of a network that trains as a whole are changed anew
in each epoch.
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
from model.datasets.frame_cache import Limits
from model.datasets.image_dataset import Images
from model.datasets.sampler import FRAMES

_SCREENED = 4  # every fourth frame gives a screen
_SCREENS_WEIGH = 0.5
_LIMITS = Limits(2 << 30, 0)
_SCREENS = -1  # the view of a frame that is a screen made of it


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a head learns from: `rows` of the features, int64 (n,), and whose they are. Screens are of no game: 0."""

    rows: np.ndarray
    frames: Sequence[StoredFrame]

    def labels(self, classes: Sequence[Game]) -> np.ndarray:
        """int64 (n,): each one's class, and the number of the classes for a screen."""
        place = {game.id: label for label, game in enumerate(classes)}
        return np.array([place.get(frame.game_id, len(classes)) for frame in self.frames], np.int64)

    def weights(self, classes: np.ndarray, balance: str) -> np.ndarray:
        """float32 (classes + 1,): those of the `classes`, and a screen's, such that all screens weigh half as much as
        all else in what an Order with this `balance` draws.
        """
        screens = sum(frame.game_id == 0 for frame in self.frames)
        share = screens / len(self.frames) if balance == FRAMES else 1 / (len(classes) + 1)
        own = _SCREENS_WEIGH * (1 - share) / share if screens else 0.0
        return np.append(classes, own).astype(np.float32)


class Features:
    """Features of `pictures` by one backbone, for as many trainings as start from it.

    View 0 is a frame as it is, views 1 to `views` are it changed by `augmentation`; with `screens` a part of the
    frames give a screen too. Values are kept in float16, in memory or on disk by `limits`.
    """

    def __init__(
        self,
        pictures: Images,
        tell: Callable[[str], None],
        *,
        bar: bool = False,
        augmentation: Augmentation | None = None,
        views: int = 0,
        screens: bool = False,
        limits: Limits = _LIMITS,
    ) -> None:
        self._pictures = pictures
        self._tell = tell
        self._bar = bar
        self._augmentation = augmentation or Augmentation()
        self._views = views if self._augmentation else 0
        self._screens = screens
        self._limits = limits
        self._place = {frame: place for place, frame in enumerate(pictures.frames)}
        self._values = np.empty((0, 0), np.float16)
        self._made = np.zeros((self._views + 2) * len(pictures.frames), bool)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, d): the features at these rows."""
        return self._values[rows].astype(np.float32)

    def plain(self, frames: Sequence[StoredFrame], backbone: keras.Model) -> np.ndarray:
        """int64 (n,): the rows of these frames as they are, in their order; `backbone` makes those not yet made."""
        return self._rows(frames, 0, backbone)

    def learned(self, frames: Sequence[StoredFrame], backbone: keras.Model) -> Learned:
        """All views of these frames, and their screens. Webcams and the like show others of these, and no others."""
        rows = [self._rows(frames, view, backbone) for view in range(self._views + 1)]
        every = list(frames) * len(rows)
        if self._screens:
            chosen = [frame for frame in frames if _draw(frame) % _SCREENED == 0]
            rows.append(self._rows(chosen, _SCREENS, backbone))
            every += [replace(frame, game_id=0) for frame in chosen]
        return Learned(np.concatenate(rows), every)

    def _rows(self, frames: Sequence[StoredFrame], view: int, backbone: keras.Model) -> np.ndarray:
        count = len(self._pictures.frames)
        start = (view if view != _SCREENS else self._views + 1) * count
        rows = np.array([start + self._place[frame] for frame in frames], np.int64)
        missing = np.flatnonzero(~self._made[rows])
        if len(missing):
            mixed = np.random.default_rng(count + view).permutation(missing)  # whom a webcam shows is of any game
            self._make([frames[place] for place in mixed], rows[mixed], view, backbone)
        return rows

    def _make(self, frames: list[StoredFrame], rows: np.ndarray, view: int, backbone: keras.Model) -> None:
        kind = {0: "as they are", _SCREENS: "as screens without a game"}.get(view, f"changed, {view} of {self._views}")
        self._tell(f"backbone: {len(frames)} frames, once, {kind}")
        side = replace(self._pictures, frames=frames)
        seed = self._augmentation.seed
        if view == _SCREENS:
            batches = side.as_screens(rows, seed)
        else:
            batches = side.changed(rows, self._augmentation) if view else side.in_order()
        with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
            made = np.asarray(backbone.predict(batches, verbose=int(self._bar)))
        if not self._values.size:
            self._values = self._room(made.shape[1])
        self._values[rows] = made
        self._made[rows] = True

    def _room(self, width: int) -> np.ndarray:
        values = frame_cache.room((len(self._made), width), np.dtype(np.float16), self._limits)
        if values is None:
            size = len(self._made) * width * 2 / 1e9
            raise SettingsError(
                f"CACHE_DISK_GB: the features take {size:.1f} GB: allow as many, or fewer AUGMENT_VIEWS."
            )
        return values


def _draw(frame: StoredFrame) -> int:
    """A number from 0 to 255, the same for a frame each time."""
    return hashlib.blake2b(frame.path.encode(), digest_size=1).digest()[0]
