"""Classification metrics: accuracy by frame and by stream, calibration, confusion matrix, AUROC. numpy only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from data.entities import Game, StoredFrame
from model.inference.probabilities import log_softmax, softmax

BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, ICML 2017
MAX_ERRORS = 18  # three rows of a report's image grid


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The frames whose confidence lies in one of BINS equal intervals between 0 and 1; all fields are 0 if empty."""

    frames: int
    confidence: float  # mean, 0 to 1
    accuracy: float  # fraction of the frames that is right


@dataclass(frozen=True, slots=True)
class UnknownErrors:
    """How streams of known games and of games that the network has never seen are distinguished."""

    streams: int  # of known games
    false_unknown: float  # fraction of them that is called unknown
    unknown_streams: int  # of other games
    missed_unknown: float | None  # fraction of them that is called known; None without such streams
    auroc: float | None  # probability that a known stream has a higher confidence than an unknown one


@dataclass(frozen=True, slots=True)
class FrameError:
    """A frame for which the model named another game."""

    row: int  # among the evaluated frames
    game: Game
    predicted: Game
    confidence: float  # probability of `predicted`, 0 to 1
    probability: float  # of `game`

    def to_json(self, path: str) -> dict[str, object]:
        """Return the error ready for JSON. `path`: of the frame, below the folder of all frames."""
        values = {"game": asdict(self.game), "predicted": asdict(self.predicted)}
        return {"path": path, **values, "confidence": self.confidence, "probability": self.probability}


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
    errors: tuple[FrameError, ...] = ()  # at most MAX_ERRORS, the lowest probability of the true game first
    unknown: UnknownErrors | None = None  # None without a threshold for streams

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

    def overall_metrics(self) -> dict[str, float]:
        """Return the metrics of all classes together, under their keys in metrics.json."""
        return {
            "accuracy_by_frame": self.frame_accuracy,
            "accuracy_by_stream": self.stream_accuracy,
            "top3_by_frame": self.top3_accuracy,
            "nll": self.negative_log_likelihood,
            "ece": self.ece,
        }


def evaluate(logits: np.ndarray, frames: Sequence[StoredFrame], classes: Sequence[Game]) -> Evaluation:
    """Evaluate calibrated `logits` (n, classes) of n labelled `frames`, n at least 1.

    A stream's verdict is the class with the largest sum of softmax outputs over the stream's frames, as in
    recognition. Of equally probable classes the first in label order counts.
    """
    labels = frame_labels(frames, classes)  # (n,)
    probabilities = softmax(logits)  # (n, classes)
    ranked = np.argsort(-probabilities, axis=1, kind="stable")  # (n, classes), labels by descending probability
    sums: dict[tuple[int, str], np.ndarray] = defaultdict(lambda: np.zeros(len(classes)))
    for label, frame, row in zip(labels.tolist(), frames, probabilities, strict=True):
        sums[label, frame.login] += row  # a login that plays two games counts as two streams
    stream_labels = np.array([label for label, _ in sums])  # (streams,)
    confusion = _confusion(labels, ranked[:, 0], len(classes))
    stream_confusion = _confusion(stream_labels, np.argmax(list(sums.values()), axis=1), len(classes))
    return Evaluation(
        frame_accuracy=float(np.trace(confusion) / len(labels)),
        stream_accuracy=float(np.trace(stream_confusion) / len(sums)),
        frames=len(labels),
        streams=len(sums),
        top3_accuracy=float((ranked[:, :3] == labels[:, None]).any(axis=1).mean()),
        negative_log_likelihood=negative_log_likelihood(logits, labels),
        bins=_calibration_bins(probabilities.max(axis=1), ranked[:, 0] == labels),
        confusion=confusion,
        stream_confusion=stream_confusion,
        errors=_worst_errors(probabilities, labels, classes),
    )


def _worst_errors(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[Game]) -> tuple[FrameError, ...]:
    """Return the misclassified frames with the lowest `probabilities` (n, classes) of their `labels` (n,)."""
    predicted, of_label = probabilities.argmax(axis=1), probabilities[np.arange(len(labels)), labels]  # (n,), (n,)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(of_label[wrong], kind="stable")][:MAX_ERRORS].tolist()
    return tuple(
        FrameError(
            row=row,
            game=classes[labels[row]],
            predicted=classes[predicted[row]],
            confidence=float(probabilities[row, predicted[row]]),
            probability=float(of_label[row]),
        )
        for row in worst
    )


def frame_labels(frames: Sequence[StoredFrame], classes: Sequence[Game]) -> np.ndarray:
    """Return each frame's label, int64 (n,): the index of its game in `classes`. Raises KeyError for other games."""
    label_of = {game.id: label for label, game in enumerate(classes)}
    return np.array([label_of[frame.game_id] for frame in frames], np.int64)


def rows_by_stream(frames: Sequence[StoredFrame]) -> dict[tuple[int, str], list[int]]:
    """Return the rows of each stream's frames, by game id and login; streams in the order of their first frames."""
    rows: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row, frame in enumerate(frames):
        rows[frame.game_id, frame.login].append(row)
    return rows


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log p(label), nats, as scikit-learn's log_loss and Keras' cross-entropy do."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def unknown_errors(
    known: np.ndarray, unknown: np.ndarray, threshold: float, known_to_other_head: np.ndarray
) -> UnknownErrors:
    """Count the errors of a threshold for the confidences of known streams (n,) and unknown ones (m,), n above 0.

    known_to_other_head: known streams' confidences by the head that gave those of `unknown`, (k,). The AUROC compares
    these two, because confidences depend on the number of games.
    """
    measured = len(unknown) > 0
    return UnknownErrors(
        streams=len(known),
        false_unknown=float((known < threshold).mean()),
        unknown_streams=len(unknown),
        missed_unknown=float((unknown >= threshold).mean()) if measured else None,
        auroc=auroc(known_to_other_head, unknown) if measured else None,
    )


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


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _recall(confusion: np.ndarray) -> list[float]:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN on purpose
        return (np.diag(confusion) / confusion.sum(axis=1)).tolist()


def _calibration_bins(confidence: np.ndarray, is_right: np.ndarray) -> tuple[CalibrationBin, ...]:
    """Sort n frames into BINS; a confidence on the edge of two bins belongs to the lower one (Guo et al.)."""
    bin_of_frame = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)  # (n,)
    frames = np.bincount(bin_of_frame, minlength=BINS)  # (BINS,)
    confidences, accuracies = (
        np.bincount(bin_of_frame, values, BINS) / np.maximum(frames, 1) for values in (confidence, is_right)
    )
    return tuple(map(CalibrationBin, frames.tolist(), confidences.tolist(), accuracies.tolist()))
