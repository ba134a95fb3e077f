"""recognition.decision.verdict: softmax sums decide, and the words are the original's."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import Game
from recognition.decision.verdict import Jury, softmax

VALORANT, CHESS, TETRIS = Game(516575, "VALORANT"), Game(743, "Chess"), Game(9, "Tetris")


def test_words():
    """The lines are the original's, to the letter."""
    jury = Jury([CHESS, VALORANT])
    logit = np.log(0.9959 / 0.0041)
    assert jury.hear(np.array([0.0, logit])).line(1) == "Frame 1: VALORANT with a 99.59% confidence."
    for _ in range(12):
        jury.hear(np.array([0.0, logit]))
    assert jury.verdict().line() == "VALORANT with a score of 12.9"


def test_the_sum_decides_not_the_count():
    """One certain frame outweighs two that barely lean the other way; the score is the winner's sum."""
    jury = Jury([CHESS, VALORANT])
    for logits in ([0.1, 0.0], [0.1, 0.0], [0.0, 9.0]):
        jury.hear(np.array(logits))
    verdict = jury.verdict()
    assert verdict.game == VALORANT
    expected = 2 * softmax(np.array([0.1, 0.0]))[1] + softmax(np.array([0.0, 9.0]))[1]
    assert verdict.score == pytest.approx(expected)
    assert verdict.confidence == pytest.approx(expected / 3)
    assert [p.game for p in verdict.predictions] == [CHESS, CHESS, VALORANT]


SURE, STRANGE = np.array([0.0, 9.0]), np.array([0.0, 0.5])


def test_a_frame_like_none_of_the_games():
    """It is unknown, in words of its own that still say what is closest; the others keep the original's words."""
    jury = Jury([CHESS, VALORANT])
    assert jury.hear(STRANGE, known=False).line(1) == "Frame 1: Unknown (closest: VALORANT with a 62.25% confidence)."
    assert jury.hear(SURE).line(2) == "Frame 2: VALORANT with a 99.99% confidence."


@pytest.mark.parametrize(
    ("strange", "sure", "line"),
    [
        (0, 2, "VALORANT with a score of 2.0"),
        (2, 2, "VALORANT with a score of 3.2"),
        (3, 2, "Unknown with a score of 3.0 (closest: VALORANT)"),
        (15, 0, "Unknown with a score of 15.0 (closest: VALORANT)"),
    ],
)
def test_most_of_the_frames_decide_whether_a_stream_is_known(strange, sure, line):
    """Up to half of them may be loading screens; unknown frames score a point each."""
    jury = Jury([CHESS, VALORANT])
    for known in [False] * strange + [True] * sure:
        jury.hear(SURE if known else STRANGE, known)
    verdict = jury.verdict()
    assert verdict.line() == line
    assert verdict.unknown == strange


def test_class_order_is_the_logits_order():
    """classes[i] names logit i, whatever the ids or names are."""
    jury = Jury([TETRIS, VALORANT, CHESS])
    assert [jury.hear(row).game for row in np.eye(3) * 5] == [TETRIS, VALORANT, CHESS]


def test_softmax_is_safe_for_large_logits():
    """Logits of a thousand give probabilities, not NaN; float16 input does not overflow."""
    assert softmax(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]
    assert softmax(np.array([60000, -60000], np.float16)).sum() == pytest.approx(1)


def test_a_jury_refuses_what_it_cannot_judge():
    """Logits of another width, or a verdict on nothing, are errors and not guesses."""
    jury = Jury([CHESS, VALORANT])
    with pytest.raises(ValueError, match="3,"):
        jury.hear(np.zeros(3))
    with pytest.raises(ValueError, match="no frame"):
        jury.verdict()


def test_a_jury_that_hears_for_hours_keeps_no_more():
    """Every frame counts, but only the newest hundred are kept."""
    jury = Jury([CHESS, VALORANT])
    for known in [False] * 3 + [True] * 1000:
        jury.hear(SURE, known)
    verdict = jury.verdict()
    assert (verdict.frames, verdict.unknown, len(verdict.predictions)) == (1003, 3, 100)
    assert verdict.confidence == pytest.approx(softmax(SURE).max())
