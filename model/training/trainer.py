"""Training: stages of epochs until the validation loss stops falling, and the best of them kept. Imports Keras."""

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
from model.datasets.image_dataset import Images, drawn_from
from model.datasets.sampler import Order
from model.networks import network
from model.training import callbacks
from model.training.checkpoint import Checkpoints, Course, State
from model.training.feature_cache import Features, Learned
from model.training.hardware import Hardware
from model.training.plan import Plan, Stage, Training, class_weights, stages

_SAMPLE = 2000  # frames that features are standardised by, at most
_HEAD_STEPS, _HEAD_BATCH = 50, 512


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What a stage trains: the model, or its head on what was `learned` of the pictures by the `backbone`, once."""

    trained: keras.Model
    order: Order
    backbone: keras.Model | None = None
    learned: Learned | None = None


@dataclass(frozen=True, slots=True)
class _Leg:
    """A stage under way: what it trains, where it stands, the courses before it, and its epochs."""

    stage: Stage
    lesson: _Lesson
    course: Course
    before: tuple[Course, ...]
    epochs: int


class Trainer:
    """Trains `model` in place, on `learning`, judged on `validation` after each epoch.

    `tell` gets a line an epoch, or with `bar` Keras' progress bar shows on stderr. Where nothing but the
    head trains, the backbone sees each picture, and each changed in a few ways, once instead of once an epoch:
    `features`. With `checkpoints` a training of the same `name` goes on where it
    was stopped. `logs`: TensorBoard's folder.
    """

    def __init__(
        self,
        model: keras.Model,
        learning: Images,
        validation: Images | None,
        plan: Plan,
        *,
        tell: Callable[[str], None],
        bar: bool = False,
        augmentation: Augmentation | None = None,
        hardware: Hardware | None = None,
        features: Features | None = None,
        checkpoints: Checkpoints | None = None,
        name: str = "model",
        logs: Path | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._model = model
        self._sides = (learning, validation)
        self._plan = plan
        self._tell = tell
        self._bar = bar
        self._augmentation = augmentation or Augmentation()
        self._hardware = hardware or Hardware()
        self._features = features or Features(_both(learning, validation), tell, bar=bar)
        self._checkpoints = checkpoints
        self._name = name
        self._logs = logs
        self._stages = stages(plan, network.head(model) is not None)
        self._start = model.get_weights()

    def train(self) -> Training:
        """Train until the validation loss stops falling, stage by stage, and go back to the best epoch.

        Raises ModelError: the loss became infinite or no number.
        """
        seconds = 60 * self._plan.minutes or math.inf
        training = self._run(self._name, [stage.epochs for stage in self._stages], seconds)
        if self._sides[1] and not math.isfinite(training.courses[-1].best):
            raise ModelError("The training diverged, its loss is no number: lower LEARNING_RATE. The old model stays.")
        return training

    def refit(self, epochs: Sequence[int]) -> Training:
        """Train anew from the weights of the beginning, on both sides together, for so many epochs of each stage."""
        learning, validation = self._sides
        self._sides = (_both(learning, validation), None)
        with self._hardware.scope():
            self._model.set_weights(self._start)
        return self._run(f"{self._name}-refit", list(epochs), math.inf)

    def _run(self, name: str, epochs: Sequence[int], seconds: float) -> Training:
        """All stages, from the checkpoint of this name on if there is one."""
        state = self._checkpoints.load(name) if self._checkpoints else None
        began = self._began - (state.seconds if state else 0)
        courses = list(state.before) if state else []
        for number, stage in list(enumerate(self._stages))[len(courses) :]:
            lesson = self._compiled(stage)
            leg = _Leg(stage, lesson, Course(), tuple(courses), epochs[number])
            if state and number == len(state.before):
                leg = replace(leg, course=state.course)
                self._assign(leg, state)
            elif self._sides[1]:
                leg = replace(leg, course=_after(courses, lesson.trained))
            self._through(leg, began + seconds, partial(self._save, name, began, leg))
            courses.append(leg.course)
        return Training(tuple(courses), time.monotonic() - began)

    def _through(self, leg: _Leg, until: float, save: Callable[[], None]) -> None:
        """All of its epochs, or those that are left, and back to the best."""
        if leg.course.ended:
            return
        late = leg.before and until < math.inf and self._hardware.any(time.monotonic() > until)
        if leg.course.epoch < leg.epochs and not late:
            self._fit(leg, until, save)
        leg.course.ended = True
        if leg.course.weights:
            with self._hardware.scope():
                leg.lesson.trained.set_weights(leg.course.weights)
        save()

    def _compiled(self, stage: Stage) -> _Lesson:
        """The stage's lesson, ready to `fit`."""
        with self._hardware.scope():
            lesson = self._lesson(stage)
            steps = stage.epochs * lesson.order.steps
            rate = callbacks.schedule(self._plan.schedule, stage.learning_rate, self._plan.warmup, steps)
            network.compile_for(
                lesson.trained,
                rate,
                label_smoothing=self._plan.label_smoothing,
                weight_decay=self._plan.weight_decay,
                jit_compile="auto" if self._plan.xla else False,
            )
        return lesson

    def _lesson(self, stage: Stage) -> _Lesson:
        if stage.block:
            network.train_from(self._model, stage.block)
        side, plan, hardware = self._sides[0], self._plan, self._hardware
        parts = network.head(self._model) if stage.block == network.HEAD else None
        if parts:
            network.standardise(self._model, self._sample(parts[0]))
        if parts and hardware.strategy is None:
            learned = self._features.learned(side.frames, parts[0])
            batch = _head_batch(len(learned.frames), side.batch_size)
            return _Lesson(parts[1], Order(learned.frames, batch, plan.seed, balance=plan.balance), parts[0], learned)
        share = {"workers": hardware.workers, "worker": hardware.worker, "devices": hardware.devices}
        return _Lesson(self._model, Order(side.frames, side.batch_size, plan.seed, balance=plan.balance, **share))

    def _sample(self, backbone: keras.Model) -> np.ndarray:
        """Features of training frames; of all of them where they are needed anyway."""
        learning = self._sides[0]
        if self._hardware.strategy is None:
            return self._features.take(self._features.plain(learning.frames, backbone)[:: _every(learning)])
        few = replace(learning, frames=learning.frames[:: _every(learning)])
        return np.concatenate([backbone(images, training=False) for images, _labels in few.in_order()])

    def _augmented(self, stage: Stage) -> bool:
        """On several devices a head that is only fine-tuning's start sees pictures as they are, which is sooner."""
        return bool(self._augmentation) and (stage.block != network.HEAD or len(self._stages) == 1)

    def _fit(self, leg: _Leg, until: float, save: Callable[[], None]) -> None:
        watching: list[Any] = [callbacks.Keeper(leg.course, self._plan.patience, save)]
        watching += [] if until == math.inf else [callbacks.Clock(until, self._hardware.any)]
        watching += [] if self._bar else [callbacks.Lines(self._tell, leg.epochs)]
        if self._logs and self._hardware.chief:
            watching.append(keras.callbacks.TensorBoard(self._logs / self._name / (leg.stage.block or "all")))
        options = {"epochs": leg.epochs, "initial_epoch": leg.course.epoch, "verbose": int(self._bar)}
        with contextlib.redirect_stdout(sys.stderr):  # Keras' bars go to stdout, which is for results
            leg.lesson.trained.fit(**self._data(leg), **options, callbacks=watching)

    def _data(self, leg: _Leg) -> dict[str, Any]:
        """`fit`'s arguments for both sides."""
        learning, validation = self._sides
        lesson, order, first = leg.lesson, leg.lesson.order, leg.course.epoch
        ids = [game.id for game in learning.classes]
        weights = class_weights(learning.frames, ids) if self._plan.class_weights else None
        if lesson.learned and lesson.backbone:
            learned, features = lesson.learned, self._features
            full = learned.weights(np.ones(len(ids)) if weights is None else weights, self._plan.balance)

            def take(rows: np.ndarray) -> np.ndarray:
                return features.take(learned.rows[rows])

            x = drawn_from(take, learned.labels(learning.classes), order, first, full)
            judged = None
            if validation:
                plain = features.plain(validation.frames, lesson.backbone)
                judged = (features.take(plain), validation.labels)
        else:
            augmentation = self._augmentation if self._augmented(leg.stage) else None
            x = self._hardware.parts(lambda: learning.shuffled(order, first, augmentation, weights))
            judged = self._hardware.whole(validation.in_order()) if validation else None
        return {"x": x, "steps_per_epoch": order.steps, "validation_data": judged}

    def _assign(self, leg: _Leg, state: State) -> None:
        self._tell(f"going on after epoch {state.course.epoch} of {leg.epochs}")
        with self._hardware.scope():
            callbacks.assign(leg.lesson.trained, state.variables)

    def _save(self, name: str, began: float, leg: _Leg) -> None:
        if self._checkpoints:
            state = State(leg.course, leg.before, callbacks.values(leg.lesson.trained), time.monotonic() - began)
            self._checkpoints.save(name, state)


def _after(courses: list[Course], trained: keras.Model) -> Course:
    """The course of a stage that has to be better than the one before."""
    if not courses:
        return Course()
    return Course(best=courses[-1].best, weights=trained.get_weights())


def _both(learning: Images, validation: Images | None) -> Images:
    return replace(learning, frames=[*learning.frames, *validation.frames]) if validation else learning


def _every(side: Images) -> int:
    """The step that leaves some thousand of the frames."""
    return -(-len(side.frames) // _SAMPLE)


def _head_batch(rows: int, least: int) -> int:
    """Some fifty steps an epoch: a head's step costs next to nothing, so that large batches, which are calmer, do."""
    return max(least, min(rows // _HEAD_STEPS, _HEAD_BATCH))
