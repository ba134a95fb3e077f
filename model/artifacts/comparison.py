"""Comparison of a converted model's answers with those of the original, by frame and by stream. numpy only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import ModelError
from data.text import plural
from model.inference.calibration import Calibration, ScoredLogits
from model.inference.probabilities import softmax

_UNKNOWN = -1  # instead of a class index
_CONFIDENT = 0.8  # lowest probability of a confident frame
_MAX_DIFFERENT = 0.005  # fraction of the confident, known frames for which a conversion's answer may differ


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a conversion's answers compare with the original's. An answer is a game, or unknown."""

    frames: int
    different_frames: int
    streams: int
    different_streams: int
    confident_frames: int  # that the original calls known, with a probability of at least 0.8
    different_confident_frames: int
    different_known_streams: int  # that the original calls known
    max_logit_difference: float  # the largest absolute one, of calibrated logits

    def require_alike(self, name: str) -> None:
        """Raise ModelError if the answers of the file `name` differ for too many confident frames or a known stream."""
        if self.different_confident_frames > _MAX_DIFFERENT * self.confident_frames or self.different_known_streams:
            raise ModelError(
                f"{name} is not kept: its answer differs for {self.different_confident_frames} of "
                f"{plural(self.confident_frames, 'confident frame')} and {self.different_known_streams} of "
                f"{plural(self.streams, 'stream')}; at most {_MAX_DIFFERENT:.1%} of the frames and no known stream may "
                "differ. Calibrate on frames of more streams with --calibrate-on, or use model.onnx."
            )


def compare(
    calibration: Calibration, original: ScoredLogits, converted: ScoredLogits, streams: Sequence[str]
) -> Comparison:
    """Compare predictions for the same n frames, n at least 1. `streams`: the stream of each frame, (n,)."""
    before, after = _answers(original), _answers(converted)  # (n,)
    rows = [np.flatnonzero(np.array(streams) == name) for name in dict.fromkeys(streams)]
    by_stream = [
        tuple(_stream_answer(calibration, scored.take(own)) for scored in (original, converted)) for own in rows
    ]
    confident = original.known & (softmax(original.logits).max(axis=1) >= _CONFIDENT)  # (n,)
    return Comparison(
        frames=len(before),
        different_frames=int((before != after).sum()),
        streams=len(by_stream),
        different_streams=sum(one != other for one, other in by_stream),
        confident_frames=int(confident.sum()),
        different_confident_frames=int((before != after)[confident].sum()),
        different_known_streams=sum(one not in (other, _UNKNOWN) for one, other in by_stream),
        max_logit_difference=float(np.abs(original.logits - converted.logits).max()),
    )


def predict_in_turn(
    predictors: Sequence[Callable[[np.ndarray], ScoredLogits]], images: np.ndarray
) -> list[tuple[ScoredLogits, float]]:
    """Return each predictor's predictions for `images` (n, H, W, 3), and its median milliseconds for one image.

    They take turns, so that other load slows all of them.
    """
    parts: list[list[ScoredLogits]] = [[] for _ in predictors]
    seconds: list[list[float]] = [[] for _ in predictors]
    for image in images:
        for index, predict in enumerate(predictors):
            started = time.perf_counter()
            parts[index].append(predict(image[None]))
            seconds[index].append(time.perf_counter() - started)
    return [
        (ScoredLogits.joined(own), 1000 * float(np.median(times))) for own, times in zip(parts, seconds, strict=True)
    ]


def _answers(scored: ScoredLogits) -> np.ndarray:
    """Return the class of each frame, or _UNKNOWN: int64 (n,)."""
    return np.where(scored.known, scored.logits.argmax(axis=1), _UNKNOWN)


def _stream_answer(calibration: Calibration, scored: ScoredLogits) -> int:
    """Return the class of the stream with these frames, or _UNKNOWN, as recognition decides."""
    return int(softmax(scored.logits).sum(axis=0).argmax()) if calibration.knows_stream(scored) else _UNKNOWN
