"""recognition.decision.early_stopping: the predicted probability matches how often verdicts change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from data.entities import Game
from recognition.decision.early_stopping import probability_of_change
from recognition.decision.verdict import Verdict, VerdictAccumulator

GAMES = [Game(number, f"Game {number}") for number in (1, 2, 3)]


def verdict(*probabilities: float, known: int | None = None, min_confidence: float = 0.0) -> Verdict:
    """Return the verdict of frames with these probabilities of the first of two games; the first `known` are known."""
    accumulator = VerdictAccumulator(GAMES[:2], min_confidence=min_confidence)
    for number, probability in enumerate(probabilities):
        accumulator.add_frame(np.log([probability, 1 - probability]), known is None or number < known)
    return accumulator.verdict()


def change(verdict: Verdict, total: int, min_confidence: float = 0.0) -> float:
    """Return the probability that the verdict of all frames differs from this one."""
    return probability_of_change(verdict.frames, verdict.score, verdict.unknown_frames, total, min_confidence)


def test_probability_is_zero_when_no_frame_remains():
    """A final verdict cannot change, whether it is known, unknown, or below the minimum confidence."""
    assert change(verdict(0.9, 0.9, 0.2), 3) == 0
    assert change(verdict(0.9, 0.9, 0.9, known=1), 3) == 0
    assert change(verdict(0.9, 0.9, min_confidence=0.95), 2) == 0


def test_probability_falls_with_agreeing_frames_and_rises_with_another_game():
    """Each further frame of the same game lowers the probability; a frame of another game raises it."""
    course = [change(verdict(*[0.99] * count), 13) for count in range(1, 8)]
    assert course == sorted(course, reverse=True)
    assert course[0] > 0.1
    assert course[-1] < 0.001
    assert change(verdict(*[0.99] * 6, 0.01), 13) > course[5]


def test_probability_is_zero_after_a_majority():
    """Seven certain frames of thirteen decide the verdict, six do not; a tie does not count as a win."""
    assert change(verdict(*[1 - 1e-12] * 7), 13) < 1e-9
    assert change(verdict(*[1 - 1e-12] * 6), 13) > 1e-6
    assert change(verdict(1 - 1e-16), 2) == pytest.approx(1 / 3)


def test_certain_frames_give_the_rule_of_succession():
    """If one remaining frame decides, its probability is Laplace's (losses + 1) / (seen + 2)."""
    assert change(verdict(1 - 1e-12, 1e-12, 1 - 1e-12), 4) == pytest.approx(2 / 5)
    assert change(verdict(1 - 1e-12, min_confidence=0.8), 2, 0.8) == pytest.approx(1 / 3)


@pytest.mark.parametrize("known", [1, 3])
def test_unknown_stream_changes_more_likely_with_more_known_frames(known):
    """The more frames are unknown, the more certain an unknown verdict is; half of them make it uncertain."""
    frames = [0.99] * 6
    assert change(verdict(*frames, known=0), 13) < 0.02
    assert change(verdict(*frames, known=known), 13) > change(verdict(*frames, known=0), 13)


def test_low_confidence_may_still_rise_above_the_minimum():
    """Frames of two games: the verdict may become known if its mean is close to the minimum confidence."""
    near, far = ([0.99] * count + [0.01] * 2 for count in (5, 3))
    assert not verdict(*near, min_confidence=0.75).known
    assert change(verdict(*near, min_confidence=0.75), 13, 0.75) > 0.3
    assert change(verdict(*far, min_confidence=0.9), 13, 0.9) < 0.1


def test_probability_is_calibrated():
    """On exchangeable streams, early stopping saves frames and is wrong at most as often as it predicts."""
    random = np.random.default_rng(5)
    frames, certainty = 13, 0.9
    wrong = took = 0
    streams = 2000
    for probability in random.uniform(size=streams):
        drawn = random.uniform(size=frames) < probability
        accumulator, whole = VerdictAccumulator(GAMES[:2]), VerdictAccumulator(GAMES[:2])
        for first in drawn:
            whole.add_frame(np.array([30.0 * first, 30.0 * (not first)]))
        for count in itertools.count(1):
            accumulator.add_frame(np.array([30.0 * drawn[count - 1], 30.0 * (not drawn[count - 1])]))
            if count == frames or change(accumulator.verdict(), frames) <= 1 - certainty:
                break
        took += count
        wrong += accumulator.verdict().game != whole.verdict().game
    assert wrong / streams < 1 - certainty
    assert took / streams < 0.6 * frames
    assert wrong > 0  # 0 would mean that it stops too late


def test_stream_threshold_replaces_the_majority_of_unknown_frames():
    """How many frames are unknown decides nothing then; a mean near the threshold makes the verdict uncertain."""
    sure, doubtful = (VerdictAccumulator(GAMES[:2], stream_threshold=0.6) for _ in range(2))
    for number in range(6):
        sure.add_frame(np.array([9.0, 0.0]), known=number == 0)
        doubtful.add_frame(np.log([0.65, 0.35]))
    assert sure.verdict().known
    assert sure.probability_of_change(13) < 0.01
    assert doubtful.probability_of_change(13) > 0.2


def test_thousands_of_frames_do_not_overflow():
    """The binomial coefficients of thousands of frames exceed a float, the result stays in 0 to 1."""
    value = change(verdict(*[0.6] * 40), 5000)
    assert math.isfinite(value)
    assert 0 <= value <= 1
