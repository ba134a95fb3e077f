"""At the end of an epoch: the best is remembered, a line told, a limit kept, a checkpoint written. Imports Keras."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from model.training.checkpoint import Course


class Keeper(keras.callbacks.Callback):
    """Writes the course down, with the weights of its best epoch; stops after `patience` epochs without a better one.

    Keras' EarlyStopping does the same, but cannot go on where another process was stopped. `save` is called
    after each epoch.
    """

    def __init__(self, course: Course, patience: int, save: Callable[[], None]) -> None:
        super().__init__()
        self._course = course
        self._patience = patience
        self._save = save

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note its figures."""
        course, figures = self._course, logs or {}
        course.epoch = epoch + 1
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            if name in figures:
                course.history.setdefault(name, []).append(float(figures[name]))
        loss = figures.get("val_loss", math.nan)
        if loss < course.best:
            course.best, course.kept, course.weights = float(loss), epoch + 1, self.model.get_weights()
        elif "val_loss" in figures and course.epoch - course.kept >= self._patience:
            self.model.stop_training = True
        if "val_loss" not in figures:
            course.kept = epoch + 1
        self._save()


class _Timed(keras.callbacks.Callback):
    """Knows when the epoch began."""

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Start the clock."""
        self._began = time.monotonic()


class Clock(_Timed):
    """No epoch begins that would end after `until`, a time of time.monotonic, if it takes as long as the last one.

    `agreed`: whether any of the processes that train together has to stop; then all do.
    """

    def __init__(self, until: float, agreed: Callable[[bool], bool]) -> None:
        super().__init__()
        self._until = until
        self._agreed = agreed

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Look at it."""
        now = time.monotonic()
        if self._agreed(now + (now - self._began) > self._until):
            self.model.stop_training = True


class Lines(_Timed):
    """A line an epoch, for logs."""

    def __init__(self, tell: Callable[[str], None], epochs: int) -> None:
        super().__init__()
        self._tell = tell
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Tell the epoch's figures."""
        figures = logs or {}
        line = f"epoch {epoch + 1}/{self._epochs}: loss {figures['loss']:.4f}, accuracy {figures['accuracy']:.1%}"
        if "val_loss" in figures:
            line += f"; validation: loss {figures['val_loss']:.4f}, accuracy {figures['val_accuracy']:.1%}"
        self._tell(f"{line}; {time.monotonic() - self._began:.1f} s")


def schedule(kind: str, learning_rate: float, warmup: float, steps: int) -> Any:
    """`learning_rate` itself for constant; for cosine Keras' schedule: up over `warmup` of `steps`, then down to 0."""
    if kind == "constant":
        return learning_rate
    up = round(warmup * steps)
    if not up:
        return keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        learning_rate / up, max(1, steps - up), warmup_target=learning_rate, warmup_steps=up
    )


def variables(model: keras.Model) -> list[Any]:
    """All that changes when a compiled model trains: weights, the seeds of its dropout, the optimizer's variables."""
    figures = {id(variable) for variable in model.metrics_variables}
    model.optimizer.build(model.trainable_variables)
    return [v for v in model.variables if id(v) not in figures] + list(model.optimizer.variables)


def values(model: keras.Model) -> Sequence[np.ndarray]:
    """Copies of `variables`."""
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables(model)]


def assign(model: keras.Model, kept: Sequence[np.ndarray]) -> None:
    """Give `variables` these values."""
    for variable, value in zip(variables(model), kept, strict=True):
        variable.assign(value)
