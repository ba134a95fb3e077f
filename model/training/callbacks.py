"""Keras callbacks: early stopping that can resume, a time limit, log lines, the learning-rate schedule, model state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from model.terminal.progress import Advance
from model.training.checkpoint import StageProgress
from model.training.plan import TrainerSettings


class ResumableEarlyStopping(keras.callbacks.Callback):
    """Early stopping whose state is a `StageProgress`: Keras' EarlyStopping cannot resume in another process.

    Calls `save` after each epoch. `patience`: epochs without a lower validation loss before training stops; with 0,
    all epochs train and the last one counts, so that the validation frames choose nothing.
    """

    def __init__(self, progress: StageProgress, patience: int, save: Callable[[], None]) -> None:
        super().__init__()
        self._progress = progress
        self._patience = patience
        self._save = save

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the metrics, keep the weights of a better epoch, and stop when patience runs out."""
        progress, metrics = self._progress, logs or {}
        progress.epoch = epoch + 1
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            if name in metrics:
                progress.history.setdefault(name, []).append(float(metrics[name]))
        if "val_loss" not in metrics:  # without validation the last epoch is the best
            progress.best_epoch = progress.epoch
        elif not self._patience:
            progress.best_val_loss, progress.best_epoch = float(metrics["val_loss"]), progress.epoch
            progress.best_weights = []  # those of an earlier stage are not restored
        elif metrics["val_loss"] < progress.best_val_loss:  # False for NaN
            progress.best_val_loss, progress.best_epoch = float(metrics["val_loss"]), progress.epoch
            progress.best_weights = self.model.get_weights()  # copies: training changes the variables in place
        elif progress.epoch - progress.best_epoch >= self._patience:
            self.model.stop_training = True
        self._save()


class _EpochTimer(keras.callbacks.Callback):
    """Base of callbacks that need the start time of the epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Start the timer."""
        self._started_at = time.monotonic()


class TimeLimit(_EpochTimer):
    """Stops before an epoch that would end after `until` if it took as long as the last one.

    `until`: a time of time.monotonic, seconds. `any_worker`: see `Hardware`; all processes stop after the same epoch.
    """

    def __init__(self, until: float, any_worker: Callable[[bool], bool]) -> None:
        super().__init__()
        self._until = until
        self._any_worker = any_worker

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Stop if the time is not enough for one more epoch."""
        now = time.monotonic()
        if self._any_worker(now + (now - self._started_at) > self._until):
            self.model.stop_training = True


class BatchProgress(keras.callbacks.Callback):
    """Reports each batch of a training or a prediction to a progress bar."""

    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Count a training step."""
        self._advance(1)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Count a predicted batch."""
        self._advance(1)


class EpochLogger(_EpochTimer):
    """Logs one line per epoch."""

    def __init__(self, log: Callable[[str], None], epochs: int) -> None:
        super().__init__()
        self._log = log
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the metrics of the epoch."""
        metrics = logs or {}
        line = f"epoch {epoch + 1}/{self._epochs}: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.1%}"
        if "val_loss" in metrics:
            line += f"; validation: loss {metrics['val_loss']:.4f}, accuracy {metrics['val_accuracy']:.1%}"
        self._log(f"{line}; {time.monotonic() - self._started_at:.1f} s")


def learning_rate_schedule(settings: TrainerSettings, learning_rate: float, steps: int) -> Any:
    """Return a learning rate for Keras: a number, or a cosine decay to 0 over `steps`, after a linear warm-up."""
    if settings.lr_schedule == "constant":
        return learning_rate
    warmup = round(settings.warmup_fraction * steps)  # steps
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return keras.optimizers.schedules.CosineDecay(
        learning_rate / warmup, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )


def _training_variables(model: keras.Model) -> list[Any]:
    """Return everything that changes while a compiled model trains: weights, dropout seeds, optimizer variables."""
    metrics = {id(variable) for variable in model.metrics_variables}  # reset in each epoch
    model.optimizer.build(model.trainable_variables)  # otherwise Keras creates its variables in the first step
    return [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)


def get_state(model: keras.Model) -> Sequence[np.ndarray]:
    """Return copies of all values that change while the model trains, always in the same order."""
    return [keras.ops.convert_to_numpy(variable).copy() for variable in _training_variables(model)]


def set_state(model: keras.Model, state: Sequence[np.ndarray]) -> None:
    """Assign what `get_state` returned."""
    for variable, value in zip(_training_variables(model), state, strict=True):
        variable.assign(value)
