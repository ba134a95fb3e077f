"""recognition.decision.change_detector: when the answer for a stream changes, on synthetic sequences of frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from data.entities import Game
from recognition.decision.change_detector import ChangeDetector

CHESS, TETRIS, PONG = GAMES = (Game(1, "Chess"), Game(2, "Tetris"), Game(3, "Pong"))
UNKNOWN = None

Answer = Game | None  # what a frame or a stream shows


def changes(detector: ChangeDetector, frames: Iterable[Answer], probability: float = 0.99) -> list[tuple[int, Answer]]:
    """Add frames and return the changes as (number of frames, new answer). A frame's game has this probability."""
    found = []
    for number, game in enumerate(frames, 1):
        probabilities = np.full(len(GAMES), (1 - probability) / (len(GAMES) - 1))
        probabilities[GAMES.index(game or CHESS)] = probability
        if detector.add_frame(probabilities, game is not UNKNOWN):
            found.append((number, detector.game))
    return found


def settled(answer: Answer = CHESS) -> ChangeDetector:
    """Return a detector that has had this answer for 50 frames."""
    detector = ChangeDetector(GAMES)
    changes(detector, [answer] * 50)
    assert detector.confidence > 0
    assert detector.game == answer
    return detector


def test_first_answer_takes_three_frames():
    """After two frames there is no answer, which is neither a game nor unknown."""
    detector = ChangeDetector(GAMES)
    assert not changes(detector, [CHESS, CHESS])
    assert (detector.confidence, detector.game) == (0, None)
    assert changes(detector, [CHESS]) == [(1, CHESS)]
    assert detector.confidence == pytest.approx(0.99)


@pytest.mark.parametrize(("before", "after"), [(CHESS, PONG), (PONG, TETRIS), (UNKNOWN, PONG)])
def test_third_confident_frame_of_a_new_game_changes_the_answer(before, after):
    """Three confident frames in a row suffice, however long the old answer has lasted, also if it was unknown."""
    assert changes(settled(before), [after] * 20) == [(3, after)]


@pytest.mark.parametrize("window_frames", [10, 12, 20, 40])
def test_frames_before_a_change_do_not_vote_again(window_frames):
    """Many frames of the old game never cause a change back to it, whatever the window's length."""
    detector = ChangeDetector(GAMES, window_frames=window_frames)
    changes(detector, [CHESS] * 50)
    assert changes(detector, [PONG] * 50) == [(3, PONG)]


def test_less_confident_frames_take_longer():
    """Frames at 70 % lead by 0.55 each: the fourth decides. At 40 % they lead by 0.1: never within the window."""
    assert changes(settled(), [PONG] * 20, probability=0.7) == [(4, PONG)]
    assert changes(settled(), [PONG] * 20, probability=0.4) == []


def test_two_frames_of_another_game_change_nothing():
    """An hour in which every second or third frame shows other games, at most two in a row."""
    assert changes(settled(), [PONG, PONG, CHESS, CHESS] * 450, probability=1.0) == []
    assert changes(settled(), [PONG, TETRIS, CHESS] * 600, probability=1.0) == []


def test_frame_of_the_old_game_delays_a_change():
    """One frame of the old game takes a vote away, which one more frame of the new game gives back."""
    assert changes(settled(), [PONG, PONG, CHESS, PONG, PONG, PONG]) == [(5, PONG)]


def test_loading_screen_delays_a_change_by_one_frame_at_most():
    """Before the new game's frames it does not count; between them it costs one frame."""
    assert changes(settled(), [UNKNOWN] * 3 + [PONG] * 9) == [(6, PONG)]
    assert changes(settled(), [PONG, PONG, UNKNOWN] + [PONG] * 9) == [(5, PONG)]


def test_unknown_takes_ten_frames():
    """Menus of eight frames change nothing; the tenth unknown frame in a row does."""
    assert changes(settled(), ([UNKNOWN] * 8 + [CHESS] * 8) * 100) == []
    assert changes(settled(), [UNKNOWN] * 20) == [(10, UNKNOWN)]


def test_unknown_may_be_the_first_answer():
    """It is an answer like any other, with a confidence."""
    detector = ChangeDetector(GAMES)
    assert changes(detector, [UNKNOWN] * 20) == [(10, UNKNOWN)]
    assert detector.confidence == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_hour_of_one_game_with_random_errors_has_no_change(seed):
    """Of 1800 frames, 5 % are predicted as another game and 20 % are unknown, at random positions."""
    draw = np.random.default_rng(seed).random(1800)
    others = [TETRIS, PONG]
    frames = [others[i % 2] if x < 0.05 else UNKNOWN if x < 0.25 else CHESS for i, x in enumerate(draw)]
    assert changes(settled(), frames) == []


def test_each_change_is_reported_once():
    """The change back to a former game takes as many frames as the change away from it."""
    assert changes(settled(), [PONG] * 10 + [CHESS] * 10 + [UNKNOWN] * 10 + [TETRIS] * 10) == [
        (3, PONG),
        (13, CHESS),
        (30, UNKNOWN),
        (33, TETRIS),
    ]


def test_invalid_arguments_raise_value_error():
    """A margin that exceeds the window, and probabilities of another number of classes."""
    with pytest.raises(ValueError, match="shorter than the margin"):
        ChangeDetector(GAMES, window_frames=9)
    with pytest.raises(ValueError, match="2,"):
        ChangeDetector(GAMES).add_frame(np.ones(2), True)
