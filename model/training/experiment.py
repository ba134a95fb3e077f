"""A trained model and what it, or its like, said of frames that were not trained on. Imports Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from model.datasets.split import Sides
from model.evaluation import metrics
from model.inference.calibration import LIKENESS
from model.networks import network
from model.training import validation
from model.training.factories import Workshop
from model.training.plan import Training, averaged
from model.training.validation import Said


@dataclass(frozen=True, slots=True)
class Outcome:
    """`model`: in float32, to be saved. `heard`: of the frames `sides.validation`, none of which the network that
    said it has learned from. `folds`: accuracy by frame and by stream of each fold, or nothing.
    """

    model: keras.Model
    training: Training
    sides: Sides
    heard: Said
    folds: tuple[tuple[float, float], ...] = field(default=())


def held_out(shop: Workshop, model: keras.Model, sides: Sides, refit: bool) -> Outcome:
    """Train `model` on one side, judge it on the other; with `refit` train it anew on both afterwards."""
    trainer = shop.trainer(model, sides.training, sides.validation, "split")
    training = trainer.train()
    heard = _heard(shop, model, sides)
    if refit:
        shop.tell("once more, on all frames:")
        trainer.refit(training.kept)
    return Outcome(_final(shop, model), training, sides, heard)


def crossed(shop: Workshop, model: keras.Model, folds: Sequence[Sides]) -> Outcome:
    """Train and judge once a fold; then train `model` on all frames, for the folds' median epochs."""
    trainings, accuracies, parts = [], [], []
    prepare(shop, model, folds)
    for number, sides in enumerate(folds, start=1):
        shop.tell(f"fold {number} of {len(folds)}: {len(sides.training)} frames, validation: {len(sides.validation)}")
        learner = shop.network()
        trainings.append(shop.trainer(learner, sides.training, sides.validation, f"fold{number}").train())
        heard = _heard(shop, learner, sides)
        parts.append(heard)
        judged = metrics.evaluate(heard.logits, sides.validation, shop.pictures.classes)
        accuracies.append((judged.by_frame, judged.by_stream))
        shop.tell(f"fold {number}: {judged.by_frame:.1%} of frames right, {judged.by_stream:.1%} of streams")
    shop.tell("once more, on all frames:")
    mean = averaged(trainings)
    everything = tuple(shop.pictures.frames)
    shop.trainer(model, everything, (), "all").refit(mean.kept)
    place = {frame: row for row, frame in enumerate(frame for sides in folds for frame in sides.validation)}
    heard = Said.joined(parts, np.array([place[frame] for frame in everything]))
    return Outcome(_final(shop, model), mean, Sides(everything, everything), heard, tuple(accuracies))


def prepare(shop: Workshop, model: keras.Model, folds: Sequence[Sides]) -> None:
    """Make features fold by fold, so that no webcam in a picture to train on shows one to validate with."""
    parts = network.head(model)
    if parts and shop.hardware.strategy is None:
        for sides in folds:
            shop.features.learned(sides.validation, parts[0])


def _heard(shop: Workshop, model: keras.Model, sides: Sides) -> Said:
    """What the model, trained on one side, says of the other."""
    learning = shop.side(sides.training) if shop.settings.unknown_score == LIKENESS else None
    return validation.said(_final(shop, model), shop.side(sides.validation), shop.overlays, learning)


def _final(shop: Workshop, model: keras.Model) -> keras.Model:
    """The model as one device has it, in float32."""
    return network.in_float32(model, anew=shop.hardware.strategy is not None)


def told(folds: Sequence[tuple[float, float]]) -> dict[str, dict[str, object]]:
    """For JSON: mean and spread (standard deviation of the sample) of either accuracy, and each fold's."""
    sides = zip(("by_frame", "by_stream"), zip(*folds, strict=True), strict=True)
    return {
        name: {"mean": float(np.mean(each)), "spread": float(np.std(each, ddof=1)), "folds": list(each)}
        for name, each in sides
    }
