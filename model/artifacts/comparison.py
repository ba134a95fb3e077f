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
_CONFIDENT = 0.8  # lowest probability of the frames that a conversion must answer as the original does
_MAX_DIFFERENT = 0.005  # fraction of these frames that it may answer otherwise


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
        """Raise ModelError if `name` answers too many confident frames, or any known stream, otherwise."""
        if self.different_confident_frames > _MAX_DIFFERENT * self.confident_frames or self.different_known_streams:
            raise ModelError(
                f"{name} is not kept: {self.different_confident_frames} of {plural(self.confident_frames, 'frame')} "
                f"that are known and certain, and {self.different_known_streams} of {plural(self.streams, 'stream')}, "
                f"are answered otherwise; allowed are {_MAX_DIFFERENT:.1%} of frames and no stream. Calibrate on "
                "frames of more streams with --calibrate-on, or go on without it: recognition then uses model.onnx."
            )


def compare(
    calibration: Calibration, original: ScoredLogits, converted: ScoredLogits, streams: Sequence[str]
) -> Comparison:
    """Compare predictions for the same n frames, n at least 1. `streams`: the stream of each frame, (n,)."""
    before, after = _answers(original), _answers(converted)  # (n,)
    by_stream = [
        tuple(_stream_answer(calibration, scored, np.array(streams) == name) for scored in (original, converted))
        for name in dict.fromkeys(streams)
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
    fields = "logits", "scores", "known"
    scored = [
        ScoredLogits(*(np.concatenate([getattr(part, name) for part in own]) for name in fields)) for own in parts
    ]
    return [(own, 1000 * float(np.median(times))) for own, times in zip(scored, seconds, strict=True)]


def _answers(scored: ScoredLogits) -> np.ndarray:
    """Return the class of each frame, or _UNKNOWN: int64 (n,)."""
    return np.where(scored.known, scored.logits.argmax(axis=1), _UNKNOWN)


def _stream_answer(calibration: Calibration, scored: ScoredLogits, own: np.ndarray) -> int:
    """Return the class of the stream whose frames are `own`, bool (n,), or _UNKNOWN, as recognition decides."""
    frames = ScoredLogits(scored.logits[own], scored.scores[own], scored.known[own])
    return int(softmax(frames.logits).sum(axis=0).argmax()) if calibration.knows_stream(frames) else _UNKNOWN
