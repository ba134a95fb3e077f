"""Training: epochs until the validation loss stops falling, and the best of them kept. Imports Keras."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from data.errors import ModelError
from model import network
from model.images import Images


@dataclass(frozen=True, slots=True)
class Training:
    """How it went. `history`: loss, accuracy (0 to 1), val_loss, val_accuracy, a value an epoch each.

    `best_epoch` counts from 1: the model holds the weights of its end.
    """

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of the same names, for `train`."""

    epochs: int
    patience: int
    learning_rate: float
    seed: int


def train(
    model: keras.Model,
    training: Images,
    validation: Images,
    plan: Plan,
    *,
    tell: Callable[[str], None],
    bar: bool = False,
) -> Training:
    """Train `model` in place. `tell` gets a line an epoch, or with `bar` Keras' progress bar shows on stderr.

    Where nothing but the head trains, the backbone sees each picture once instead of once an epoch: with no
    augmentation its features are the same every time, and the trained model is the same, twenty times
    sooner. Raises ModelError: the loss became infinite or no number.
    """
    started = time.monotonic()
    parts = network.head(model)
    with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
        if parts is None:
            data: dict[str, Any] = {"x": training.shuffled(plan.seed), "validation_data": validation.in_order()}
        else:
            backbone, model = parts
            network.compile_for(model, plan.learning_rate)
            data = _features(backbone, training, validation, bar)
        history, best_epoch = _fit(model, data, plan, tell, bar)
    return Training(history, best_epoch, time.monotonic() - started)


def _features(backbone: keras.Model, training: Images, validation: Images, bar: bool) -> dict[str, Any]:
    """`fit`'s arguments with float features (n, f) for images; it shuffles arrays anew each epoch."""
    seen = [np.asarray(backbone.predict(side.in_order(), verbose=int(bar))) for side in (training, validation)]
    return {
        "x": seen[0],
        "y": training.labels,
        "validation_data": (seen[1], validation.labels),
        "batch_size": training.batch_size,
    }


def _fit(
    model: keras.Model, data: dict[str, Any], plan: Plan, tell: Callable[[str], None], bar: bool
) -> tuple[dict[str, list[float]], int]:
    stop = keras.callbacks.EarlyStopping("val_loss", patience=plan.patience, mode="min", restore_best_weights=True)
    callbacks = [stop] if bar else [stop, _Lines(tell, plan.epochs)]
    model.fit(**data, epochs=plan.epochs, callbacks=callbacks, verbose=int(bar))
    history = {name: [float(value) for value in values] for name, values in model.history.history.items()}
    if not math.isfinite(stop.best):
        raise ModelError("The training diverged, its loss is no number: lower LEARNING_RATE. The old model stays.")
    return history, stop.best_epoch + 1


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
        self._tell(
            f"epoch {epoch + 1}/{self._epochs}: loss {figures['loss']:.4f}, accuracy {figures['accuracy']:.1%}; "
            f"validation: loss {figures['val_loss']:.4f}, accuracy {figures['val_accuracy']:.1%}; "
            f"{time.monotonic() - self._started:.1f} s"
        )
