"""Stream answers and game metrics: what recognition would answer, counted by game, and read again from metrics.json."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from data.entities import Game, StoredFrame
from data.errors import ModelError
from model.evaluation.game_metrics import GameMetrics, read_game_metrics
from model.evaluation.stream_answers import answer_streams
from model.inference.calibration import Calibration, ScoredLogits
from tests.model.conftest import figures

CHESS, TETRIS = Game(743, "Chess"), Game(9, "Tetris")
CALIBRATION = Calibration(stream_threshold=0.9)
GAMEPLAY, MENU = [-1.0] * 4, [0.5, -1.0, -1.0, -1.0]
# game, login, logits and screen margins of each of its frames
STREAMS = [
    (CHESS, "right", [9.0, 0.0], GAMEPLAY),
    (CHESS, "wrong", [0.0, 9.0], GAMEPLAY),
    (CHESS, "wrong_menu", [0.0, 9.0], MENU),  # a screen contradicts no streamer
    (CHESS, "menu", [0.1, 0.0], MENU),
    (CHESS, "less_sure", [2.5, 0.0], MENU),  # 92 %: known, and the right game is no screen
    (CHESS, "wrong_less_sure", [0.0, 2.5], GAMEPLAY),
    (TETRIS, "unsure", [0.0, 0.1], GAMEPLAY),
    (TETRIS, "right", [0.0, 9.0], GAMEPLAY),
]


def scored(count: int) -> tuple[ScoredLogits, list[StoredFrame]]:
    """Return predictions and frames, `count` of each stream."""
    frames = [StoredFrame(game.id, login, number) for game, login, *_ in STREAMS for number in range(count)]
    logits, screens = (np.repeat([stream[column] for stream in STREAMS], count, axis=0) for column in (2, 3))
    return ScoredLogits(logits, np.zeros(len(frames)), np.ones(len(frames), bool), screens), frames


@pytest.mark.parametrize("count", [1, 15, 100])
def test_streams_are_counted_by_their_answer(count):
    """Precision is of the streams that are surely called a game; a screen that is not the right game is no game."""
    answers = answer_streams(*scored(count), [CHESS, TETRIS], CALIBRATION)
    assert answers.of_game(0) == {
        "precision_by_stream": 1.0,
        "called_streams": 1,
        "streams_by_answer": {"right": 2, "other_game": 1, "no_game": 2, "unknown": 1, "sure": 1},
    }
    assert answers.of_game(1)["precision_by_stream"] == 0.5
    assert answers.of_game(1)["streams_by_answer"] == {
        "right": 1,
        "other_game": 0,
        "no_game": 0,
        "unknown": 1,
        "sure": 1,
    }
    assert answers.false_no_game == 2 / 8


def test_game_that_is_never_called_has_no_precision():
    """Without a called stream there is nothing to divide; without a screen head nothing is no game."""
    predictions, frames = scored(2)
    answers = answer_streams(replace(predictions, screens=None), frames, [CHESS, TETRIS], Calibration(threshold=1.0))
    assert answers.of_game(0)["precision_by_stream"] == 1.0
    none_known = replace(predictions, known=np.zeros(len(frames), bool), screens=None)
    answers = answer_streams(none_known, frames, [CHESS, TETRIS], CALIBRATION)
    assert answers.of_game(0)["precision_by_stream"] is None
    assert answers.of_game(0)["streams_by_answer"] == {
        "right": 0, "other_game": 0, "no_game": 0, "unknown": 6, "sure": 0,
    }  # fmt: skip


def test_trained_model_states_the_metrics_of_each_game(trained):
    """metrics.json of a training has all keys, which add up, and is read by game id."""
    written = figures(trained.path)
    assert 0 <= written["screens"]["false_no_game"] <= 1
    assert set(written["screens"]["detected"]) == {"menu", "intermission", "talking", "desktop"}
    metrics = read_game_metrics(trained.path)
    assert metrics
    assert set(metrics) == {9, 10, 100}
    for entry in written["games"]:
        read = metrics[entry["id"]]
        counts = (read.right, read.other_game, read.no_game, read.unknown)
        assert sum(counts) == entry["validation"]["streamers"]
    assert sum(read.sure + read.other_game for read in metrics.values()) == sum(r.called for r in metrics.values())


ENTRY = {
    "id": 743, "name": "Chess", "precision_by_stream": 0.5, "called_streams": 2,
    "streams_by_answer": {"right": 1, "other_game": 2, "no_game": 3, "unknown": 4, "sure": 1},
}  # fmt: skip


def write(model_path, text: str) -> None:
    (model_path / "results").mkdir()
    (model_path / "results" / "metrics.json").write_text(text, encoding="utf-8")


def test_game_metrics_are_read(tmp_path):
    """Each entry becomes a GameMetrics; half a character in a name becomes U+FFFD."""
    write(tmp_path, json.dumps({"games": [ENTRY | {"name": "Ch\ud800ess"}]}))
    assert read_game_metrics(tmp_path) == {743: GameMetrics(Game(743, "Ch\ufffdess"), 0.5, 2, 1, 2, 3, 4, 1)}


def test_older_model_has_no_game_metrics(tmp_path):
    """Without a file, and with the file of an older version, there is nothing to judge a game by."""
    assert read_game_metrics(tmp_path) is None
    write(tmp_path, json.dumps({"games": [{"id": 743, "name": "Chess"}]}))
    assert read_game_metrics(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "null", '{"games": 3}', '{"games": [3]}', "[" * 100_000,
        json.dumps({"games": [ENTRY | {"precision_by_stream": 1.5}]}),
        json.dumps({"games": [ENTRY | {"precision_by_stream": "1"}]}),
        json.dumps({"games": [ENTRY | {"precision_by_stream": float("nan")}]}),
        json.dumps({"games": [ENTRY | {"called_streams": -1}]}),
        json.dumps({"games": [ENTRY | {"id": True}]}),
        json.dumps({"games": [ENTRY | {"name": None}]}),
        json.dumps({"games": [ENTRY, {"id": 9}]}),
        json.dumps({"games": [ENTRY | {"streams_by_answer": 3}]}),
    ],
    ids=range(14),
)  # fmt: skip
def test_damaged_metrics_raise(tmp_path, text):
    """Whatever is wrong, the message names the file and says what to do."""
    write(tmp_path, text)
    with pytest.raises(ModelError, match=r"metrics\.json cannot be read\. Train the model again"):
        read_game_metrics(tmp_path)
