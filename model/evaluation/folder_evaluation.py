"""A model on trial: its answers on a gallery's pictures. Of games that are none of its classes it should say so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.entities import Game
from data.errors import DatasetError
from model.evaluation import image_folder, metrics
from model.evaluation.image_folder import Picture
from model.evaluation.metrics import Evaluation
from model.inference.calibration import Judged
from model.inference.classifier import Classifier


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """`pictures`, as many as could be read, and what was `judged` of them, in the same order.

    `evaluation`: of those of known games.
    """

    classes: tuple[Game, ...]
    pictures: tuple[Picture, ...]
    judged: Judged
    evaluation: Evaluation

    @property
    def familiar(self) -> np.ndarray:
        """bool (n,): whether the picture's game is one of the model's."""
        return np.array([picture.known is not None for picture in self.pictures])

    @property
    def auroc(self) -> float:
        """How often a known game's picture scores above another's; NaN where there are no others."""
        return metrics.auroc(self.judged.scores[self.familiar], self.judged.scores[~self.familiar])

    @property
    def confidence(self) -> np.ndarray:
        """float64 (n,): the probability of the most probable class."""
        return np.exp(metrics.log_softmax(self.judged.logits)).max(axis=1)

    def answer(self, number: int) -> Game:
        """The most probable class of a picture."""
        return self.classes[int(self.judged.logits[number].argmax())]

    def worst(self, count: int) -> list[int]:
        """The pictures of known games that the model is most wrong about, the worst first.

        By the probability that their own game has; none whose answer is right.
        """
        likelihood = np.exp(metrics.log_softmax(self.judged.logits))
        own = {
            number: likelihood[number, self.classes.index(picture.known)]
            for number, picture in enumerate(self.pictures)
            if picture.known and self.answer(number) != picture.known
        }
        return sorted(own, key=lambda number: own[number])[:count]

    def mistaken(self, count: int) -> list[int]:
        """The pictures of other games that pass for known ones, those with the highest score first."""
        passed = np.flatnonzero(~self.familiar & self.judged.known)
        return [int(number) for number in passed[np.argsort(-self.judged.scores[passed], kind="stable")][:count]]

    def games(self) -> list[dict[str, Any]]:
        """Each game of the gallery, known ones first, ready for JSON."""
        names = dict.fromkeys((p.game, p.known) for p in sorted(self.pictures, key=lambda p: (not p.known, p.game)))
        return [self._game(name, known) for name, known in names]

    def _game(self, name: str, known: Game | None) -> dict[str, Any]:
        mine = np.array([(p.game, p.known) == (name, known) for p in self.pictures])
        figures = {"name": name, "known": known is not None, "frames": int(mine.sum())}
        figures["streams"] = len({p.stream for p, is_mine in zip(self.pictures, mine, strict=True) if is_mine})
        if known:
            label = self.classes.index(known)
            figures["accuracy_by_frame"] = self.evaluation.per_game[label]
            figures["accuracy_by_stream"] = self.evaluation.per_game_streams[label]
        return figures | {"called_unknown": float(1 - self.judged.known[mine].mean())}

    def streams_called_unknown(self, familiar: bool) -> float | None:
        """The share of the known games' streams, or of the others', more than half of whose frames are unknown.

        As in recognition. None where there are none.
        """
        votes: dict[tuple[str, str], list[bool]] = {}
        for picture, known in zip(self.pictures, self.judged.known, strict=True):
            if (picture.known is not None) == familiar:
                votes.setdefault((picture.game, picture.stream), []).append(not known)
        return float(np.mean([2 * sum(each) > len(each) for each in votes.values()])) if votes else None

    def figures(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        judged, known = self.evaluation, self.judged.known
        return {
            "frames": judged.frames,
            "streams": judged.streams,
            "accuracy_by_frame": judged.by_frame,
            "accuracy_by_stream": judged.by_stream,
            "top3_by_frame": judged.top3,
            "nll": judged.nll,
            "ece": judged.ece,
            "unknown": {
                "frames": int((~self.familiar).sum()),
                "auroc_by_frame": None if math.isnan(self.auroc) else self.auroc,
                "known_called_unknown": float(1 - known[self.familiar].mean()),
                "others_called_unknown": None if self.familiar.all() else float(1 - known[~self.familiar].mean()),
                "known_streams_called_unknown": self.streams_called_unknown(familiar=True),
                "other_streams_called_unknown": self.streams_called_unknown(familiar=False),
            },
            "games": self.games(),
            "reliability": [asdict(step) for step in judged.bins],
            "confusion": {"classes": [asdict(game) for game in self.classes], "counts": judged.confusion.tolist()},
        }


def run(classifier: Classifier, pictures: Sequence[Picture]) -> Trial:
    """Judge the pictures. Raises DatasetError: none that can be read is of a game that the model knows."""
    read: list[Picture] = []
    parts: list[Judged] = []
    for batch, pixels in image_folder.batches(pictures, classifier.img_size):
        read += batch
        parts.append(classifier.judge(pixels))
    known = [picture.known is not None for picture in read]
    if not any(known):
        raise DatasetError("None of the pictures shows a game that the model knows: name folders as in classes.txt.")
    judged = Judged(*(_joined(getattr(part, name) for part in parts) for name in ("logits", "scores", "known")))
    frames = [picture.frame for picture in read if picture.known]
    mine = metrics.evaluate(judged.logits[np.array(known)], frames, classifier.classes)
    return Trial(classifier.classes, tuple(read), judged, mine)


def _joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays))
