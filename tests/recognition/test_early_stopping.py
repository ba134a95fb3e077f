"""recognition.decision.early_stopping: the doubt is a probability that comes true."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from data.entities import Game
from recognition.decision.early_stopping import doubt
from recognition.decision.verdict import Jury, Verdict

GAMES = [Game(number, f"Game {number}") for number in (1, 2, 3)]


def verdict(*shares: float, known: int | None = None, min_confidence: float = 0.0) -> Verdict:
    """Of frames whose probability of the first game is this, the rest the second's; the first `known` are known."""
    jury = Jury(GAMES[:2], min_confidence=min_confidence)
    for number, share in enumerate(shares):
        jury.hear(np.log([share, 1 - share]), known is None or number < known)
    return jury.verdict()


def test_nothing_is_in_doubt_when_all_frames_are_seen():
    """With no frame to come the doubt is 0, known or unknown, or 1 where the game has less than half of it all."""
    assert doubt(verdict(0.9, 0.9, 0.2), 3) == 0
    assert doubt(verdict(0.9, 0.9, 0.9, known=1), 3) == 0
    assert doubt(verdict(0.9, 0.9, min_confidence=0.95), 2) == 0


def test_it_falls_with_each_frame_that_agrees_and_rises_with_one_that_does_not():
    """Frames of one game: less doubt each time; then a frame of another game: more."""
    course = [doubt(verdict(*[0.99] * count), 13) for count in range(1, 8)]
    assert course == sorted(course, reverse=True)
    assert course[0] > 0.1
    assert course[-1] < 0.001
    assert doubt(verdict(*[0.99] * 6, 0.01), 13) > course[5]


def test_what_cannot_change_any_more_is_in_no_doubt():
    """Seven certain frames of thirteen decide it, whatever comes; six do not."""
    assert doubt(verdict(*[1 - 1e-12] * 7), 13) < 1e-9
    assert doubt(verdict(*[1 - 1e-12] * 6), 13) > 1e-6
    assert doubt(verdict(1 - 1e-16), 2) == pytest.approx(1 / 3)  # a draw is no victory


def test_certain_frames_give_the_rule_of_succession():
    """One frame is to come that would decide: Laplace's (against + 1) / (seen + 2) says how likely it does."""
    assert doubt(verdict(1 - 1e-12, 1e-12, 1 - 1e-12), 4) == pytest.approx(2 / 5)
    assert doubt(verdict(1 - 1e-12, min_confidence=0.8), 2, 0.8) == pytest.approx(1 / 3)


@pytest.mark.parametrize("known", [1, 3])
def test_unknown_streams_have_their_doubt_too(known):
    """The more frames are unknown the surer it is that the stream is; half and half is far from sure."""
    frames = [0.99] * 6
    assert doubt(verdict(*frames, known=0), 13) < 0.02
    assert doubt(verdict(*frames, known=known), 13) > doubt(verdict(*frames, known=0), 13)


def test_an_answer_that_is_not_sure_enough_may_still_become_so():
    """Frames of two games, each sure: whether the mean rises above --min-confidence is in doubt where it is near it."""
    near, far = ([0.99] * count + [0.01] * 2 for count in (5, 3))
    assert not verdict(*near, min_confidence=0.75).known
    assert doubt(verdict(*near, min_confidence=0.75), 13, 0.75) > 0.3
    assert doubt(verdict(*far, min_confidence=0.9), 13, 0.9) < 0.1


def test_the_doubt_comes_true():
    """Streams drawn from the urns that the test takes for granted: it stops, and is wrong as seldom as it says."""
    random = np.random.default_rng(5)
    frames, sure = 13, 0.9
    wrong = took = 0
    streams = 2000
    for share in random.uniform(size=streams):
        drawn = random.uniform(size=frames) < share
        jury, whole = Jury(GAMES[:2]), Jury(GAMES[:2])
        for first in drawn:
            whole.hear(np.array([30.0 * first, 30.0 * (not first)]))
        for count in itertools.count(1):
            jury.hear(np.array([30.0 * drawn[count - 1], 30.0 * (not drawn[count - 1])]))
            if count == frames or jury.doubt(frames) <= 1 - sure:
                break
        took += count
        wrong += jury.verdict().game != whole.verdict().game
    assert wrong / streams < 1 - sure
    assert took / streams < 0.6 * frames
    assert wrong > 0  # or it could have stopped earlier


def test_many_frames_do_not_overflow():
    """Of thousands of frames the numbers stay numbers."""
    value = doubt(verdict(*[0.6] * 40), 5000)
    assert math.isfinite(value)
    assert 0 <= value <= 1
