"""recognition.decision.change_detector: when the answer for a stream changes, on made-up sequences of frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from data.entities import Game
from recognition.decision.change_detector import FRAMES, Window

CHESS, TETRIS, PONG = GAMES = (Game(1, "Chess"), Game(2, "Tetris"), Game(3, "Pong"))
UNKNOWN = None

Frame = Game | None  # what a frame shows


def heard(window: Window, frames: Iterable[Frame], sure: float = 0.99) -> list[tuple[int, Frame]]:
    """The changes: after how many of the frames, and to what. `sure`: the probability of what a frame shows."""
    changes = []
    for number, shown in enumerate(frames, 1):
        probabilities = np.full(len(GAMES), (1 - sure) / (len(GAMES) - 1))
        probabilities[GAMES.index(shown or CHESS)] = sure
        if window.hear(probabilities, shown is not UNKNOWN):
            changes.append((number, window.game))
    return changes


def settled(game: Frame = CHESS) -> Window:
    """A window with an answer that has stood for long."""
    window = Window(GAMES)
    heard(window, [game] * 50)
    assert window.settled
    assert window.game == game
    return window


def test_before_the_first_answer():
    """Nothing is settled by two frames; that is neither a game nor unknown."""
    window = Window(GAMES)
    assert not heard(window, [CHESS, CHESS])
    assert (window.settled, window.game) == (False, None)
    assert heard(window, [CHESS]) == [(1, CHESS)]
    assert window.confidence == pytest.approx(0.99)


@pytest.mark.parametrize(("before", "after"), [(CHESS, PONG), (PONG, TETRIS), (UNKNOWN, PONG)])
def test_the_third_frame_of_a_new_game_settles_it(before, after):
    """However long the old answer has stood, and if it was unknown: three sure frames in a row are enough."""
    assert heard(settled(before), [after] * 20) == [(3, after)]


@pytest.mark.parametrize("frames", [10, 12, 20, 40])
def test_what_has_lost_does_not_vote_again(frames):
    """Whatever the window's length, many old frames are no reason to go back once a new game has won."""
    window = Window(GAMES, frames=frames)
    heard(window, [CHESS] * 50)
    assert heard(window, [PONG] * 50) == [(3, PONG)]


def test_where_the_model_is_less_sure_it_takes_longer():
    """Frames at 70 % lead by 0.55 each: the fourth settles it. At 40 % by a tenth: never within the window."""
    assert heard(settled(), [PONG] * 20, sure=0.7) == [(4, PONG)]
    assert heard(settled(), [PONG] * 20, sure=0.4) == []


def test_two_frames_of_something_else_change_nothing():
    """Glances at another game, for two frames of every three, come and go for an hour."""
    assert heard(settled(), [PONG, PONG, CHESS, CHESS] * 450, sure=1.0) == []
    assert heard(settled(), [PONG, TETRIS, CHESS] * 600, sure=1.0) == []


def test_a_mistake_among_the_new_frames_delays_it():
    """One frame of the old game between: it takes a vote away, which another frame gives back."""
    assert heard(settled(), [PONG, PONG, CHESS, PONG, PONG, PONG]) == [(5, PONG)]


def test_a_loading_screen_before_a_new_game():
    """It does not count against what follows; among the frames that follow, one more is needed for it."""
    assert heard(settled(), [UNKNOWN] * 3 + [PONG] * 9) == [(6, PONG)]
    assert heard(settled(), [PONG, PONG, UNKNOWN] + [PONG] * 9) == [(5, PONG)]


def test_unknown_takes_longer():
    """Menus of a quarter of a minute change nothing; what stays unknown is, by its tenth frame."""
    assert heard(settled(), ([UNKNOWN] * 8 + [CHESS] * 8) * 100) == []
    assert heard(settled(), [UNKNOWN] * 20) == [(10, UNKNOWN)]


def test_unknown_from_the_beginning():
    """It is an answer like any other, and settled."""
    window = Window(GAMES)
    assert heard(window, [UNKNOWN] * 20) == [(10, UNKNOWN)]
    assert window.settled
    assert window.confidence == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_an_hour_of_one_game(seed):
    """1800 frames, of which one in twenty is taken for another game and one in five for unknown, wherever they fall."""
    draw = np.random.default_rng(seed).random(1800)
    others = [TETRIS, PONG]
    frames = [others[i % 2] if x < 0.05 else UNKNOWN if x < 0.25 else CHESS for i, x in enumerate(draw)]
    assert heard(settled(), frames) == []


def test_there_and_back():
    """Each change is told once, and the way back is as hard as the way there."""
    assert heard(settled(), [PONG] * 10 + [CHESS] * 10 + [UNKNOWN] * 10 + [TETRIS] * 10) == [
        (3, PONG),
        (13, CHESS),
        (30, UNKNOWN),
        (33, TETRIS),
    ]


def test_what_makes_no_sense_is_refused():
    """Margins beyond the window could never be reached; probabilities of other classes are an error."""
    with pytest.raises(ValueError, match="margins"):
        Window(GAMES, unknown_margin=FRAMES + 1)
    with pytest.raises(ValueError, match="2,"):
        Window(GAMES).hear(np.ones(2), True)
