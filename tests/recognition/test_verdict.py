"""recognition.decision.verdict: sums of softmax outputs decide, and the printed lines are the original's."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import Game
from model.inference.calibration import ScoredLogits
from model.inference.probabilities import softmax
from recognition.decision.verdict import VerdictAccumulator
from recognition.engine.best_frame import BestFrame

VALORANT, CHESS, TETRIS = Game(516575, "VALORANT"), Game(743, "Chess"), Game(9, "Tetris")


def test_printed_lines_equal_the_original():
    """The lines of a frame and of a verdict are the original's, to the letter."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    logit = np.log(0.9959 / 0.0041)
    assert accumulator.add_frame(np.array([0.0, logit])).to_line(1) == "Frame 1: VALORANT with a 99.59% confidence."
    for _ in range(12):
        accumulator.add_frame(np.array([0.0, logit]))
    assert accumulator.verdict().to_line() == "VALORANT with a score of 12.9"


def test_largest_sum_wins_not_the_most_frames():
    """One certain frame outweighs two uncertain ones of another game; the score is the winner's sum."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    for logits in ([0.1, 0.0], [0.1, 0.0], [0.0, 9.0]):
        accumulator.add_frame(np.array(logits))
    verdict = accumulator.verdict()
    assert verdict.game == VALORANT
    expected = 2 * softmax(np.array([0.1, 0.0]))[1] + softmax(np.array([0.0, 9.0]))[1]
    assert verdict.score == pytest.approx(expected)
    assert verdict.confidence == pytest.approx(expected / 3)
    assert [p.game for p in verdict.predictions] == [CHESS, CHESS, VALORANT]


CERTAIN, UNCERTAIN = np.array([0.0, 9.0]), np.array([0.0, 0.5])  # logits


def test_unknown_frame_has_a_line_with_its_closest_game():
    """The line of an unknown frame names its closest game; known frames keep the original's line."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    assert (
        accumulator.add_frame(UNCERTAIN, known=False).to_line(1)
        == "Frame 1: Unknown (closest: VALORANT with a 62.25% confidence)."
    )
    assert accumulator.add_frame(CERTAIN).to_line(2) == "Frame 2: VALORANT with a 99.99% confidence."


@pytest.mark.parametrize(
    ("unknown", "known", "line"),
    [
        (0, 2, "VALORANT with a score of 2.0"),
        (2, 2, "VALORANT with a score of 3.2"),
        (3, 2, "Unknown with a score of 3.0 (closest: VALORANT)"),
        (15, 0, "Unknown with a score of 15.0 (closest: VALORANT)"),
    ],
)
def test_stream_is_unknown_when_most_frames_are(unknown, known, line):
    """Up to half of the frames may be unknown; of an unknown stream, each unknown frame scores one point."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    for is_known in [False] * unknown + [True] * known:
        accumulator.add_frame(CERTAIN if is_known else UNCERTAIN, is_known)
    verdict = accumulator.verdict()
    assert verdict.to_line() == line
    assert verdict.unknown_frames == unknown


@pytest.mark.parametrize(
    ("frames", "threshold", "line"),
    [
        ([UNCERTAIN] * 4, 0.6, "VALORANT with a score of 2.5"),
        ([UNCERTAIN] * 4, 0.7, "Unknown with a score of 3.0 (closest: VALORANT)"),
        ([CERTAIN, -CERTAIN, CERTAIN], 0.6, "VALORANT with a score of 2.0"),
    ],
)
def test_stream_threshold_decides_instead_of_the_majority_of_frames(frames, threshold, line):
    """With a threshold for streams, the mean probability decides, although most frames are unknown."""
    accumulator = VerdictAccumulator([CHESS, VALORANT], stream_threshold=threshold)
    for number, logits in enumerate(frames):
        accumulator.add_frame(logits, known=number == 0)
    verdict = accumulator.verdict()
    assert (verdict.to_line(), verdict.unknown_frames) == (line, len(frames) - 1)


def test_min_confidence_above_the_stream_threshold_goes_first():
    """The stricter of both limits decides."""
    accumulator = VerdictAccumulator([CHESS, VALORANT], min_confidence=0.9, stream_threshold=0.6)
    accumulator.add_frame(UNCERTAIN)
    assert not accumulator.verdict().known


def test_classes_are_in_the_order_of_the_logits():
    """classes[i] is the game of logit i, whatever its id or name is."""
    accumulator = VerdictAccumulator([TETRIS, VALORANT, CHESS])
    assert [accumulator.add_frame(row).game for row in np.eye(3) * 5] == [TETRIS, VALORANT, CHESS]


def test_softmax_is_safe_for_large_logits():
    """Logits of a thousand give probabilities, not NaN; float16 input does not overflow."""
    assert softmax(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]
    assert softmax(np.array([60000, -60000], np.float16)).sum() == pytest.approx(1)


def test_invalid_calls_raise_value_error():
    """Logits of another width, and a verdict without frames."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    with pytest.raises(ValueError, match="3,"):
        accumulator.add_frame(np.zeros(3))
    with pytest.raises(ValueError, match="no frame"):
        accumulator.verdict()


def test_accumulator_keeps_the_newest_hundred_predictions():
    """Every frame counts, but only the newest hundred predictions are kept."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    for known in [False] * 3 + [True] * 1000:
        accumulator.add_frame(CERTAIN, known)
    verdict = accumulator.verdict()
    assert (verdict.frames, verdict.unknown_frames, len(verdict.predictions)) == (1003, 3, 100)
    assert verdict.confidence == pytest.approx(softmax(CERTAIN).max())


def test_stream_without_a_known_frame_is_unknown_whatever_its_confidence():
    """Black screens agree on a game, too; no early verdict is given until a frame is known."""
    accumulator = VerdictAccumulator((Game(1, "A"), Game(2, "B")), stream_threshold=0.5)
    for _ in range(3):
        accumulator.add_frame(np.array([5.0, 0.0]), known=False)
    assert not accumulator.verdict().known
    assert accumulator.probability_of_change(15) == 1.0
    accumulator.add_frame(np.array([5.0, 0.0]), known=True)
    assert accumulator.verdict().known
    assert accumulator.probability_of_change(15) < 1.0


@pytest.mark.parametrize(
    ("margins", "screen"),
    [
        ([None, None], ""),
        ([[-1.0, -0.2, -0.5, -0.9]] * 3, ""),
        ([[0.4, -0.2, -0.5, -0.9], [-0.5, 0.1, -0.5, -0.9]], ""),
        ([[0.4, -0.2, 0.6, -0.9], [0.1, 0.1, -0.5, -0.9]], "menu"),
        ([[-1.0, -1.0, 0.3, -1.0]] * 120, "talking"),
    ],
)
def test_screen_is_the_kind_with_the_largest_mean_margin_above_zero(margins, screen):
    """One frame of a menu makes no stream of menus; a model without a screen head never names a screen."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    for margin in margins:
        accumulator.add_frame(CERTAIN, screens=None if margin is None else np.array(margin))
    assert accumulator.verdict().screen == screen


def test_add_scored_adds_the_frame_with_its_screens():
    """A classifier's result is added whole: logits, whether it is known, and margins."""
    accumulator = VerdictAccumulator([CHESS, VALORANT])
    scored = ScoredLogits(CERTAIN[None], np.zeros(1), np.zeros(1, bool), np.array([[-1.0, -1.0, -1.0, 0.2]]))
    assert not accumulator.add_scored(scored).known
    assert (accumulator.leader, accumulator.verdict().screen) == (VALORANT, "desktop")


def test_best_frame_is_the_most_confident_one_of_the_winner():
    """Frames of other games do not replace it; when another game leads, its own best frame does."""
    accumulator, best, shown = VerdictAccumulator([CHESS, VALORANT]), BestFrame(), []
    for number, logits in enumerate(([0.5, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 9.0])):
        best.add(b"abcde"[number : number + 1], accumulator.add_frame(np.array(logits)), accumulator.leader)
        shown.append(best.jpeg)
    assert shown == [b"a", b"b", b"b", b"b", b"b"]
    best.add(b"f", accumulator.add_frame(np.array([0, 8.0])), accumulator.leader)
    assert (best.jpeg, accumulator.verdict().game) == (b"f", VALORANT)
