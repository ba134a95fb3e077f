"""Effect of cleaning: on features of games that are points in space, with planted wrong labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from model.cleaning.effect import Effect, cleaning_effect
from model.cleaning.findings import DUPLICATE, OTHER_GAME, CheckResult, FrameFinding
from model.inference import linear_head

GAMES = [Game(7, "Chess"), Game(8, "Go"), Game(9, "Shogi")]
CLEAN, WRONG, FRAMES = 6, 3, 5  # streamers of a game, those with the next game's label, frames of each


def dataset() -> tuple[list[StoredFrame], np.ndarray]:
    """Return frames and features (n, 40): logins that begin with `wrong` show the game after that of their label."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 40))
    frames, rows = [], []
    for label, game in enumerate(GAMES):
        for number in range(CLEAN + WRONG):
            wrong = number >= CLEAN
            streamer = centres[(label + wrong) % 3] + rng.normal(scale=1.5, size=40)
            login = f"{'wrong' if wrong else 'good'}_{game.id}_{number}"
            frames += [StoredFrame(game.id, login, n) for n in range(1, FRAMES + 1)]
            rows.append(streamer + rng.normal(scale=0.3, size=(FRAMES, 40)))
    return frames, np.concatenate(rows).astype(np.float16)


def findings(frames: Iterable[StoredFrame], suspects: str) -> CheckResult:
    """Return a check that suspects the logins with this prefix, and suggests the game that the wrong ones show."""

    def suggested(frame: StoredFrame) -> Game:
        return GAMES[(frame.game_id - 7 + 1) % 3]

    hits = [(frame, frame.login.startswith(suspects)) for frame in frames]
    return CheckResult((), tuple(FrameFinding(f, float(hit), OTHER_GAME, "", suggested(f), hit) for f, hit in hits))


def effect(suspects: str, *, relabel: bool = False) -> Effect:
    frames, features = dataset()

    def check_rows(rows: np.ndarray) -> CheckResult:
        return findings((frames[row] for row in rows), suspects)

    return cleaning_effect(frames, features, GAMES, findings(frames, suspects), check_rows, relabel=relabel)


def test_effect_of_removing_wrong_labels_is_a_gain():
    """Every third streamer has another game's label: without them the accuracy of the others rises."""
    found = effect("wrong")
    assert found.streamers == 3 * CLEAN
    assert found.after > found.before
    assert 0 < found.low < found.gain < found.high
    assert found.gain == pytest.approx(found.after - found.before)


def test_effect_of_relabelling_trains_the_suggested_game():
    """The right labels of the suspects add to the accuracy, too."""
    assert effect("wrong", relabel=True).after >= effect("wrong").after - 0.02


def test_effect_of_removing_good_streamers_is_no_gain():
    """A check that suspects streamers with the right label gains nothing."""
    assert effect("good_7_0").low <= 0


def test_effect_is_the_same_each_time():
    """No number depends on chance."""
    assert effect("wrong") == effect("wrong")


def test_effect_checks_without_the_streamers_that_it_tests():
    """Held-out frames decide nothing about training frames; each streamer without a suspect is held out once."""
    frames, features = dataset()
    everyone, held_out = {frame.login for frame in frames}, []

    def check_rows(rows: np.ndarray) -> CheckResult:
        held_out.append(everyone - {frames[row].login for row in rows})
        return findings((frames[row] for row in rows), "wrong")

    cleaning_effect(frames, features, GAMES, findings(frames, "wrong"), check_rows)
    assert all(held_out)
    assert sorted(login for fold in held_out for login in fold) == sorted(one for one in everyone if "good" in one)


def test_effect_of_a_check_that_suspects_all_other_frames_raises():
    """Every frame of a black dataset repeats another one: nothing is left to train on."""
    frames, features = dataset()
    repeats = CheckResult((), tuple(FrameFinding(frame, 0.5, DUPLICATE, "", None, True) for frame in frames))
    with pytest.raises(DatasetError, match="nothing to train on"):
        cleaning_effect(frames, features, GAMES, repeats, lambda _rows: repeats)


@pytest.mark.parametrize(("suspects", "message"), [("nobody", "nothing is suspect"), ("", "takes 5 streamers")])
def test_effect_without_suspects_or_clean_streamers_raises(suspects: str, message: str):
    """There is nothing to compare."""
    with pytest.raises(DatasetError, match=message):
        effect(suspects)


def test_linear_head_separates_classes_of_any_size_and_never_predicts_an_absent_one():
    """A class with a hundredth of the samples is predicted, too."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 1000 + [2] * 10)
    features = rng.normal(size=(1010, 5))
    features[labels == 2] += 3
    logits = linear_head.fit(features, labels, 4).logits(features)
    assert (logits.argmax(axis=1) == labels).mean() > 0.98
    assert set(logits.argmax(axis=1)) == {0, 2}


def test_linear_head_of_equal_features_prefers_no_class():
    """Rounding errors must not favour the class with the fewest samples: that of the held-out streamer."""
    labels = np.array([0] * 18 + [1] * 18 + [2] * 12)
    bias = linear_head.fit(np.ones((48, 5), np.float32), labels, 3).bias
    assert len(set(bias.tolist())) == 1
