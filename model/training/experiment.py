"""Experiment: hold-out validation or cross-validation, and the model to save. Imports Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from model.datasets.split import Split
from model.evaluation import metrics
from model.inference.calibration import FEATURE_SIMILARITY
from model.networks import network
from model.training import left_out, validation
from model.training.factories import TrainingContext
from model.training.plan import TrainingHistory, mean_history
from model.training.validation import ValidationPredictions


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of an experiment."""

    model: keras.Model  # to save, in float32
    history: TrainingHistory  # of several folds, their mean
    split: Split  # after folds an exception: both parts hold all frames, since each is trained on and validated once
    predictions: ValidationPredictions  # of split.validation, each by a network that did not train on that frame
    folds: tuple[tuple[float, float], ...] = ()  # accuracies by frame and by stream, 0 to 1; () without folds


def train_with_holdout(
    context: TrainingContext, model: keras.Model, split: Split, refit: bool, fold: int = 0
) -> TrainingResult:
    """Train `model` on the training frames and predict the held-out ones; with `refit` retrain it on both then.

    fold: number of the split, from 0, of several: each one's second head leaves out other games.
    """
    trainer = context.make_trainer(model, split.training, split.validation, "split")
    history = trainer.train()
    predictions = _predict(context, model, split, fold)  # before the refit, which trains on these frames too
    if refit:
        context.log("retraining on all frames:")
        trainer.refit(history.best_epochs)
        predictions = replace(predictions, head=None)  # of the model before
    return TrainingResult(_final(context, model), history, split, predictions)


def cross_validate(context: TrainingContext, model: keras.Model, folds: Sequence[Split]) -> TrainingResult:
    """Train and predict once per fold, then train `model` on all frames for the median of the folds' best epochs."""
    histories, accuracies, parts = [], [], []
    precompute_features(context, model, folds)
    for number, split in enumerate(folds, start=1):
        context.log(f"fold {number} of {len(folds)}: {len(split.training)} frames, validation: {len(split.validation)}")
        fold_model = context.make_network()  # the same initial weights in each fold
        trainer = context.make_trainer(fold_model, split.training, split.validation, f"fold{number}")
        histories.append(trainer.train())
        parts.append(_predict(context, fold_model, split, number - 1))
        evaluation = metrics.evaluate(parts[-1].logits, split.validation, context.dataset.classes)
        accuracies.append((evaluation.frame_accuracy, evaluation.stream_accuracy))
        context.log(
            f"fold {number}: {evaluation.frame_accuracy:.1%} of frames, "
            f"{evaluation.stream_accuracy:.1%} of streams correct"
        )
    context.log("retraining on all frames:")
    history = mean_history(histories)
    everything = tuple(context.dataset.frames)
    context.make_trainer(model, everything, (), "all").refit(history.best_epochs)
    # Every frame validates in one fold: bring the folds' predictions into the order of `everything`.
    row_of = {frame: row for row, frame in enumerate(frame for split in folds for frame in split.validation)}
    predictions = ValidationPredictions.joined(parts, np.array([row_of[frame] for frame in everything]))
    overlapping = Split(everything, everything)
    return TrainingResult(_final(context, model), history, overlapping, predictions, tuple(accuracies))


def precompute_features(context: TrainingContext, model: keras.Model, folds: Sequence[Split]) -> None:
    """Compute the cached features fold by fold: then a webcam overlay never shows a frame of another fold."""
    parts = network.split_head(model)
    if parts and context.hardware.strategy is None:  # only then does a trainer use the cache
        for split in folds:
            context.feature_cache.training_set(split.validation, parts[0])


def _predict(context: TrainingContext, model: keras.Model, split: Split, fold: int) -> ValidationPredictions:
    """Predict the validation frames with `model`, and streams of unknown games with a second head."""
    predictions = validation.predict_validation(
        _final(context, model),
        context.subset(split.validation),
        context.overlays,
        context.subset(split.training),
        context.progress,
        similar=context.settings.unknown_score == FEATURE_SIMILARITY,
    )
    return replace(predictions, left_out=left_out.predict_left_out(context, split, fold))


def _final(context: TrainingContext, model: keras.Model) -> keras.Model:
    """Return the model on one device, in float32."""
    return network.as_float32(model, copy=context.hardware.strategy is not None)


def fold_statistics(folds: Sequence[tuple[float, float]]) -> dict[str, dict[str, object]]:
    """Return mean, sample standard deviation (key "spread") and values of both accuracies, ready for JSON."""
    by_frame, by_stream = zip(*folds, strict=True)
    return {
        name: {"mean": float(np.mean(values)), "spread": float(np.std(values, ddof=1)), "folds": list(values)}
        for name, values in (("by_frame", by_frame), ("by_stream", by_stream))
    }
