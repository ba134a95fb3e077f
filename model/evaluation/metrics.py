"""Classification metrics: accuracy by frame and by stream, calibration, confusion matrix, AUROC. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game, StoredFrame
from model.inference.probabilities import log_softmax, softmax

BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, ICML 2017
_TOP = 3


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The frames whose confidence lies in one of BINS equal intervals between 0 and 1; all fields are 0 if empty."""

    frames: int
    confidence: float  # mean, 0 to 1
    accuracy: float  # fraction of the frames that is right


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics on labelled frames. A stream is all frames of one login in one game; accuracies are 0 to 1."""

    frame_accuracy: float
    stream_accuracy: float
    frames: int  # at least 1
    streams: int
    top3_accuracy: float  # fraction of frames whose game is among the three most probable classes
    negative_log_likelihood: float  # mean over the frames, nats
    bins: tuple[CalibrationBin, ...]  # BINS of them, by ascending confidence
    confusion: np.ndarray  # int64 (classes, classes): frames by true class (row) and predicted class (column)
    stream_confusion: np.ndarray  # int64 (classes, classes): streams, in the same layout

    @property
    def recall_per_game(self) -> list[float]:
        """Fraction of each class's frames that was recognised, in label order; NaN for a class without frames."""
        return _recall(self.confusion)

    @property
    def stream_recall_per_game(self) -> list[float]:
        """Fraction of each class's streams that was recognised, in label order; NaN for a class without streams."""
        return _recall(self.stream_confusion)

    @property
    def ece(self) -> float:
        """Expected calibration error: |confidence - accuracy| of the bins, averaged over the frames, 0 to 1."""
        return sum(bin.frames * abs(bin.confidence - bin.accuracy) for bin in self.bins) / self.frames


def evaluate(logits: np.ndarray, frames: Sequence[StoredFrame], classes: Sequence[Game]) -> Evaluation:
    """Evaluate calibrated `logits` (n, classes) of n labelled `frames`, n at least 1.

    A stream's verdict is the class with the largest sum of softmax outputs over the stream's frames, as in
    recognition. Of equally probable classes the first in label order counts.
    """
    labels = frame_labels(frames, classes)  # (n,)
    probabilities = softmax(logits)  # (n, classes)
    true_classes, verdicts = _stream_verdicts(probabilities, frames, labels)
    confusion = _confusion(labels, probabilities.argmax(axis=1), len(classes))
    stream_confusion = _confusion(true_classes, verdicts, len(classes))
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :_TOP]  # (n, 3)
    return Evaluation(
        frame_accuracy=float(np.trace(confusion) / len(labels)),
        stream_accuracy=float(np.trace(stream_confusion) / len(true_classes)),
        frames=len(labels),
        streams=len(true_classes),
        top3_accuracy=float((top == labels[:, None]).any(axis=1).mean()),
        negative_log_likelihood=negative_log_likelihood(logits, labels),
        bins=_calibration_bins(probabilities, labels),
        confusion=confusion,
        stream_confusion=stream_confusion,
    )


def frame_labels(frames: Sequence[StoredFrame], classes: Sequence[Game]) -> np.ndarray:
    """Return each frame's label, int64 (n,): the index of its game in `classes`. Raises KeyError for other games."""
    label_of = {game.id: label for label, game in enumerate(classes)}
    return np.array([label_of[frame.game_id] for frame in frames], np.int64)


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log p(label), nats, as scikit-learn's log_loss and Keras' cross-entropy do."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Return the probability that a known frame's score exceeds an unknown frame's, 0 to 1; NaN if one is empty.

    This is the area under the ROC curve, computed as the Mann-Whitney U statistic. Ties count half.
    """
    if not len(known) or not len(unknown):
        return float("nan")
    ordered = np.sort(unknown)
    # "left" counts the unknown scores below, "right" those below or equal: their mean counts ties half.
    below = np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")
    return float(below.sum() / (2 * len(known) * len(unknown)))


def _stream_verdicts(
    probabilities: np.ndarray, frames: Sequence[StoredFrame], labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each stream's true class and its verdict, both int64 (streams,)."""
    # A login that plays two games counts as two streams.
    keys = {stream: number for number, stream in enumerate(dict.fromkeys((f.game_id, f.login) for f in frames))}
    stream_of_frame = np.array([keys[frame.game_id, frame.login] for frame in frames])  # (n,)
    sums = np.zeros((len(keys), probabilities.shape[1]))  # (streams, classes)
    np.add.at(sums, stream_of_frame, probabilities)
    true_classes = np.zeros(len(keys), np.int64)
    true_classes[stream_of_frame] = labels
    return true_classes, sums.argmax(axis=1)


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)  # unlike counts[...] += 1, it adds repeated pairs
    return counts


def _recall(confusion: np.ndarray) -> list[float]:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN on purpose
        return [float(value) for value in np.diag(confusion) / confusion.sum(axis=1)]


def _calibration_bins(probabilities: np.ndarray, labels: np.ndarray) -> tuple[CalibrationBin, ...]:
    """Sort the frames into BINS; a confidence on the edge of two bins belongs to the lower one (Guo et al.)."""
    confidence = probabilities.max(axis=1)  # (n,)
    is_right = probabilities.argmax(axis=1) == labels
    bin_of_frame = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    masks = [bin_of_frame == number for number in range(BINS)]
    return tuple(
        CalibrationBin(int(mask.sum()), float(confidence[mask].mean()), float(is_right[mask].mean()))
        if mask.any()
        else CalibrationBin(0, 0, 0)
        for mask in masks
    )
