"""What a frozen backbone makes of each frame, once: nothing changes, so neither do its features. Imports Keras."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np

from data.entities import StoredFrame
from model.images import Images


class Features:
    """Features by frame, of one backbone, for as many trainings as start from it."""

    def __init__(self, tell: Callable[[str], None], bar: bool = False) -> None:
        self._tell = tell
        self._bar = bar
        self._rows: dict[StoredFrame, int] = {}
        self._values: list[np.ndarray] = []

    def of(self, side: Images, backbone: keras.Model) -> np.ndarray:
        """float (n, features) of a side's frames, in their order; those not yet known go through `backbone`."""
        missing = [frame for frame in side.frames if frame not in self._rows]
        if missing:
            self._add(replace(side, frames=missing), backbone)
        return np.stack([self._values[self._rows[frame]] for frame in side.frames])

    def _add(self, side: Images, backbone: keras.Model) -> None:
        self._tell(f"backbone: {len(side.frames)} frames, once")
        with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
            made = np.asarray(backbone.predict(side.in_order(), verbose=int(self._bar)))
        self._rows |= {frame: len(self._values) + place for place, frame in enumerate(side.frames)}
        self._values.extend(made)
