"""Validation: predictions for held-out frames, the calibration fitted to them, and their evaluation. Imports Keras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from data.entities import Game, StoredFrame
from model.augmentation.pipeline import Augmentation
from model.datasets.image_dataset import ImageDataset
from model.evaluation import metrics
from model.evaluation.metrics import Evaluation
from model.evaluation.stream_answers import sampled_streams
from model.inference import calibration, feature_similarity
from model.inference.calibration import FEATURE_SIMILARITY, LOGIT_SCORES, Calibration, ScoredLogits
from model.inference.feature_similarity import FeatureSimilarity
from model.inference.screens import ScreenHead
from model.networks import network
from model.terminal.progress import Advance, Progress, no_progress
from model.training import screen_head
from model.training.callbacks import BatchProgress

_BLANK_SCREENS = 9  # brightnesses from black to white
_ROUNDING = 0.2  # of a score by another runtime or 8-bit integers
_MAX_SIMILARITY_FRAMES = 200  # of each game, from all its streamers: predicting them is short compared to an epoch


@dataclass(frozen=True, slots=True, eq=False)
class LeftOutStreams:
    """Confidences of streams, by a head that trained without a part of the games."""

    known: np.ndarray  # validation streams of the head's games, float64 (n,)
    unknown: np.ndarray  # streams of the other games, float64 (m,)


NO_STREAMS = LeftOutStreams(np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class ValidationPredictions:
    """Predictions for n frames by a network that did not train on them.

    Predictions of several networks, each for other frames, may be joined: logits and similarities have a common scale.
    """

    logits: np.ndarray  # float32 (n, classes)
    similarity_scores: np.ndarray  # of the features to those of training frames, float64 (n,); zeros if not computed
    augmented: ValidationPredictions | None = None  # for the same frames with overlays
    left_out: LeftOutStreams = NO_STREAMS
    screens: np.ndarray | None = None  # margins of a screen head, not calibrated, float64 (n, kinds)
    drawn: np.ndarray | None = None  # largest margins of drawn screens, not calibrated, float64 (m, kinds)
    head: ScreenHead | None = None  # that gave the margins, not calibrated; None of several networks

    @classmethod
    def joined(cls, parts: Sequence[ValidationPredictions], rows: np.ndarray) -> ValidationPredictions:
        """Concatenate predictions; reorder those for frames: result i is row `rows[i]` of all, int64 (n,)."""
        logits = np.concatenate([part.logits for part in parts])[rows]
        similarity_scores = np.concatenate([part.similarity_scores for part in parts])[rows]
        augmented = [part.augmented for part in parts if part.augmented]
        left_out = LeftOutStreams(
            np.concatenate([part.left_out.known for part in parts]),
            np.concatenate([part.left_out.unknown for part in parts]),
        )
        screens, drawn = (_joined([getattr(part, name) for part in parts]) for name in ("screens", "drawn"))
        return cls(
            logits,
            similarity_scores,
            cls.joined(augmented, rows) if augmented else None,
            left_out,
            None if screens is None else screens[rows],
            drawn,
        )

    @property
    def screen_threshold(self) -> float:
        """Return the margin above which a frame shows a screen; nan without a screen head."""
        margins = [part.screens for part in (self, self.augmented) if part and part.screens is not None]
        return screen_head.threshold(margins) if margins else math.nan

    def scored(self, calibration: Calibration) -> ScoredLogits:
        """Return the frames' predictions with this calibration, as the models that gave these would return them."""
        screens = None if self.screens is None else self.screens - self.screen_threshold
        logits, logit_score = calibration.scale(self.logits), LOGIT_SCORES.get(calibration.score_name)
        scores = logit_score(logits) if logit_score else self.similarity_scores
        return ScoredLogits(logits, scores, scores >= calibration.threshold, screens)


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if len(present) == len(parts) else None


def predict_validation(
    model: keras.Model,
    dataset: ImageDataset,
    augmentation: Augmentation,
    training_set: ImageDataset | None = None,
    progress: Progress = no_progress,
    *,
    similar: bool = True,
) -> ValidationPredictions:
    """Predict the frames of `dataset`, in their order, and again with `augmentation` if it does anything.

    `model`: in float32. `training_set`: what the model trained on, for a screen head and, if `similar`, similarities.
    """
    with_features = network.add_feature_output(model)  # once: Keras traces a model in its first prediction
    similarity = _fit_similarity(with_features, training_set) if training_set and similar else None
    head = screen_head.fit(with_features, training_set, augmentation) if training_set else None
    inputs = [dataset.batches()]
    if augmentation:
        inputs.append(dataset.augmented_batches(np.arange(len(dataset.frames)), augmentation))
    with progress("validation", len(inputs) * math.ceil(len(dataset.frames) / dataset.batch_size)) as advance:
        plain, *augmented = (_predict(with_features, batches, similarity, head, advance) for batches in inputs)
    drawn = screen_head.measure(with_features, head, training_set) if head and training_set else None
    return replace(plain, drawn=drawn, head=head, augmented=augmented[0] if augmented else None)


def _predict(
    with_features: keras.Model,
    batches: Any,
    similarity: FeatureSimilarity | None,
    head: ScreenHead | None,
    advance: Advance,
) -> ValidationPredictions:
    counter = BatchProgress(advance)
    logits, features = with_features.predict(batches, verbose=0, callbacks=[counter])  # (n, classes), (n, d)
    scores = similarity.scores(features) if similarity else np.zeros(len(logits))
    return ValidationPredictions(logits, scores, screens=head.margins(features) if head else None)


def calibrate_and_evaluate(
    predictions: ValidationPredictions,
    frames: Sequence[StoredFrame],
    classes: Sequence[Game],
    *,
    unknown_fraction: float,
    score: str,
) -> tuple[Calibration, Evaluation]:
    """Fit temperature and thresholds to the predictions for `frames`, then evaluate them with that calibration.

    `unknown_fraction`, `score`: the settings UNKNOWN_FRACTION and UNKNOWN_SCORE.
    """
    labels = metrics.frame_labels(frames, classes)  # (n,)
    # Streams show both: plain frames, and frames with overlays.
    both = [predictions, *([predictions.augmented] if predictions.augmented else [])]
    logits = np.concatenate([part.logits for part in both])  # (n or 2n, classes)
    similarity_scores = np.concatenate([part.similarity_scores for part in both])
    fitted = calibration.fit(
        logits, similarity_scores, np.tile(labels, len(both)), unknown_fraction=unknown_fraction, score_name=score
    )
    evaluation = metrics.evaluate(fitted.scale(predictions.logits), frames, classes)
    if not unknown_fraction:
        return fitted, evaluation
    streams = [stream_confidences(fitted.scale(part.logits), frames) for part in both]
    left_out = predictions.left_out
    threshold = calibration.fit_stream_threshold(np.concatenate(streams), left_out.unknown, unknown_fraction / 2)
    errors = metrics.unknown_errors(streams[0], left_out.unknown, threshold, left_out.known)
    return replace(fitted, stream_threshold=threshold), replace(evaluation, unknown=errors)


def stream_confidences(logits: np.ndarray, frames: Sequence[StoredFrame]) -> np.ndarray:
    """Return the confidence of each stream, float64 (streams,), from the scaled `logits` (n, classes) of its frames."""
    return np.array([calibration.stream_confidence(logits[own]) for own in sampled_streams(frames).values()])


def reject_blank_screens(fitted: Calibration, model: keras.Model) -> Calibration:
    """Raise the threshold of frames so far that `model`, in float32, calls black, grey and white screens unknown.

    Fine-tuning sees no synthetic negatives, and forgets some of what the head had learnt from them.
    """
    if not math.isfinite(fitted.threshold):
        return fitted
    levels = np.linspace(0, 255, _BLANK_SCREENS).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (_BLANK_SCREENS, *model.input_shape[1:]))
    # Without a graph, which takes longer to trace than nine images do: (n, classes), (n, d)
    logits, features = map(np.asarray, network.add_feature_output(model)(images, training=False))
    above = float(fitted.score(logits, features).scores.max()) + _ROUNDING
    return replace(fitted, threshold=max(fitted.threshold, above))


def with_similarity(fitted: Calibration, model: keras.Model, training_set: ImageDataset) -> Calibration:
    """Add the similarity of `model`, in float32 and trained on `training_set`, if the score needs it."""
    if fitted.score_name != FEATURE_SIMILARITY:
        return fitted
    return replace(fitted, similarity=_fit_similarity(network.add_feature_output(model), training_set))


def with_screens(
    fitted: Calibration,
    model: keras.Model,
    training_set: ImageDataset,
    augmentation: Augmentation,
    predictions: ValidationPredictions,
) -> Calibration:
    """Add the screen head of `model`, in float32 and trained on `training_set`, calibrated by `predictions`.

    That of the predictions if they have one: they are the model's own.
    """
    if predictions.screens is None:
        return fitted
    head = predictions.head or screen_head.fit(network.add_feature_output(model), training_set, augmentation)
    return replace(fitted, screens=head.shifted(-predictions.screen_threshold))


def _fit_similarity(with_features: keras.Model, training_set: ImageDataset) -> FeatureSimilarity:
    """Fit the statistics of each game's features to some of its training frames."""
    subset = training_set.sample_of_each_class(_MAX_SIMILARITY_FRAMES)
    _logits, features = with_features.predict(subset.batches(), verbose=0)  # (n, classes), (n, d)
    return feature_similarity.fit(features, subset.labels, len(subset.classes))
