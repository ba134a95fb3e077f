"""Folder evaluation: a model's metrics on an image folder, games included that the model should call unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from typing import Any

import numpy as np

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from data.text import printable
from model.evaluation import image_folder
from model.evaluation.image_folder import LabelledImage
from model.evaluation.metrics import Evaluation, auroc, evaluate
from model.inference.calibration import Calibration, ScoredLogits
from model.inference.classifier import Classifier
from model.inference.probabilities import softmax
from model.terminal.progress import Progress, no_progress


@dataclass(frozen=True, slots=True, eq=False)
class FolderEvaluation:
    """Predictions for the n readable images of a folder, and metrics of them."""

    classes: tuple[Game, ...]  # the model's, in output order
    images: tuple[LabelledImage, ...]
    predictions: ScoredLogits  # in the order of `images`
    known_evaluation: Evaluation  # on the images of known games only
    calibration: Calibration

    @property
    def is_known(self) -> np.ndarray:
        """Whether each image's game is one of the model's classes, bool (n,)."""
        return np.array([image.known_game is not None for image in self.images])

    @property
    def probabilities(self) -> np.ndarray:
        """Probability of each class, float64 (n, classes)."""
        return softmax(self.predictions.logits)

    def top_class(self, index: int) -> Game:
        """Return the most probable class of the image at `index`."""
        return self.classes[int(self.predictions.logits[index].argmax())]

    @property
    def worst_errors(self) -> list[int]:
        """Indices of misclassified images of known games, the lowest probability of the true game first."""
        return np.flatnonzero(self.is_known)[[error.row for error in self.known_evaluation.errors]].tolist()

    def false_accepts(self, count: int) -> list[int]:
        """Return the indices of unknown games' images that were accepted as known, the highest score first."""
        accepted = np.flatnonzero(~self.is_known & self.predictions.known)
        by_score = np.argsort(-self.predictions.scores[accepted], kind="stable")
        return accepted[by_score][:count].tolist()

    def metrics(self) -> dict[str, Any]:
        """Return all metrics, ready for JSON."""
        evaluation = self.known_evaluation
        return {
            "frames": evaluation.frames,
            "streams": evaluation.streams,
            **evaluation.overall_metrics(),
            "unknown": self._unknown_metrics(),
            "games": self.game_metrics(),
            "reliability": [asdict(bin) for bin in evaluation.bins],
            "confusion": {"classes": [asdict(game) for game in self.classes], "counts": evaluation.confusion.tolist()},
            "worst": [
                error.to_json(printable("/".join(self.images[index].path.parts[-2:])))
                for index, error in zip(self.worst_errors, evaluation.errors, strict=True)
            ],
        }

    def game_metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of each game, known games first, ready for JSON."""
        ordered = sorted(self.images, key=lambda image: (not image.known_game, image.game_name))
        games = dict.fromkeys((image.game_name, image.known_game) for image in ordered)  # a set in order
        return [self._game_metrics(name, known_game) for name, known_game in games]

    def _game_metrics(self, name: str, known_game: Game | None) -> dict[str, Any]:
        own = np.array([(image.game_name, image.known_game) == (name, known_game) for image in self.images])  # (n,)
        streams = {image.stream for image in compress(self.images, own)}
        metrics = {"name": name, "known": known_game is not None, "frames": int(own.sum()), "streams": len(streams)}
        if known_game:
            label = self.classes.index(known_game)
            metrics["accuracy_by_frame"] = self.known_evaluation.recall_per_game[label]
            metrics["accuracy_by_stream"] = self.known_evaluation.stream_recall_per_game[label]
        return metrics | {"called_unknown": self._called_unknown(own)[0]}

    def _unknown_metrics(self) -> dict[str, Any]:
        is_known, scores = self.is_known, self.predictions.scores
        known_frames, known_streams = self._called_unknown(is_known)
        other_frames, other_streams = self._called_unknown(~is_known)
        return {
            "frames": int((~is_known).sum()),
            "auroc_by_frame": None if is_known.all() else auroc(scores[is_known], scores[~is_known]),
            "known_called_unknown": known_frames,
            "others_called_unknown": other_frames,
            "known_streams_called_unknown": known_streams,
            "other_streams_called_unknown": other_streams,
        }

    def _called_unknown(self, chosen: np.ndarray) -> tuple[float | None, float | None]:
        """Return the fractions of the chosen frames, bool (n,), and of their streams that are called unknown.

        Streams are judged as recognition does. Without frames, return None for both.
        """
        if not chosen.any():
            return None, None
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row in np.flatnonzero(chosen).tolist():
            rows[self.images[row].game_name, self.images[row].stream].append(row)
        unknown_streams = [not self.calibration.knows_stream(self.predictions.take(own)) for own in rows.values()]
        return float((~self.predictions.known[chosen]).mean()), float(np.mean(unknown_streams))


def evaluate_folder(
    classifier: Classifier, images: Sequence[LabelledImage], progress: Progress = no_progress
) -> FolderEvaluation:
    """Predict and evaluate the images. Raises DatasetError if no readable image shows a game of the model."""
    readable: list[LabelledImage] = []
    batches: list[ScoredLogits] = []
    for batch, pixels in image_folder.iter_batches(images, classifier.img_size, progress):
        readable += batch
        batches.append(classifier.predict(pixels))
    is_known = np.array([image.known_game is not None for image in readable])
    if not is_known.any():
        raise DatasetError("No readable image shows a game of the model. Name the folders as in classes.txt.")
    predictions = ScoredLogits.joined(batches)
    frames = [StoredFrame(image.known_game.id, image.stream, 1) for image in readable if image.known_game]
    known_evaluation = evaluate(predictions.logits[is_known], frames, classifier.classes)
    return FolderEvaluation(classifier.classes, tuple(readable), predictions, known_evaluation, classifier.calibration)
