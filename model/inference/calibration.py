"""Calibration: the temperature of the logits, and thresholds below which frames and streams are unknown. NumPy only.

Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Energy: Liu et al.,
Energy-based Out-of-distribution Detection, NeurIPS 2020. Maximum logit: Hendrycks et al., ICML 2022. The fourth score,
feature similarity, reads the network's features instead of its logits: model.inference.feature_similarity.

A stream is judged as a whole, because its frames share the evidence: by the winner's mean probability over the frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.errors import ModelError
from model.inference.feature_similarity import FeatureSimilarity
from model.inference.probabilities import softmax
from model.inference.screens import ScreenHead

_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0
_BISECTIONS = 40  # log(20 / 0.05) / 2**40 is below 1e-11

# Functions of logits (n, classes): a score, float64 (n,), is high for frames of known games and low for all others.
LOGIT_SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "energy": lambda logits: np.logaddexp.reduce(logits.astype(np.float64), axis=-1),  # Liu's negative energy
    "max_logit": lambda logits: logits.max(axis=-1).astype(np.float64),
    "max_probability": lambda logits: softmax(logits).max(axis=-1),  # the confidence, 0 to 1
}
FEATURE_SIMILARITY = "feature_similarity"
# A sure answer for a stream, which may contradict its streamer. On streams of games that a model does not know, one of
# the two is usually missing; recordings of known games have both.
SURE_CONFIDENCE = 0.95  # least mean probability of the game
SURE_KNOWN = 0.75  # least fraction of known frames
_STREAM_THRESHOLD = "unknown_stream_threshold"  # metadata key
_SCREENS = "screens"  # metadata key
_STORED_SIMILARITY = "likeness"  # the metadata key of its arrays, and the score's name in older models


@dataclass(frozen=True, slots=True)
class ScoredLogits:
    """Calibrated predictions of n frames."""

    logits: np.ndarray  # divided by the temperature, float64 (n, classes)
    scores: np.ndarray  # high for known games, float64 (n,)
    known: np.ndarray  # whether the score reaches the threshold, bool (n,)
    screens: np.ndarray | None = None  # margins of SCREEN_KINDS over gameplay, float64 (n, kinds); None: no such head

    @classmethod
    def joined(cls, parts: Sequence[ScoredLogits]) -> ScoredLogits:
        """Concatenate predictions, at least one."""
        fields = ["logits", "scores", "known", *([] if any(part.screens is None for part in parts) else ["screens"])]
        return cls(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))

    def take(self, rows: Sequence[int] | np.ndarray | slice) -> ScoredLogits:
        """Return the predictions of the frames at these rows."""
        screens = None if self.screens is None else self.screens[rows]
        return ScoredLogits(self.logits[rows], self.scores[rows], self.known[rows], screens)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration stored with a model. The defaults leave logits unchanged and call every frame known."""

    temperature: float = 1.0  # divisor of the logits, above 0
    score_name: str = "energy"  # a key of LOGIT_SCORES, or FEATURE_SIMILARITY
    threshold: float = -math.inf  # frames with a lower score are unknown
    unknown_fraction: float = 0.0  # of the validation frames below the threshold when it was fitted, 0 to 1
    similarity: FeatureSimilarity | None = None  # needed by FEATURE_SIMILARITY only
    # Streams of a lower `stream_confidence` are unknown, 0 to 1. None, as in older models: if most frames are unknown.
    stream_threshold: float | None = None
    screens: ScreenHead | None = None  # None in older models, and in models without training frames

    @property
    def feature_widths(self) -> set[int]:
        """Return the numbers of features that its parts expect; a valid calibration has one, or none."""
        widths = [self.similarity.means.shape[1]] if self.similarity else []
        return {*widths, *([len(self.screens.weights)] if self.screens else [])}

    def scale(self, logits: np.ndarray) -> np.ndarray:
        """Return `logits` (n, classes) over the temperature, float64; their softmax is the printed confidence."""
        return logits.astype(np.float64) / self.temperature

    def score(self, logits: np.ndarray, features: np.ndarray) -> ScoredLogits:
        """Score frames by the network's two outputs: `logits` (n, classes) and `features` (n, d)."""
        scaled = self.scale(logits)
        scores = self.similarity.scores(features) if self.similarity else LOGIT_SCORES[self.score_name](scaled)
        screens = self.screens.margins(features) if self.screens else None
        return ScoredLogits(scaled, scores, scores >= self.threshold, screens)

    def knows_stream(self, scored: ScoredLogits) -> bool:
        """Return whether the frames of one stream, at least one, show a known game, as recognition decides."""
        if self.stream_threshold is None:
            return bool(2 * np.count_nonzero(scored.known) >= len(scored.known))
        return bool(scored.known.any()) and stream_confidence(scored.logits) >= self.stream_threshold

    def to_metadata(self) -> dict[str, str]:
        """Return the calibration as a model's metadata, for `from_metadata`."""
        # repr() of a float keeps all its bits.
        metadata = {"temperature": repr(self.temperature)}
        if math.isfinite(self.threshold):
            metadata |= {
                "unknown_score": self.score_name,
                "unknown_threshold": repr(self.threshold),
                "unknown_share": repr(self.unknown_fraction),
            }
        if self.stream_threshold is not None:
            metadata[_STREAM_THRESHOLD] = repr(self.stream_threshold)
        if self.similarity:
            metadata[_STORED_SIMILARITY] = self.similarity.to_text()
        if self.screens:
            metadata[_SCREENS] = self.screens.to_text()
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Calibration:
        """Read the calibration from a model's metadata; keys that an old file lacks have their defaults.

        Raises ModelError for an invalid number or an unknown score name.
        """
        default, stored = cls(), metadata.get(_STORED_SIMILARITY)
        score_name = metadata.get("unknown_score", default.score_name)
        try:
            calibration = cls(
                temperature=float(metadata.get("temperature", default.temperature)),
                score_name=FEATURE_SIMILARITY if score_name == _STORED_SIMILARITY else score_name,
                threshold=float(metadata.get("unknown_threshold", default.threshold)),
                unknown_fraction=float(metadata.get("unknown_share", default.unknown_fraction)),
                similarity=FeatureSimilarity.from_text(stored) if stored is not None else None,
                stream_threshold=float(metadata[_STREAM_THRESHOLD]) if _STREAM_THRESHOLD in metadata else None,
                screens=ScreenHead.from_text(metadata[_SCREENS]) if _SCREENS in metadata else None,
            )
        except ValueError as error:
            raise ModelError(f"The model's calibration cannot be read: {error}. Train the model again.") from error
        # No fit produces these values, and they would print wrong confidences.
        finite = 0 < calibration.temperature < math.inf and calibration.threshold < math.inf
        fractions = calibration.unknown_fraction, calibration.stream_threshold or 0.0
        if not finite or not all(0 <= fraction <= 1 for fraction in fractions):
            raise ModelError(f"The model's calibration is invalid: {calibration}. Train the model again.")
        supported = {*LOGIT_SCORES, FEATURE_SIMILARITY} if calibration.similarity else LOGIT_SCORES.keys()
        if calibration.score_name not in supported:
            raise ModelError(
                f"The model's unknown score {score_name!r} is not supported. Update the toolkit or train again."
            )
        return calibration


def fit(
    logits: np.ndarray, similarity_scores: np.ndarray, labels: np.ndarray, *, unknown_fraction: float, score_name: str
) -> Calibration:
    """Fit temperature and threshold on n validation frames: `logits` (n, classes), `labels` int64 (n,).

    At most `unknown_fraction` of those that the model recognises, 0 to 1, are called unknown. Of the others, on streams
    unlike the training data often the most, the threshold rejects more: a wrong answer is no better than none.
    `similarity_scores`: those of the frames' features, (n,). With FEATURE_SIMILARITY, the caller adds the statistics of
    the saved model: `replace(calibration, similarity=...)`.
    """
    calibration = Calibration(fit_temperature(logits, labels), score_name)
    if unknown_fraction == 0:
        return calibration
    logit_score = LOGIT_SCORES.get(score_name)
    scores = logit_score(calibration.scale(logits)) if logit_score else similarity_scores  # (n,)
    is_right = logits.argmax(axis=1) == labels  # (n,)
    # "lower" takes the score of a frame, so that at most the fraction lies below the threshold.
    threshold = float(np.quantile(scores[is_right] if is_right.any() else scores, unknown_fraction, method="lower"))
    return replace(calibration, threshold=threshold, unknown_fraction=unknown_fraction)


def stream_confidence(logits: np.ndarray) -> float:
    """Return the winner's mean probability, 0 to 1, over a stream's frames: scaled `logits` (n, classes), n above 0."""
    return float(softmax(logits).mean(axis=0).max())


def is_sure(confidence: float, unknown_fraction: float) -> bool:
    """Return whether a known stream's answer is sure: its confidence and its fraction of unknown frames, 0 to 1."""
    return confidence >= SURE_CONFIDENCE and unknown_fraction <= 1 - SURE_KNOWN


def fit_stream_threshold(known: np.ndarray, unknown: np.ndarray, max_fraction: float) -> float:
    """Return the `stream_threshold` with the smallest sum of both errors: known streams below it, unknown ones above.

    At most `max_fraction` of the known streams, 0 to 1, lie below. Between separate groups it takes the middle.
    `known`, `unknown`: the streams' confidences, (n,) with n at least 1, and (m,).
    """
    highest = float(np.quantile(known, max_fraction, method="lower"))
    if not len(unknown):
        return highest
    values = np.unique(np.concatenate([known, unknown]))  # ascending
    middles = (values[1:] + values[:-1]) / 2
    candidates = np.append(middles[middles < highest], highest)
    false_unknown = np.searchsorted(np.sort(known), candidates) / len(known)  # fraction below, (candidates,)
    missed = 1 - np.searchsorted(np.sort(unknown), candidates) / len(unknown)
    return float(candidates[np.argmin(false_unknown + missed)])


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, 0.05 to 20, that minimises the negative log-likelihood of `labels` (n,).

    If every frame were right, the minimum would be at temperature 0 and each confidence 100 %. So the targets are
    smoothed as in Platt scaling: the fraction 1 / (n + 2) of the probability belongs to the other classes.
    """
    values = logits.astype(np.float64)  # (n, classes)
    count, classes = values.shape
    smoothing = 1 / (count + 2)
    true_logits = values[np.arange(count), labels]  # (n,)
    other_logits = (values.sum(axis=1) - true_logits) / (classes - 1)  # (n,), the mean of the others
    target = ((1 - smoothing) * true_logits + smoothing * other_logits).mean()
    # The loss is convex in 1/T. Its derivative is zero where the expected logit equals the target.
    low, high = math.log(_MIN_TEMPERATURE), math.log(_MAX_TEMPERATURE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        expected = (softmax(values / math.exp(middle)) * values).sum(axis=1).mean()
        low, high = (low, middle) if expected < target else (middle, high)
    return math.exp(low)
