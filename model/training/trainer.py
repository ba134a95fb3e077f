"""Trainer: a training in stages, each with early stopping and checkpoints. Imports Keras.

for each stage (the head, then also the fine-tuned layers; or all layers at once):
    freeze and unfreeze layers, compile, resume from a checkpoint if there is one
    until EPOCHS, PATIENCE or TIME_LIMIT_MIN end the stage:
        train an epoch on the batches that the sampler draws
        compute the validation loss, remember the best weights, save a checkpoint
    restore the best weights
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data.errors import ModelError
from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import ImageDataset
from model.networks import network
from model.training import callbacks
from model.training.checkpoint import CheckpointStore, StageProgress, TrainingState
from model.training.feature_cache import FeatureCache
from model.training.hardware import Hardware
from model.training.plan import Stage, TrainerSettings, TrainingHistory, plan_stages
from model.training.stage_inputs import HeadInputs, NetworkInputs, StageInputs

_MAX_SAMPLE = 2000  # frames to fit the standardisation of the features to


@dataclass(frozen=True, slots=True)
class _StageRun:
    """A stage in progress; `earlier`: the progress of the stages before it."""

    stage: Stage
    inputs: StageInputs
    progress: StageProgress
    earlier: tuple[StageProgress, ...]
    epochs: int


class Trainer:
    """Trains a model in place.

    Args:
        model: the network; a frozen backbone sees each frame once, through `feature_cache`.
        training_set: images to train on.
        validation_set: images for the validation loss after each epoch; None trains a fixed number of epochs.
        settings: learning rates, epochs and so on.
        log: called with a line per epoch.
        progress_bar: show Keras' progress bar on stderr instead.
        augmentation: transforms of the training images.
        hardware: devices to train on.
        feature_cache: features of both sets, if several trainings share them.
        checkpoints: where to save the state after each epoch, and to resume a training of the same `name` from.
        name: name of the training.
        tensorboard_path: folder for TensorBoard logs.
    """

    def __init__(
        self,
        model: keras.Model,
        training_set: ImageDataset,
        validation_set: ImageDataset | None,
        settings: TrainerSettings,
        *,
        log: Callable[[str], None],
        progress_bar: bool = False,
        augmentation: Augmentation | None = None,
        hardware: Hardware | None = None,
        feature_cache: FeatureCache | None = None,
        checkpoints: CheckpointStore | None = None,
        name: str = "model",
        tensorboard_path: Path | None = None,
    ) -> None:
        self._started_at = time.monotonic()
        self._model = model
        self._sets = (training_set, validation_set)
        self._settings = settings
        self._log = log
        self._progress_bar = progress_bar
        self._augmentation = augmentation or Augmentation()
        self._hardware = hardware or Hardware()
        both = _merged(training_set, validation_set)
        self._feature_cache = feature_cache or FeatureCache(both, log, progress_bar=progress_bar)
        self._checkpoints = checkpoints
        self._name = name
        self._tensorboard_path = tensorboard_path
        self._stages = plan_stages(settings, network.split_head(model) is not None)
        self._initial_weights = model.get_weights()

    def train(self) -> TrainingHistory:
        """Train stage by stage until the validation loss stops falling; restore the best epoch's weights.

        Raises ModelError: the loss diverged.
        """
        seconds = 60 * self._settings.time_limit_min or math.inf  # 0 means no limit
        history = self._run(self._name, [stage.epochs for stage in self._stages], seconds)
        if self._sets[1] and not math.isfinite(history.stages[-1].best_val_loss):
            raise ModelError("The training diverged: the loss is not finite. Lower LEARNING_RATE. The old model stays.")
        return history

    def refit(self, epochs: Sequence[int]) -> TrainingHistory:
        """Train again from the initial weights, on both sets together, for `epochs` of each stage."""
        self._sets = (_merged(*self._sets), None)
        with self._hardware.scope():  # variables that exist on several devices change within the scope only
            self._model.set_weights(self._initial_weights)
        return self._run(f"{self._name}-refit", list(epochs), math.inf)

    def _run(self, name: str, epochs: Sequence[int], seconds: float) -> TrainingHistory:
        state = self._checkpoints.load(name) if self._checkpoints else None
        started_at = self._started_at - (state.seconds if state else 0)  # time before the interruption counts
        done = list(state.earlier) if state else []  # stages that ended before the interruption
        for number, stage in list(enumerate(self._stages))[len(done) :]:
            inputs = self._compile_stage(stage)
            run = _StageRun(stage, inputs, StageProgress(), tuple(done), epochs[number])
            if state and number == len(state.earlier):  # the interrupted stage
                run = replace(run, progress=state.progress)
                self._restore(run, state)
            elif self._sets[1]:
                run = replace(run, progress=_initial_progress(done, inputs.model))
            self._run_stage(run, started_at + seconds, partial(self._save, name, started_at, run))
            done.append(run.progress)
        return TrainingHistory(tuple(done), time.monotonic() - started_at)

    def _run_stage(self, run: _StageRun, until: float, save: Callable[[], None]) -> None:
        if run.progress.ended:
            return
        # Only a stage after the first is skipped for lack of time: the first one always trains an epoch.
        out_of_time = run.earlier and until < math.inf and self._hardware.any_worker(time.monotonic() > until)
        if run.progress.epoch < run.epochs and not out_of_time:
            self._fit(run, until, save)
        run.progress.ended = True
        if run.progress.best_weights:
            with self._hardware.scope():
                run.inputs.model.set_weights(run.progress.best_weights)
        save()

    def _compile_stage(self, stage: Stage) -> StageInputs:
        settings = self._settings
        with self._hardware.scope():
            inputs = self._stage_inputs(stage)
            steps = stage.epochs * inputs.sampler.steps
            rate = callbacks.learning_rate_schedule(
                settings.lr_schedule, stage.learning_rate, settings.warmup_fraction, steps
            )
            network.compile_model(
                inputs.model,
                rate,
                label_smoothing=settings.label_smoothing,
                weight_decay=settings.weight_decay,
                jit_compile="auto" if settings.xla else False,
            )
        return inputs

    def _stage_inputs(self, stage: Stage) -> StageInputs:
        if stage.unfreeze_from:
            network.unfreeze_from(self._model, stage.unfreeze_from)
        images = self._sets[0]
        parts = network.split_head(self._model) if stage.unfreeze_from == network.HEAD_ONLY else None
        if parts:
            network.fit_standardisation(self._model, self._sample_features(parts[0]))
        if parts and self._hardware.strategy is None:
            return HeadInputs(parts, images, self._settings, self._feature_cache)
        # On several devices a head that fine-tuning will follow trains on originals, which is faster.
        augments = stage.unfreeze_from != network.HEAD_ONLY or len(self._stages) == 1
        augmentation = self._augmentation if augments else None
        return NetworkInputs(self._model, images, self._settings, self._hardware, augmentation)

    def _sample_features(self, backbone: keras.Model) -> np.ndarray:
        """Return features of some training frames, (n, d)."""
        images = self._sets[0]
        if self._hardware.strategy is None:  # the head needs all of them anyway
            rows = self._feature_cache.original_rows(images.frames, backbone)
            return self._feature_cache.values(rows[:: _stride(images)])
        sample = replace(images, frames=images.frames[:: _stride(images)])
        return np.concatenate([backbone(batch, training=False) for batch, _labels in sample.batches()])

    def _fit(self, run: _StageRun, until: float, save: Callable[[], None]) -> None:
        watching: list[Any] = [callbacks.ResumableEarlyStopping(run.progress, self._settings.patience, save)]
        watching += [] if until == math.inf else [callbacks.TimeLimit(until, self._hardware.any_worker)]
        watching += [] if self._progress_bar else [callbacks.EpochLogger(self._log, run.epochs)]
        if self._tensorboard_path and self._hardware.is_chief:
            folder = self._tensorboard_path / self._name / (run.stage.unfreeze_from or "all")
            watching.append(keras.callbacks.TensorBoard(folder))
        inputs, validation_set = run.inputs, self._sets[1]
        with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
            inputs.model.fit(
                inputs.batches(run.progress.epoch),
                steps_per_epoch=inputs.sampler.steps,
                validation_data=inputs.validation_data(validation_set) if validation_set else None,
                epochs=run.epochs,
                initial_epoch=run.progress.epoch,
                verbose=int(self._progress_bar),
                callbacks=watching,
            )

    def _restore(self, run: _StageRun, state: TrainingState) -> None:
        self._log(f"resuming after epoch {state.progress.epoch} of {run.epochs}")
        with self._hardware.scope():
            callbacks.set_state(run.inputs.model, state.variables)

    def _save(self, name: str, started_at: float, run: _StageRun) -> None:
        if self._checkpoints:
            variables = callbacks.get_state(run.inputs.model)
            state = TrainingState(run.progress, run.earlier, variables, time.monotonic() - started_at)
            self._checkpoints.save(name, state)


def _initial_progress(earlier: list[StageProgress], model: keras.Model) -> StageProgress:
    """Return the progress of a new stage, whose epochs must be better than the stage before."""
    if not earlier:
        return StageProgress()
    return StageProgress(best_val_loss=earlier[-1].best_val_loss, best_weights=model.get_weights())


def _merged(first: ImageDataset, second: ImageDataset | None) -> ImageDataset:
    return replace(first, frames=[*first.frames, *second.frames]) if second else first


def _stride(images: ImageDataset) -> int:
    """Return the step that leaves at most _MAX_SAMPLE frames."""
    return -(-len(images.frames) // _MAX_SAMPLE)
