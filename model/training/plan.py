"""Training plan: the stages of a training run and the record of how it went, as plain values. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.training.checkpoint import StageProgress


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """The settings that a Trainer needs; each field is the setting of the same name."""

    epochs: int
    patience: int
    learning_rate: float
    seed: int
    fine_tune: str
    fine_tune_epochs: int
    fine_tune_learning_rate: float
    lr_schedule: str
    warmup_fraction: float
    label_smoothing: float
    weight_decay: float
    class_weights: bool
    sampling_balance: str
    time_limit_min: float
    xla: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training run."""

    unfreeze_from: str  # first backbone layer that trains; "" if the whole network always does
    epochs: int
    learning_rate: float


def plan_stages(settings: TrainerSettings, pretrained: bool) -> tuple[Stage, ...]:
    """Return the stages: with pretrained weights the head and then the fine-tuned layers, else one stage."""
    if not pretrained:
        return (Stage("", settings.epochs, settings.learning_rate),)
    head = Stage("none", settings.epochs, settings.learning_rate)
    if settings.fine_tune == "none":
        return (head,)
    return head, Stage(settings.fine_tune, settings.fine_tune_epochs, settings.fine_tune_learning_rate)


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """The record of a training run. `seconds`: with the feature computation and the time before an interruption."""

    stages: tuple[StageProgress, ...]
    seconds: float

    @property
    def history(self) -> dict[str, list[float]]:
        """One value per epoch over all stages, by metric: loss, accuracy (0 to 1), val_loss, val_accuracy."""
        names = self.stages[0].history
        return {name: [value for stage in self.stages for value in stage.history.get(name, ())] for name in names}

    @property
    def best_epochs(self) -> tuple[int, ...]:
        """Each stage's best epoch, counted from 1; 0 for a stage that was no better than the one before."""
        return tuple(stage.best_epoch for stage in self.stages)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the model has, counted from 1 over all stages."""
        before, best = 0, 0
        for stage in self.stages:
            best = before + stage.best_epoch if stage.best_epoch else best  # 0: the stage did not improve
            before += stage.epoch
        return best


def mean_history(runs: list[TrainingHistory]) -> TrainingHistory:
    """Return the mean of training runs: metrics by epoch over the runs that reached it, median best epochs."""
    stages = zip(*(run.stages for run in runs), strict=True)
    seconds = sum(run.seconds for run in runs)
    return TrainingHistory(tuple(_mean_stage(list(stage)) for stage in stages), seconds)


def _mean_stage(stages: list[StageProgress]) -> StageProgress:
    longest = max(stages, key=lambda stage: stage.epoch)  # early stopping ends each fold after another epoch
    history = {
        name: [float(np.mean([s.history[name][e] for s in stages if e < s.epoch])) for e in range(longest.epoch)]
        for name in longest.history
    }
    # The median, because one fold that stops very early or late should not decide for the refit.
    best_epoch = int(np.median([stage.best_epoch for stage in stages]))
    best_val_loss = float(np.mean([stage.best_val_loss for stage in stages]))
    return StageProgress(longest.epoch, best_val_loss, best_epoch, (), history, True)
