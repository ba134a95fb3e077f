"""Figures of real_games from made predictions, and its parts that train, on painted frames."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import _bootstrap, _folds, _real_games, real_games
from config import Settings
from data.entities import Game, StoredFrame
from model.datasets import split
from model.evaluation import metrics
from model.inference.calibration import Calibration, ScoredLogits
from tests.model.conftest import SIZE, Painted, paint_everything

GAMES = {"5": "Chess", "7": "Go", "9": "Poker"}
SOURCES = {"5/ann": "gameplay", "5/ben": "menus", "7/ann": "stream", "7/cat": "gameplay/stream", "9/dan": "menus"}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a quarter of the draws: their number changes no assertion."""
    monkeypatch.setattr(_bootstrap, "DRAWS", 500)


def _made(seed: int = 1, right: float = 1.0) -> dict:
    """Return a run of four frames per source, with random logits and `right` added to those of the right game."""
    rng = np.random.default_rng(seed)
    paths = [f"{source}-{number}.jpg" for source in SOURCES for number in range(1, 5)]
    own = np.array([list(GAMES).index(path.partition("/")[0]) for path in paths])
    logits = rng.normal(size=(20, 3)) + right * np.eye(3)[own]
    known = {"paths": paths, "logits": logits.tolist(), "sources": [[source, source != "9/dan"] for source in SOURCES]}
    left_out = {
        "paths": ["5/ann-1.jpg", "5/ben-1.jpg", "7/ann-1.jpg", "7/cat-1.jpg"],
        "is_known": [True, True, False, False],
        "scores": [3.0, 1.0, 2.0, 0.0],
        "sources": [["5/ann", True, 3.0, True], ["5/ben", True, 2.0, True], ["7/ann", False, 1.0, True]],
    }
    about = {"seed": 123, "settings": {}, "cpu_s": 1.0, "wall_s": 1.0, "games": GAMES}
    return about | {"known": known, "left_out": left_out}


def test_figures_equal_the_metrics_of_the_product():
    """The values, all repositories once, are those that model.create would print for the same predictions."""
    run = _made()
    frames = [StoredFrame.parse(path) for path in run["known"]["paths"]]
    classes = [Game(int(game), name) for game, name in GAMES.items()]
    expected = metrics.evaluate(np.array(run["known"]["logits"]), frames, classes)
    found = {name: figure.value for name, figure in _real_games.figures([run]).items()}
    assert found["frames"] == expected.frame_accuracy
    assert found["macro"] == pytest.approx(np.mean(expected.recall_per_game))
    assert found["sources"] == expected.stream_accuracy
    assert found["top3"] == expected.top3_accuracy
    assert found["ece"] == pytest.approx(expected.ece)
    assert (found["false_unknown"], found["false_known"]) == (1 / 5, 1)
    assert (found["auroc_frames"], found["auroc_sources"]) == (3 / 4, 1)


def test_figures_of_some_sources_count_these_only():
    """Gameplay and streams: the menus of ben and dan are neither frames nor sources."""
    run = _made(right=9)
    found = _real_games.figures([run], lambda source: SOURCES[source] != "menus")
    assert found["false_unknown"].value == 0
    assert (found["auroc_frames"].value, found["frames"].value) == (1, 1)


def test_login_with_several_games_moves_as_one():
    """ann's two sources are right and nobody else's: the draws hold an even number of right sources."""
    run = _made()
    for path, row in zip(run["known"]["paths"], run["known"]["logits"], strict=True):
        own = list(GAMES).index(path.partition("/")[0])
        row[:] = np.eye(3)[own if "ann" in path else (own + 1) % 3] * 9
    sources = _real_games.figures([run])["sources"]
    drawn = {round(value, 3) for value in sources.draws}
    # 0 to 4 draws of ann, two sources each; the others give one source each
    assert drawn == {0, round(2 / 5, 3), round(4 / 6, 3), round(6 / 7, 3), 1}


def test_difference_is_paired():
    """Two recipes with equal predictions differ by nothing in each draw, although the draws differ."""
    same = _real_games.figures([_made()])["frames"] - _real_games.figures([_made()])["frames"]
    assert same.rounded() == [0, 0, 0]
    better = _real_games.figures([_made(right=9)])["frames"] - _real_games.figures([_made(right=-9)])["frames"]
    assert better.rounded() == [1, 1, 1]


def test_several_runs_give_their_mean():
    """The figure of two seeds is the mean of each one's."""
    runs = [_made(right=9), _made(right=-9)]
    assert _real_games.figures(runs)["frames"].value == 0.5


def test_read_prints_tables_and_the_difference(tmp_path, capsys):
    """Stored predictions are printed again and compared; worst games and sources come first."""
    new, old, table = tmp_path / "new.json", tmp_path / "old.json", tmp_path / "sources.tsv"
    new.write_text(json.dumps([_made(right=9)]), encoding="utf-8")
    old.write_text(json.dumps([_made(right=-9)]), encoding="utf-8")
    lines = [f"{source.replace('/', chr(9))}\t{kind}" for source, kind in SOURCES.items()]
    table.write_text("\n".join(["id\tlogin\tkind", *lines]), encoding="utf-8")
    assert real_games.main(["--read", str(new), "--against", str(old), "--sources", str(table)]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[0])["frames"] == [1, 1, 1]
    assert "|  | all sources | gameplay and streams |" in printed
    assert printed.count("| frames right | 100.0% (100.0 to 100.0)") == 2
    assert "| Chess | 8 | 100% | 2/2 |  |" in printed


@pytest.mark.parametrize("other", ["frames", "seeds"])
def test_against_other_frames_or_seeds_is_refused(tmp_path, other):
    """Differences between predictions for other frames, or other folds, say nothing."""
    new, old, run = tmp_path / "new.json", tmp_path / "old.json", _made()
    new.write_text(json.dumps([run]), encoding="utf-8")
    if other == "frames":
        run["known"]["paths"][0] = "5/ann-99.jpg"
    else:
        run["seed"] = 7
    old.write_text(json.dumps([run]), encoding="utf-8")
    with pytest.raises(SystemExit, match="other frames"):
        real_games.main(["--read", str(new), "--against", str(old)])


def test_without_frames_the_benchmark_is_skipped(capsys):
    """`make bench` runs each benchmark without arguments, and there are no frames of streamed games to find."""
    assert real_games.main([]) == 0
    assert "--frames" in capsys.readouterr().err


def test_left_out_game_is_unknown_with_all_its_frames(tmp_path):
    """The network of the other games predicts their validation frames and every frame of the game that it lacks."""
    root = paint_everything(Painted(tmp_path / "dataset")).root
    frames, classes = _folds.dataset(root)
    chosen = {"epochs": 1, "architecture": "cnn", "initial_weights": "none", "img_size": SIZE, "augment": False}
    settings = Settings(model_path=tmp_path / "model", _env_file=None, **chosen)
    context = _folds.make_context(settings, root, frames, classes)
    sides = split.k_folds(frames, classes, 3, seed=123)[0]
    red = classes[0]
    (is_known, known, predicted), (is_unknown_known, unknown, others) = real_games.predict_without(
        context, sides, [red]
    )
    assert (is_known, is_unknown_known) == (True, False)
    assert list(known) == [frame for frame in sides.validation if frame.game_id != red.id]
    assert unknown == [frame for frame in frames if frame.game_id == red.id]
    assert predicted.logits.shape == (len(known), 2)
    assert others.logits.shape == (len(unknown), 2)


def test_stream_is_known_by_the_rule_of_recognition():
    """A source's score is the winner's mean probability over its frames, and the calibration's threshold decides."""
    frames = [StoredFrame(5, "ann", 1), StoredFrame(5, "ben", 1), StoredFrame(5, "ann", 2)]
    scored = ScoredLogits(np.log([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]), np.zeros(3), np.ones(3, bool))
    (ann, *ann_says), (ben, *ben_says) = real_games.by_source(frames, scored, Calibration(stream_threshold=0.7))
    assert (ann, ben) == ("5/ann", "5/ben")
    assert ann_says == [pytest.approx(0.8), True]
    assert ben_says == [pytest.approx(0.6), False]
