"""Unknown streams: how many streams of known games are called unknown, and how many of left-out games are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from data.entities import StoredFrame
    from model.datasets.split import Split
    from model.inference.calibration import Calibration
    from model.training.factories import TrainingContext
    from model.training.validation import ValidationPredictions


def calibrations(
    context: TrainingContext, folds: Sequence[Split], parts: Sequence[ValidationPredictions]
) -> list[Calibration]:
    """Return a calibration for each fold, fitted as model.create does, but to the predictions of all other folds."""
    from model.training import validation
    from model.training.validation import ValidationPredictions

    fitted = []
    for fold in range(len(folds)):
        others = [number for number in range(len(folds)) if number != fold]
        frames = [frame for number in others for frame in folds[number].validation]
        predictions = ValidationPredictions.joined([parts[number] for number in others], np.arange(len(frames)))
        calibration, _evaluation = validation.calibrate_and_evaluate(
            predictions,
            frames,
            context.dataset.classes,
            unknown_fraction=context.settings.unknown_fraction,
            score=context.settings.unknown_score,
        )
        fitted.append(calibration)
    return fitted


class StreamCounter:
    """Counts the streams that are called unknown: by the whole stream, and as older models do, by most frames."""

    def __init__(self) -> None:
        self.streams = self.unknown = self.unknown_by_frames = 0
        self.confidences: list[float] = []

    def add(self, calibration: Calibration, logits: np.ndarray, frames: Sequence[StoredFrame]) -> None:
        """Add the streams of these frames, by their logits (n, classes)."""
        from model.evaluation.metrics import rows_by_stream
        from model.inference.calibration import stream_confidence

        scored = calibration.score(logits, np.empty(0))  # for scores of logits, which need no features
        for own in rows_by_stream(frames).values():
            stream = scored.take(own)
            self.streams += 1
            self.unknown += not calibration.knows_stream(stream)
            self.unknown_by_frames += not replace(calibration, stream_threshold=None).knows_stream(stream)
            self.confidences.append(stream_confidence(stream.logits))

    def false_unknown(self) -> dict[str, str]:
        """Return how many of the streams, which show known games, are called unknown."""
        counts = {"false_unknown": self.unknown, "false_unknown_by_frames": self.unknown_by_frames}
        return {name: f"{count}/{self.streams}" for name, count in counts.items()}

    def missed_unknown(self) -> dict[str, str]:
        """Return how many of the streams, which show other games, are called known."""
        counts = {"missed_unknown": self.unknown, "missed_unknown_by_frames": self.unknown_by_frames}
        return {name: f"{self.streams - count}/{self.streams}" for name, count in counts.items()}
