"""What a training does, as values: its stages, and how it went. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import StoredFrame
from data.errors import SettingsError
from model.training.checkpoint import Course


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of the same names, for a Trainer. `minutes`: 0 is without limit."""

    epochs: int
    patience: int
    learning_rate: float
    seed: int
    fine_tune: str = "none"
    fine_tune_epochs: int = 10
    fine_tune_learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    class_weights: bool = False
    balance: str = "none"
    minutes: float = 0.0
    xla: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training. `block`: how far down the backbone trains, empty where all of the network always does."""

    block: str
    epochs: int
    learning_rate: float


def stages(plan: Plan, pretrained: bool) -> tuple[Stage, ...]:
    """The head alone and then the upper blocks too, where there are starting weights; else one stage."""
    if not pretrained:
        return (Stage("", plan.epochs, plan.learning_rate),)
    head = Stage("none", plan.epochs, plan.learning_rate)
    if plan.fine_tune == "none":
        return (head,)
    return head, Stage(plan.fine_tune, plan.fine_tune_epochs, plan.fine_tune_learning_rate)


@dataclass(frozen=True, slots=True)
class Training:
    """How it went, stage by stage. `seconds`: the features' time included, and those before an interruption."""

    courses: tuple[Course, ...]
    seconds: float

    @property
    def history(self) -> dict[str, list[float]]:
        """loss, accuracy (0 to 1), val_loss, val_accuracy: a value an epoch each, over all stages."""
        names = self.courses[0].history
        return {name: [value for course in self.courses for value in course.history.get(name, ())] for name in names}

    @property
    def kept(self) -> tuple[int, ...]:
        """Each stage's epochs until its best one; 0 where it brought nothing better than the stage before."""
        return tuple(course.kept for course in self.courses)

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1 over all stages, whose weights the model holds."""
        before, best = 0, 0
        for course in self.courses:
            best = before + course.kept if course.kept else best
            before += course.epoch
        return best


def averaged(trainings: list[Training]) -> Training:
    """The mean course of several trainings, each epoch's over those that came so far; what was kept is their median."""
    courses = zip(*(training.courses for training in trainings), strict=True)
    seconds = sum(training.seconds for training in trainings)
    return Training(tuple(_mean(list(stage)) for stage in courses), seconds)


def _mean(courses: list[Course]) -> Course:
    epochs = max(course.epoch for course in courses)
    history = {
        name: [float(np.mean([c.history[name][e] for c in courses if e < c.epoch])) for e in range(epochs)]
        for name in max(courses, key=lambda course: course.epoch).history
    }
    kept = int(np.median([course.kept for course in courses]))
    return Course(epochs, float(np.mean([course.best for course in courses])), kept, (), history, True)


def class_weights(frames: Sequence[StoredFrame], classes: Sequence[int]) -> np.ndarray:
    """float32 (classes,): each game's weight in the loss, inverse to its frames, 1 on the average of the frames."""
    counts = np.array([sum(frame.game_id == game for frame in frames) for game in classes])
    if not counts.all():
        raise SettingsError("CLASS_WEIGHTS: a game has no frames to train on.")
    return (len(frames) / (len(classes) * counts)).astype(np.float32)
