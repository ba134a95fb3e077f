"""Calibration: the fitted temperature and threshold, and their metadata."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from data.errors import ModelError
from model.evaluation.metrics import negative_log_likelihood
from model.inference import feature_similarity
from model.inference.calibration import (
    LOGIT_SCORES,
    Calibration,
    ScoredLogits,
    fit,
    fit_stream_threshold,
    fit_temperature,
)
from model.inference.probabilities import softmax

RNG = np.random.default_rng(11)


def drawn(count: int, temperature: float, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return random logits, and labels drawn from their softmax at `temperature`."""
    logits = RNG.normal(scale=4, size=(count, classes)).astype(np.float32)
    probabilities = softmax(logits / temperature)
    labels = (probabilities.cumsum(axis=1) < RNG.random((count, 1))).sum(axis=1)
    return logits, labels.clip(0, classes - 1)


def calibrated(logits: np.ndarray, labels: np.ndarray, fraction: float = 0.05, score: str = "energy") -> Calibration:
    """Fit a calibration with a score of logits, which needs no feature similarity."""
    return fit(logits, np.zeros(len(labels)), labels, unknown_fraction=fraction, score_name=score)


def scored(calibration: Calibration, logits: np.ndarray) -> ScoredLogits:
    """Score logits whose score needs no features."""
    return calibration.score(logits, logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_fit_recovers_the_temperature_of_the_labels(temperature):
    """The fit finds the temperature that the labels were drawn at, below 1 and above 1."""
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.04)


def test_fitted_temperature_minimises_the_likelihood_loss():
    """A grid search from 0.5 to 4 finds the same minimum."""
    logits, labels = drawn(3_000, 1.7)
    best = min(np.arange(0.5, 4, 0.01), key=lambda temperature: negative_log_likelihood(logits / temperature, labels))
    assert fit_temperature(logits, labels) == pytest.approx(best, abs=0.02)


def test_confidence_of_90_percent_is_right_90_percent_of_the_time():
    """Of new frames with a confidence of 85 to 95 %, 90 % are right; without calibration fewer are."""
    calibration = calibrated(*drawn(10_000, 2.0))
    logits, labels = drawn(20_000, 2.0)

    def right_at_90(logits: np.ndarray) -> float:
        confidence = softmax(logits).max(axis=1)
        chosen = np.abs(confidence - 0.9) < 0.05
        return float((logits.argmax(axis=1) == labels)[chosen].mean())

    assert right_at_90(scored(calibration, logits).logits) == pytest.approx(0.9, abs=0.02)
    assert right_at_90(logits) < 0.8


def test_confidence_with_all_frames_right_stays_below_one():
    """Forty right frames do not prove 100 %: label smoothing leaves 1 / 42 to the other classes."""
    logits = np.eye(4)[np.arange(40) % 4] * 3
    calibration = calibrated(logits, np.arange(40) % 4, fraction=0)
    assert softmax(scored(calibration, logits).logits).max(axis=1) == pytest.approx(41 / 42)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.05, 0.5])
@pytest.mark.parametrize("score", LOGIT_SCORES)
def test_requested_fraction_of_recognised_frames_is_called_unknown(score, fraction):
    """The fraction is exact on the recognised frames of the fit, and approximate on new ones."""
    calibration = calibrated(*drawn(2_000, 1.5), fraction, score)
    new, labels = drawn(10_000, 1.5)
    right = new.argmax(axis=1) == labels
    assert (~scored(calibration, new).known[right]).mean() == pytest.approx(fraction, abs=0.03)
    few, labels = drawn(30, 1.5)
    unknown = ~scored(calibrated(few, labels, fraction, score), few).known[few.argmax(axis=1) == labels]
    assert unknown.sum() == math.floor(fraction * (len(unknown) - 1))


def test_misrecognised_frames_of_low_score_are_called_unknown():
    """Most frames are wrong and score low: a quantile of all would reject a few of them, the right ones reject all."""
    logits = np.eye(3)[np.arange(100) % 3] * np.where(np.arange(100) < 60, 1.0, 5.0)[:, None]
    labels = (np.arange(100) + (np.arange(100) < 60)) % 3
    assert (~scored(calibrated(logits, labels, 0.1, "max_logit"), logits).known).sum() == 60


def test_stream_threshold_lies_between_known_and_unknown_streams():
    """Between separate groups it is the middle; where they mix, at most the fraction of known streams is below."""
    assert fit_stream_threshold(np.array([0.7, 0.9, 1.0]), np.array([0.2, 0.5]), 0.05) == pytest.approx(0.6)
    known, unknown = np.linspace(0.3, 1, 101), np.linspace(0.2, 0.9, 50)
    assert (known < fit_stream_threshold(known, unknown, 0.05)).sum() == 5
    assert (known < fit_stream_threshold(known, np.empty(0), 0.05)).sum() == 5


def test_stream_is_known_by_its_confidence_although_most_of_its_frames_are_not():
    """Doubtful frames that agree make a known stream, confident ones that scatter do not; older models count frames."""
    agreeing = np.array([[2.5, 0.0, 0.0], *([[1.5, 0.0, 0.0]] * 5)])
    scattered = np.eye(3)[[0, 1, 2, 0, 1, 2]] * 8.0
    fitted = Calibration(1.0, "max_logit", threshold=2.0, stream_threshold=0.5)
    for calibration, answers in ((fitted, (True, False)), (replace(fitted, stream_threshold=None), (False, True))):
        streams = (scored(calibration, logits) for logits in (agreeing, scattered))
        assert tuple(map(calibration.knows_stream, streams)) == answers
    assert not fitted.knows_stream(scored(fitted, agreeing[1:]))  # no frame is known


def test_threshold_of_feature_similarity_comes_from_its_scores():
    """With feature similarity, the threshold is a quantile of the similarity scores, not of a logit score."""
    logits, _labels = drawn(101, 1.0)
    labels = logits.argmax(axis=1)
    similarity_scores = RNG.permutation(np.linspace(0, 1, 101))
    fitted = fit(logits, similarity_scores, labels, unknown_fraction=0.05, score_name="feature_similarity")
    assert (similarity_scores < fitted.threshold).sum() == 5


@pytest.mark.parametrize("score", LOGIT_SCORES)
def test_flat_logits_score_lower_than_a_clear_winner(score):
    """By each score, a frame that resembles no class is below one that resembles a class."""
    scores = scored(Calibration(2.0, score), np.array([[0.1, 0.0, 0.0], [9.0, 0.0, 0.0]], np.float32)).scores
    assert scores[0] < scores[1]


def test_energy_is_logsumexp_without_overflow():
    """Energy equals the value by hand, also where exp overflows."""
    scores = scored(Calibration(), np.array([[0.0, 0.0], [1000.0, 1000.0]])).scores
    assert scores == pytest.approx([math.log(2), 1000 + math.log(2)])


def test_metadata_round_trip():
    """All bits survive; a model without metadata has temperature 1 and knows every frame."""
    calibration = Calibration(1 / 3, "max_logit", 2 / 7, 0.05, stream_threshold=1 / 7)
    assert Calibration.from_metadata(calibration.to_metadata()) == calibration
    assert Calibration.from_metadata(Calibration(0.7).to_metadata()) == Calibration(0.7)
    assert Calibration.from_metadata({"classes": "1,2"}) == Calibration()
    assert scored(Calibration(), np.array([[-1e9, -1e9]])).known.all()


def test_metadata_of_an_older_model_is_read():
    """Older models call feature similarity "likeness"."""
    similarity = feature_similarity.fit(np.eye(3, dtype=np.float32), np.arange(3), 3)
    old = {"temperature": "2.0", "unknown_score": "likeness", "unknown_threshold": "0.25", "unknown_share": "0.1"}
    read = Calibration.from_metadata(old | {"likeness": similarity.to_text()})
    assert (read.score_name, read.threshold, read.unknown_fraction) == ("feature_similarity", 0.25, 0.1)
    assert read.score(np.eye(3), similarity.means).scores == pytest.approx([1.0] * 3)
    again = Calibration.from_metadata(read.to_metadata())
    assert again.to_metadata() == read.to_metadata()


@pytest.mark.parametrize(
    "metadata",
    [
        {"temperature": "warm"},
        {"temperature": "0"},
        {"temperature": "nan"},
        {"temperature": "inf"},
        {"temperature": "1e999"},
        {"unknown_threshold": "nan"},
        {"unknown_threshold": "1e999"},
        {"unknown_share": "nan"},
        {"unknown_share": "7"},
        {"unknown_share": "-1"},
        {"unknown_stream_threshold": "nan"},
        {"unknown_stream_threshold": "1.5"},
        {"unknown_score": "gut feeling"},
        {"unknown_score": "likeness"},
        {"unknown_score": "feature_similarity"},
    ],
)
def test_invalid_metadata_raises_model_error(metadata):
    """Invalid values are rejected: they would print wrong confidences."""
    with pytest.raises(ModelError, match=r"calibration|unknown score"):
        Calibration.from_metadata(metadata)
