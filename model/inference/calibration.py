"""How sure the model may be: the temperature of its logits, and the score below which it knows nothing. numpy only.

Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Energy: Liu et al.,
Energy-based Out-of-distribution Detection, NeurIPS 2020. Largest logit: Hendrycks et al., ICML 2022. Likeness looks
at the network's features instead: model.inference.feature_similarity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from data.errors import ModelError
from model.evaluation.metrics import log_softmax
from model.inference.feature_similarity import Likeness

_COLDEST, _HOTTEST = 0.05, 20.0
_HALVINGS = 40  # of the logarithms between: to twelve digits


def energy(logits: np.ndarray) -> np.ndarray:
    """Liu's negative energy (n,): the logarithm of the sum of the exponentials."""
    highest = logits.max(axis=-1).astype(np.float64)
    return highest - log_softmax(logits).max(axis=-1)


def max_logit(logits: np.ndarray) -> np.ndarray:
    """The largest logit (n,)."""
    return logits.max(axis=-1).astype(np.float64)


def max_probability(logits: np.ndarray) -> np.ndarray:
    """The confidence (n,), 0 to 1."""
    return np.exp(log_softmax(logits).max(axis=-1))


# The score tells pictures that the model knows (high) from those that it does not. It is stored by its name.
LIKENESS = "likeness"
OF_LOGITS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "energy": energy,
    "max_logit": max_logit,
    "max_probability": max_probability,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """Frames' `logits` over the temperature, float64 (n, classes); their `scores`, float64 (n,); bool (n,) `known`."""

    logits: np.ndarray
    scores: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, slots=True)
class Calibration:
    """Stored with a model; without one, as here, logits are taken as they are and everything counts as known.

    `temperature`: what logits are divided by. `score`: a key of OF_LOGITS, or LIKENESS, which `likeness` then
    gives. `threshold`: frames whose score is below it are unknown. `share`: of the validation frames, 0 to 1, that the
    threshold was made to call unknown.
    """

    temperature: float = 1.0
    score: str = "energy"
    threshold: float = -math.inf
    share: float = 0.0
    likeness: Likeness | None = None

    def tempered(self, logits: np.ndarray) -> np.ndarray:
        """float64 (n, classes): logits whose softmax is to be believed."""
        return logits.astype(np.float64) / self.temperature

    def judge(self, logits: np.ndarray, features: np.ndarray) -> Judged:
        """Frames by what the network gives of them: `logits` (n, classes), `features` (n, d)."""
        tempered = self.tempered(logits)
        scores = self.likeness.scores(features) if self.likeness else OF_LOGITS[self.score](tempered)
        return Judged(tempered, scores, scores >= self.threshold)

    def words(self) -> dict[str, str]:
        """As a model's metadata, which `parse` reads."""
        words = {"temperature": repr(self.temperature)}
        if math.isfinite(self.threshold):
            words |= {
                "unknown_score": self.score,
                "unknown_threshold": repr(self.threshold),
                "unknown_share": repr(self.share),
            }
        if self.likeness:
            words[LIKENESS] = self.likeness.word()
        return words

    @classmethod
    def parse(cls, words: Mapping[str, str]) -> Calibration:
        """What a model's metadata says; where it says nothing, as in old files, the defaults.

        Raises ModelError: a number is none, or the score is one that this version does not have.
        """
        try:
            read = cls(
                temperature=float(words.get("temperature", cls().temperature)),
                score=words.get("unknown_score", cls().score),
                threshold=float(words.get("unknown_threshold", cls().threshold)),
                share=float(words.get("unknown_share", cls().share)),
                likeness=Likeness.parse(words[LIKENESS]) if LIKENESS in words else None,
            )
        except ValueError as error:
            raise ModelError(f"The model's calibration cannot be read: {error}") from error
        if not 0 < read.temperature < math.inf or math.isnan(read.threshold):
            raise ModelError(f"The model's calibration makes no sense: {read}")
        if read.score not in {*OF_LOGITS, *([LIKENESS] if read.likeness else [])}:
            raise ModelError(f"The model's unknown score is {read.score!r}, of which this version knows nothing.")
        return read


def fit(
    logits: np.ndarray, likeness: np.ndarray, labels: np.ndarray, *, share: float, score: str = LIKENESS
) -> Calibration:
    """Calibrate on the `logits` (n, classes), `likeness` (n,) and `labels` (n,) of frames that it did not train on.

    At most `share` of these frames, 0 to 1, are called unknown; with 0 none ever is. Before frames can be judged by
    their likeness, the answer wants the model's own: `dataclasses.replace(answer, likeness=...)`.
    """
    calibration = Calibration(fit_temperature(logits, labels), score)
    if share == 0:
        return calibration
    scores = likeness if score == LIKENESS else OF_LOGITS[score](calibration.tempered(logits))
    threshold = float(np.quantile(scores, share, method="lower"))
    return replace(calibration, threshold=threshold, share=share)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature, 0.05 to 20, at which the labels are most likely.

    With frames that are all right the likeliest answer would be 0, and every confidence 100 %. So one frame more
    than there are counts as right, and one as wrong, as in Platt's scaling: its share goes to the other classes.
    The loss is convex in 1/T, so its slope there has one zero.
    """
    values = logits.astype(np.float64)
    count, classes = values.shape
    wrong = 1 / (count + 2)
    own = values[np.arange(count), labels]
    others = (values.sum(axis=1) - own) / (classes - 1)
    target = float(((1 - wrong) * own + wrong * others).mean())

    def too_hot(temperature: float) -> bool:
        probabilities = np.exp(log_softmax(values / temperature))
        return float((probabilities * values).sum(axis=1).mean()) < target

    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if too_hot(math.exp(middle)) else (middle, high)
    return math.exp(low)
