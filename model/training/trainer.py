"""Trainer: a training run in stages, each with early stopping and checkpoints. Imports Keras.

for each stage (the head, then also the fine-tuned layers; or all layers at once):
    freeze and unfreeze layers, compile, resume from a checkpoint if there is one
    until EPOCHS, PATIENCE or TIME_LIMIT_MIN end the stage:
        train an epoch on the batches that the sampler draws
        compute the validation loss, remember the best weights, save a checkpoint
    restore the best weights
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data.errors import ModelError
from data.text import plural
from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import ImageDataset
from model.networks import network
from model.terminal.progress import Progress, no_progress
from model.training import callbacks, checkpoint
from model.training.checkpoint import CheckpointStore, StageProgress, TrainingState
from model.training.feature_cache import FeatureCache
from model.training.hardware import Hardware
from model.training.plan import Stage, TrainerSettings, TrainingHistory, plan_stages
from model.training.stage_inputs import StageInputs, head_inputs, network_inputs

_MAX_SAMPLE = 2000  # frames to fit the standardisation of the features to


@dataclass(eq=False)
class Trainer:
    """Trains a model in place, and resumes an interrupted training run of the same name."""

    model: keras.Model
    training_set: ImageDataset
    validation_set: ImageDataset | None  # None trains a fixed number of epochs
    settings: TrainerSettings
    _: KW_ONLY
    log: Callable[[str], None]  # called with a line per epoch
    progress: Progress = no_progress
    augmentation: Augmentation = field(default_factory=Augmentation)
    hardware: Hardware = field(default_factory=Hardware)
    feature_cache: FeatureCache | None = None  # shared cache; must cover both sets. None: create one
    checkpoints: CheckpointStore | None = None
    name: str = "model"
    tensorboard_path: Path | None = None

    def __post_init__(self) -> None:
        self._started_at = time.monotonic()
        self._cache = self.feature_cache or FeatureCache(self._both_sets(), self.log, progress=self.progress)
        self._stages = plan_stages(self.settings, network.split_head(self.model) is not None)
        self._initial_weights = self.model.get_weights()

    def train(self) -> TrainingHistory:
        """Train stage by stage until the validation loss stops falling; restore the best epoch's weights.

        Raises ModelError: the loss diverged.
        """
        seconds = 60 * self.settings.time_limit_min or math.inf  # 0 means no limit
        history = self._run(self.name, [stage.epochs for stage in self._stages], seconds)
        if self.validation_set and not math.isfinite(history.stages[-1].best_val_loss):
            raise ModelError("The training diverged: the loss is not finite. Lower LEARNING_RATE. The old model stays.")
        return history

    def refit(self, epochs: Sequence[int]) -> TrainingHistory:
        """Train again from the initial weights, on both sets together, for `epochs` of each stage."""
        self.training_set, self.validation_set = self._both_sets(), None
        self._set_weights(self.model, self._initial_weights)
        return self._run(f"{self.name}-refit", epochs, math.inf)

    def _both_sets(self) -> ImageDataset:
        validation_frames = self.validation_set.frames if self.validation_set else ()
        return replace(self.training_set, frames=[*self.training_set.frames, *validation_frames])

    def _set_weights(self, model: keras.Model, weights: Sequence[np.ndarray]) -> None:
        with self.hardware.scope():  # variables that exist on several devices change within the scope only
            model.set_weights(weights)

    def _run(self, name: str, epochs: Sequence[int], seconds: float) -> TrainingHistory:
        state = self.checkpoints.load(name) if self.checkpoints else None
        started_at = self._started_at - (state.seconds if state else 0)  # time before the interruption counts
        until = started_at + seconds
        if state and not 1 <= len(state.stages) <= len(self._stages):
            raise checkpoint.damaged(state.path, ValueError(f"{len(state.stages)} stages"))
        done = state.stages[:-1] if state else []  # stages that ended before the interruption
        for stage, count in list(zip(self._stages, epochs, strict=True))[len(done) :]:
            inputs = self._compile_stage(stage)
            progress = self._resume(state, inputs.model, count) if state else self._begin(done, inputs.model)
            state = None  # later stages begin at their first epoch
            save = partial(self._save, name, started_at, inputs.model, [*done, progress])
            done.append(progress)
            if progress.ended:
                continue
            # Only a stage after the first is skipped for lack of time: the first one always trains an epoch.
            timed = len(done) > 1 and until < math.inf
            out_of_time = timed and self.hardware.any_worker(time.monotonic() > until)
            if progress.epoch < count and not out_of_time:
                self._fit(inputs, progress.epoch, count, self._callbacks(stage, progress, count, until, save))
            progress.ended = True
            if progress.best_weights:
                self._set_weights(inputs.model, progress.best_weights)
            save()
        return TrainingHistory(tuple(done), time.monotonic() - started_at)

    def _resume(self, state: TrainingState, model: keras.Model, epochs: int) -> StageProgress:
        progress = state.stages[-1]
        self.log(f"resuming after epoch {progress.epoch} of {epochs}")
        try:
            with self.hardware.scope():
                callbacks.set_state(model, state.variables)
                if progress.best_weights:  # for their shapes: they are needed at the end of the stage
                    current = model.get_weights()
                    model.set_weights(progress.best_weights)
                    model.set_weights(current)
        except (ValueError, TypeError) as error:
            raise checkpoint.damaged(state.path, error) from error
        return progress

    def _begin(self, earlier: list[StageProgress], model: keras.Model) -> StageProgress:
        if not earlier or not self.validation_set:
            return StageProgress()
        # The epochs of a later stage must be better than the stage before.
        return StageProgress(best_val_loss=earlier[-1].best_val_loss, best_weights=model.get_weights())

    def _save(self, name: str, started_at: float, model: keras.Model, stages: list[StageProgress]) -> None:
        if self.checkpoints:
            state = TrainingState(stages, callbacks.get_state(model), time.monotonic() - started_at)
            self.checkpoints.save(name, state)

    def _compile_stage(self, stage: Stage) -> StageInputs:
        settings = self.settings
        with self.hardware.scope():
            inputs = self._stage_inputs(stage)
            network.compile_model(
                inputs.model,
                callbacks.learning_rate_schedule(settings, stage.learning_rate, stage.epochs * inputs.steps),
                label_smoothing=settings.label_smoothing,
                weight_decay=settings.weight_decay,
                jit_compile="auto" if settings.xla else False,
            )
        return inputs

    def _stage_inputs(self, stage: Stage) -> StageInputs:
        if stage.unfreeze_from:
            network.unfreeze_from(self.model, stage.unfreeze_from)
        head_only = stage.unfreeze_from == network.HEAD_ONLY
        parts = network.split_head(self.model) if head_only else None
        if parts:
            network.fit_standardisation(self.model, self._sample_features(parts[0]))
        if parts and self.hardware.strategy is None:  # features are computed once per view and cached
            return head_inputs(parts, self.training_set, self.settings, self._cache)
        # With several devices, skip augmentation for the head if a fine-tuning stage follows: faster.
        augmentation = self.augmentation if not head_only or len(self._stages) == 1 else None
        return network_inputs(self.model, self.training_set, self.settings, self.hardware, augmentation)

    def _sample_features(self, backbone: keras.Model) -> np.ndarray:
        """Return features of some training frames, (n, d)."""
        images = self.training_set
        stride = math.ceil(len(images.frames) / _MAX_SAMPLE)
        if self.hardware.strategy is None:  # the head needs the features of all frames anyway
            return self._cache.values(self._cache.original_rows(images.frames, backbone)[::stride])
        sample = replace(images, frames=images.frames[::stride])
        return np.concatenate([backbone(batch, training=False) for batch, _labels in sample.batches()])

    def _callbacks(
        self, stage: Stage, progress: StageProgress, epochs: int, until: float, save: Callable[[], None]
    ) -> list[Any]:
        chosen: list[Any] = [
            callbacks.ResumableEarlyStopping(progress, self.settings.patience, save),
            callbacks.EpochLogger(self.log, epochs),
        ]
        if until < math.inf:
            chosen.append(callbacks.TimeLimit(until, self.hardware.any_worker))
        if self.tensorboard_path and self.hardware.is_chief:
            folder = self.tensorboard_path / self.name / (stage.unfreeze_from or "all")
            chosen.append(keras.callbacks.TensorBoard(folder))
        return chosen

    def _fit(self, inputs: StageInputs, first_epoch: int, epochs: int, keras_callbacks: list[Any]) -> None:
        steps = (epochs - first_epoch) * inputs.steps
        with self.progress(f"steps of at most {plural(epochs, 'epoch')}", steps) as advance:
            inputs.model.fit(
                inputs.batches(first_epoch),
                steps_per_epoch=inputs.steps,
                validation_data=inputs.validation_data(self.validation_set) if self.validation_set else None,
                epochs=epochs,
                initial_epoch=first_epoch,
                shuffle=False,  # the sampler did; newer versions of Keras warn otherwise
                verbose=0,
                callbacks=[*keras_callbacks, callbacks.BatchProgress(advance)],
            )
