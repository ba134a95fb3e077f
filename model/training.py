"""Training: epochs until the validation loss stops falling, and the best of them kept. Imports Keras."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from data.errors import ModelError
from model import network
from model.images import Images


@dataclass(frozen=True, slots=True)
class Training:
    """How it went. `history`: loss, accuracy (0 to 1), val_loss, val_accuracy, a value an epoch each.

    `best_epoch` counts from 1: the model holds the weights of its end. `seconds`: the features' time included.
    """

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of the same names, for a Trainer."""

    epochs: int
    patience: int
    learning_rate: float
    seed: int


class Trainer:
    """Trains `model` in place, on `learning`, judged on `validation` after each epoch.

    `tell` gets a line an epoch, or with `bar` Keras' progress bar shows on stderr. Where nothing but the
    head trains, the backbone sees each picture once instead of once an epoch: with no augmentation its
    features are the same every time, and the trained model is the same, many times sooner.
    """

    def __init__(
        self,
        model: keras.Model,
        learning: Images,
        validation: Images,
        plan: Plan,
        *,
        tell: Callable[[str], None],
        bar: bool = False,
    ) -> None:
        self._started = time.monotonic()
        self._sides = (learning, validation)
        self._plan = plan
        self._tell = tell
        self._bar = bar
        parts = network.head(model)
        self._trained = parts[1] if parts else model
        self._features = [self._features_of(parts[0], side) for side in self._sides] if parts else []
        self._start = self._trained.get_weights()

    def train(self) -> Training:
        """Train until the validation loss stops falling, and go back to the best epoch.

        Raises ModelError: the loss became infinite or no number.
        """
        stop = keras.callbacks.EarlyStopping(
            "val_loss", patience=self._plan.patience, mode="min", restore_best_weights=True
        )
        history = self._fit({**self._data(), "validation_data": self._validation_data()}, self._plan.epochs, [stop])
        if not math.isfinite(stop.best):
            raise ModelError("The training diverged, its loss is no number: lower LEARNING_RATE. The old model stays.")
        return Training(history, stop.best_epoch + 1, time.monotonic() - self._started)

    def refit(self, epochs: int) -> None:
        """Train anew from the weights of the beginning, on both sides together, for so many epochs."""
        self._trained.set_weights(self._start)
        self._fit(self._data(with_validation=True), epochs, [])

    def _fit(self, data: dict[str, Any], epochs: int, callbacks: list[Any]) -> dict[str, list[float]]:
        network.compile_for(self._trained, self._plan.learning_rate)
        lines = [] if self._bar else [_Lines(self._tell, epochs)]
        with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
            fitted = self._trained.fit(**data, epochs=epochs, callbacks=callbacks + lines, verbose=int(self._bar))
        return {name: [float(value) for value in values] for name, values in fitted.history.items()}

    def _data(self, with_validation: bool = False) -> dict[str, Any]:
        """`fit`'s arguments for the training side, or for both; features it shuffles anew each epoch itself."""
        count = 2 if with_validation else 1
        learning = self._sides[0]
        if self._features:
            labels = np.concatenate([side.labels for side in self._sides[:count]])
            return {"x": np.concatenate(self._features[:count]), "y": labels, "batch_size": learning.batch_size}
        frames = [frame for side in self._sides[:count] for frame in side.frames]
        return {"x": replace(learning, frames=frames).shuffled(self._plan.seed)}

    def _validation_data(self) -> Any:
        validation = self._sides[1]
        return (self._features[1], validation.labels) if self._features else validation.in_order()

    def _features_of(self, backbone: keras.Model, side: Images) -> np.ndarray:
        """float (n, features) of a side's frames, in their order."""
        self._tell(f"backbone: {len(side.frames)} frames, once")
        with contextlib.redirect_stdout(sys.stderr):
            return np.asarray(backbone.predict(side.in_order(), verbose=int(self._bar)))


class _Lines(keras.callbacks.Callback):
    """A line an epoch, for logs."""

    def __init__(self, tell: Callable[[str], None], epochs: int) -> None:
        super().__init__()
        self._tell = tell
        self._epochs = epochs
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Start the clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell the epoch's figures."""
        figures = logs or {}
        line = f"epoch {epoch + 1}/{self._epochs}: loss {figures['loss']:.4f}, accuracy {figures['accuracy']:.1%}"
        if "val_loss" in figures:
            line += f"; validation: loss {figures['val_loss']:.4f}, accuracy {figures['val_accuracy']:.1%}"
        self._tell(f"{line}; {time.monotonic() - self._started:.1f} s")
