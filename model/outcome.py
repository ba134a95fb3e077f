"""A trained model and what it, or its like, said of frames that were not trained on. Imports Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from data.entities import StoredFrame
from model import evaluation, judging, network
from model.judging import Said
from model.plan import Training, averaged
from model.split import Sides
from model.wiring import Workshop


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
    trainings, accuracies = [], []
    said: dict[StoredFrame, tuple[np.ndarray, float]] = {}
    for number, sides in enumerate(folds, start=1):
        shop.tell(f"fold {number} of {len(folds)}: {len(sides.training)} frames, validation: {len(sides.validation)}")
        learner = shop.network()
        trainings.append(shop.trainer(learner, sides.training, sides.validation, f"fold{number}").train())
        heard = _heard(shop, learner, sides)
        said |= dict(zip(sides.validation, zip(heard.logits, heard.likeness, strict=True), strict=True))
        judged = evaluation.evaluate(heard.logits, sides.validation, shop.pictures.classes)
        accuracies.append((judged.by_frame, judged.by_stream))
        shop.tell(f"fold {number}: {judged.by_frame:.1%} of frames right, {judged.by_stream:.1%} of streams")
    shop.tell("once more, on all frames:")
    mean = averaged(trainings)
    everything = tuple(shop.pictures.frames)
    shop.trainer(model, everything, (), "all").refit(mean.kept)
    logits, likeness = (np.stack(values) for values in zip(*(said[frame] for frame in everything), strict=True))
    return Outcome(_final(shop, model), mean, Sides(everything, everything), Said(logits, likeness), tuple(accuracies))


def _heard(shop: Workshop, model: keras.Model, sides: Sides) -> Said:
    """What the model, trained on one side, says of the other."""
    return judging.said(_final(shop, model), shop.side(sides.training), shop.side(sides.validation))


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
