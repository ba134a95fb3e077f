"""Temperature, and what the model does not know."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.errors import ModelError
from model.evaluation.metrics import log_softmax, nll
from model.inference.calibration import OF_LOGITS, Calibration, Judged, fit, fit_temperature

CHANCE = np.random.default_rng(11)


def drawn(count: int, temperature: float, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that come as often as the logits over `temperature` say."""
    logits = CHANCE.normal(scale=4, size=(count, classes)).astype(np.float32)
    probabilities = np.exp(log_softmax(logits / temperature))
    labels = (probabilities.cumsum(axis=1) < CHANCE.random((count, 1))).sum(axis=1)
    return logits, labels.clip(0, classes - 1)


def calibrated(logits: np.ndarray, labels: np.ndarray, share: float = 0.05, score: str = "energy") -> Calibration:
    """Fitted without a likeness: the scores of logits look at none."""
    return fit(logits, np.zeros(len(labels)), labels, share=share, score=score)


def judged(calibration: Calibration, logits: np.ndarray) -> Judged:
    """The same."""
    return calibration.judge(logits, logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found(temperature):
    """Of labels drawn at a temperature, that one, whether the logits were too sure or not sure enough."""
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.04)


def test_no_other_temperature_is_likelier():
    """Against every hundredth from a half to four."""
    logits, labels = drawn(3_000, 1.7)
    best = min(np.arange(0.5, 4, 0.01), key=lambda temperature: nll(logits / temperature, labels))
    assert fit_temperature(logits, labels) == pytest.approx(best, abs=0.02)


def test_a_printed_90_percent_means_90_percent():
    """On other frames of the same kind: of those printed as 85 to 95 %, 90 % are right; before it were fewer."""
    calibration = calibrated(*drawn(10_000, 2.0))
    logits, labels = drawn(20_000, 2.0)

    def right_at_90(logits: np.ndarray) -> float:
        confidence = np.exp(log_softmax(logits)).max(axis=1)
        chosen = np.abs(confidence - 0.9) < 0.05
        return float((logits.argmax(axis=1) == labels)[chosen].mean())

    assert right_at_90(judged(calibration, logits).logits) == pytest.approx(0.9, abs=0.02)
    assert right_at_90(logits) < 0.8


def test_frames_that_are_all_right_do_not_make_it_certain():
    """Forty right frames are no proof of a hundred per cent: about one in forty may still be wrong."""
    logits = np.eye(4)[np.arange(40) % 4] * 3
    calibration = calibrated(logits, np.arange(40) % 4, share=0)
    assert np.exp(log_softmax(judged(calibration, logits).logits)).max(axis=1) == pytest.approx(41 / 42)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.5])
@pytest.mark.parametrize("score", OF_LOGITS)
def test_so_many_known_frames_are_called_unknown(score, share):
    """The share asked for, of those it was fitted on exactly, and of others nearly."""
    calibration = calibrated(*drawn(2_000, 1.5), share, score)
    again, _ = drawn(10_000, 1.5)
    assert (~judged(calibration, again).known).mean() == pytest.approx(share, abs=0.025)
    few, labels = drawn(30, 1.5)
    assert (~judged(calibrated(few, labels, share, score), few).known).sum() == math.floor(share * 29)


def test_the_threshold_of_a_likeness():
    """It is taken from the likeness, not from the logits."""
    logits, labels = drawn(101, 1.0)
    likeness = CHANCE.permutation(np.linspace(0, 1, 101))
    fitted = fit(logits, likeness, labels, share=0.05, score="likeness")
    assert (likeness < fitted.threshold).sum() == 5


@pytest.mark.parametrize("score", OF_LOGITS)
def test_flat_logits_score_low(score):
    """A frame that resembles no class is below one that resembles one, by any score."""
    scores = judged(Calibration(2.0, score), np.array([[0.1, 0.0, 0.0], [9.0, 0.0, 0.0]], np.float32)).scores
    assert scores[0] < scores[1]


def test_energy_is_the_logarithm_of_the_sum():
    """By hand, and safe where exp overflows."""
    scores = judged(Calibration(), np.array([[0.0, 0.0], [1000.0, 1000.0]])).scores
    assert scores == pytest.approx([math.log(2), 1000 + math.log(2)])


def test_metadata_and_back():
    """To the last bit; a model without any is at temperature 1 and knows everything."""
    calibration = Calibration(1 / 3, "max_logit", 2 / 7, 0.05)
    assert Calibration.parse(calibration.words()) == calibration
    assert Calibration.parse(Calibration(0.7).words()) == Calibration(0.7)
    assert Calibration.parse({"classes": "1,2"}) == Calibration()
    assert judged(Calibration(), np.array([[-1e9, -1e9]])).known.all()


@pytest.mark.parametrize(
    "words",
    [
        {"temperature": "warm"},
        {"temperature": "0"},
        {"temperature": "nan"},
        {"temperature": "inf"},
        {"unknown_threshold": "nan"},
        {"unknown_score": "gut feeling"},
        {"unknown_score": "likeness"},
    ],
)
def test_metadata_that_makes_no_sense(words):
    """It is refused: a confidence of nonsense would be printed otherwise."""
    with pytest.raises(ModelError, match=r"calibration|unknown score"):
        Calibration.parse(words)
