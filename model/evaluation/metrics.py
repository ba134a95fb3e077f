"""How good the model is on streamers that it never saw: numpy in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game, StoredFrame

BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, ICML 2017
_TOP = 3


@dataclass(frozen=True, slots=True)
class Bin:
    """The frames whose confidence lies in one of the equal steps from 0 to 1.

    `confidence`: their mean; `accuracy`: the share of them that is right; both 0 where `frames` is.
    """

    frames: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracies are 0 to 1. A stream is all frames of one login in one game.

    `top3`: the share of frames whose game is among the three most probable. `nll`: mean negative log-likelihood
    of the frames' own games, nats. `bins`: BINS of them, from confidence 0 to 1. `confusion`: int64 (classes,
    classes), frames by true class (row) and predicted class (column); `stream_confusion`: streams, likewise.
    """

    by_frame: float
    by_stream: float
    frames: int
    streams: int
    top3: float
    nll: float
    bins: tuple[Bin, ...]
    confusion: np.ndarray
    stream_confusion: np.ndarray

    @property
    def per_game(self) -> list[float]:
        """Each class's share of frames that were recognised, in label order; NaN for a class without any."""
        return _recall(self.confusion)

    @property
    def per_game_streams(self) -> list[float]:
        """The same of streams."""
        return _recall(self.stream_confusion)

    @property
    def ece(self) -> float:
        """Expected calibration error: how far confidence and accuracy lie apart in a bin, meant over the frames."""
        return sum(step.frames * abs(step.confidence - step.accuracy) for step in self.bins) / self.frames


def evaluate(logits: np.ndarray, frames: Sequence[StoredFrame], classes: Sequence[Game]) -> Evaluation:
    """Judge `logits` (frames, classes), of at least one frame, over the temperature that the model has.

    A stream's verdict is the class with the largest sum of softmax outputs over its frames, as in
    recognition. Equally probable classes count in label order.
    """
    labels = labels_of(frames, classes)
    probabilities = np.exp(log_softmax(logits))
    truths, verdicts = _streams(probabilities, frames, labels)
    confusion = _counts(labels, probabilities.argmax(axis=1), len(classes))
    stream_confusion = _counts(truths, verdicts, len(classes))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :_TOP]
    return Evaluation(
        by_frame=float(np.trace(confusion) / len(labels)),
        by_stream=float(np.trace(stream_confusion) / len(truths)),
        frames=len(labels),
        streams=len(truths),
        top3=float((best == labels[:, None]).any(axis=1).mean()),
        nll=nll(logits, labels),
        bins=_bins(probabilities, labels),
        confusion=confusion,
        stream_confusion=stream_confusion,
    )


def labels_of(frames: Sequence[StoredFrame], classes: Sequence[Game]) -> np.ndarray:
    """int64 (frames,): the place of each frame's game in `classes`. Raises KeyError: it is none of them."""
    place = {game.id: label for label, game in enumerate(classes)}
    return np.array([place[frame.game_id] for frame in frames], np.int64)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, float64, along the last axis; safe for any finite values."""
    raised = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return raised - np.log(np.exp(raised).sum(axis=-1, keepdims=True))


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of `labels`, nats: scikit-learn's log_loss, Keras' cross-entropy."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """How often a known frame's score is above an unknown one's, 0 to 1; ties count half. NaN if one is empty.

    The area under the ROC curve, as the Mann-Whitney U statistic over the pairs.
    """
    if not len(known) or not len(unknown):
        return float("nan")
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")
    return float(below.sum() / (2 * len(known) * len(unknown)))


def _streams(
    probabilities: np.ndarray, frames: Sequence[StoredFrame], labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each stream's true and predicted class, int64 (streams,) both."""
    keys = {stream: number for number, stream in enumerate(dict.fromkeys((f.game_id, f.login) for f in frames))}
    numbers = np.array([keys[frame.game_id, frame.login] for frame in frames])
    sums = np.zeros((len(keys), probabilities.shape[1]))
    np.add.at(sums, numbers, probabilities)
    truths = np.zeros(len(keys), np.int64)
    truths[numbers] = labels
    return truths, sums.argmax(axis=1)


def _counts(truths: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truths, predicted), 1)
    return counts


def _recall(counts: np.ndarray) -> list[float]:
    with np.errstate(invalid="ignore"):
        return [float(value) for value in np.diag(counts) / counts.sum(axis=1)]


def _bins(probabilities: np.ndarray, labels: np.ndarray) -> tuple[Bin, ...]:
    """A confidence on the edge of two bins belongs to the lower one, as in Guo et al."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    inside = [numbers == number for number in range(BINS)]
    return tuple(
        Bin(int(mask.sum()), float(confidence[mask].mean()), float(right[mask].mean())) if mask.any() else Bin(0, 0, 0)
        for mask in inside
    )
