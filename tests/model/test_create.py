"""The command model.create, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys

import pytest

from model.inference.classifier import Classifier
from tests.model.conftest import BLUE, GAMES, GREEN, RED, ROOT, create, environment, figures, paint_everything
from tests.model.tiny_backbone import tiny_backbone, tiny_weights

__all__ = ["tiny_backbone", "tiny_weights"]  # fixtures


def test_run_prints_results_and_progress(trained):
    """Exit code 0; results on stdout, progress on stderr, and no message of TensorFlow."""
    assert trained.run.returncode == 0, trained.run.stderr
    first, second, calibrated, third, empty, header, *games = trained.run.stdout.splitlines()
    assert header.split() == ["game", "frames", "right", "streams", "right"]
    assert [re.sub(" +", " ", line) for line in games] == [
        f"{name} 100.0% 4 of 4 100.0%" for name in ("Blue", "Green", "Red")
    ]
    assert empty == ""
    assert first.startswith("Validation: 100.0% of ")
    assert second.startswith("Epoch ")
    assert re.fullmatch(r"Expected calibration error \d+\.\d% \(temperature \d+\.\d\d\)\.", calibrated)
    assert third.startswith(f"{trained.path}: model.h5, model.onnx, classes.txt")
    printed = trained.run.stderr.splitlines()
    assert "red_ann-99.jpg cannot be decoded" in printed[0]
    assert printed[1].startswith("3 games; training: 36 frames of ")
    assert printed[2].startswith("There is no training run to resume")
    assert all(line.startswith("epoch ") for line in printed[3:])


def test_metrics_json_makes_the_run_reproducible(trained):
    """Who validated, all metrics, and the settings; no secret, and no login on both sides."""
    written = figures(trained.path)
    assert written["validation"]["frames"] == sum(map(sum, written["confusion"]))
    wrong = written["validation"]["frames"] - sum(row[label] for label, row in enumerate(written["confusion"]))
    assert len(written["worst"]) == min(wrong, 18)
    assert written["training"]["frames"] + written["validation"]["frames"] == 48
    assert written["training"]["streamers"] + written["validation"]["streamers"] == 11
    assert len(written["validation"]["logins"]) == written["validation"]["streamers"]
    assert [game["name"] for game in written["games"]] == [game.name for game in GAMES]
    assert written["accuracy_by_frame"] == written["accuracy_by_stream"] == 1.0
    assert written["temperature"] > 0
    assert written["unknown"]["share"] == 0.1
    assert written["top3_by_frame"] == 1.0
    assert 0 <= written["ece"] <= 1
    assert sum(step["frames"] for step in written["reliability"]) == written["validation"]["frames"]
    assert [game["accuracy_by_stream"] for game in written["games"]] == [1.0] * 3
    assert {len(values) for values in written["history"].values()} == {written["epochs"]}
    assert 1 <= written["best_epoch"] <= written["epochs"] <= 8
    assert written["settings"]["epochs"] == 8
    assert written["versions"]["keras"]
    assert "token" not in json.dumps(written)
    assert {path.name for path in (trained.path / "results").iterdir()} == {
        "curves.png", "confusion.png", "metrics.json"
    }  # fmt: skip


def test_model_card_describes_the_saved_files(trained):
    """Its games, its metrics, and hashes equal to those of the files."""
    card = (trained.path / "model_card.md").read_text(encoding="utf-8")
    figures = json.loads((trained.path / "results" / "metrics.json").read_text(encoding="utf-8"))
    for name in ("model.h5", "model.onnx", "classes.txt"):
        assert f"| `{name}` | `{hashlib.sha256((trained.path / name).read_bytes()).hexdigest()}` |" in card
    green = figures["games"][1]
    counts = [green[side][what] for side in ("training", "validation") for what in ("frames", "streamers")]
    assert f"| Green | 10 | {' | '.join(map(str, counts))} |" in card
    assert counts[0] + counts[2] == 16
    assert f"| frames right | {figures['accuracy_by_frame']:.1%} of {figures['validation']['frames']} |" in card
    assert "| `EPOCHS` | 8 |" in card


def test_head_trains_on_shipped_features(trained, tmp_path):
    """The shipped backbone computes features of originals, three views and synthetic negatives once; all is saved."""
    settings = {"ARCHITECTURE": "", "AUGMENT": "", "EPOCHS": "3", "FINE_TUNE": "none", "VISUALIZE_RESULTS": "false"}
    run = create(trained.dataset.download_path, tmp_path, **settings)
    assert run.returncode == 0, run.stderr
    written = figures(tmp_path)
    assert (written["settings"]["architecture"], written["epochs"]) == ("efficientnet_lite0", 3)
    computed = [line.rpartition(", ")[2] for line in run.stderr.splitlines() if line.startswith("backbone")]
    views = [f"view {view} of 3" for view in (1, 2, 3)]
    assert sorted(computed) == ["originals", "originals", "synthetic negatives", *views]
    classifier = Classifier.load(tmp_path)
    assert classifier.classes == GAMES
    # Of three games, a second head does not know the first one, which four streamers play.
    assert written["unknown"]["by_stream"]["unknown_streams"] == 4
    assert written["unknown"]["stream_threshold"] == classifier.calibration.stream_threshold > 0


def test_fine_tuning_follows_the_head(trained, tiny_backbone, tiny_weights, tmp_path):
    """FINE_TUNE=upper trains the upper blocks on augmented images after the head, and the whole model is saved."""
    settings = {"ARCHITECTURE": tiny_backbone, "AUGMENT": "", "EPOCHS": "2", "VISUALIZE_RESULTS": "false"}
    settings |= {"FINE_TUNE": "upper", "FINE_TUNE_EPOCHS": "1", "INITIAL_WEIGHTS": tiny_weights}
    run = create(trained.dataset.download_path, tmp_path / "model", **settings)
    assert run.returncode == 0, run.stderr
    assert figures(tmp_path / "model")["epochs"] == 2 + 1
    assert Classifier.load(tmp_path / "model").classes == GAMES


def test_folds_validate_each_streamer_once(trained, tmp_path):
    """Mean and deviation are printed and written; the confusion matrix has every frame; the model is of all frames.

    --epochs goes before EPOCHS; -q prints nothing on stderr; no plot is drawn without VISUALIZE_RESULTS.
    """
    words, settings = ("-q", "--epochs", "4", "--folds", "2"), {"EPOCHS": "99", "VISUALIZE_RESULTS": "false"}
    run = create(trained.dataset.download_path, tmp_path, *words, **settings, BATCH_SIZE="8", LEARNING_RATE="0.003")
    assert (run.returncode, run.stderr) == (0, "")
    assert not (tmp_path / "results" / "curves.png").exists()
    assert run.stdout.startswith("Cross-validation, 2 folds: ")
    assert "16 of 16" in run.stdout.splitlines()[-1]
    written = figures(tmp_path)
    assert sum(map(sum, written["confusion"])) == written["training"]["frames"] == 48
    assert len(written["validation"]["logins"]) == 11
    for side in ("by_frame", "by_stream"):
        each = written["cross_validation"][side]
        assert len(each["folds"]) == 2
        assert each["mean"] == pytest.approx(sum(each["folds"]) / 2)
    assert written["accuracy_by_frame"] > 0.9
    assert Classifier.load(tmp_path).classes == GAMES


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only error line on stderr; nothing is on stdout."""
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return line


def test_missing_dataset_is_reported_before_tensorflow_loads(tmp_path):
    """The message says how to collect one."""
    code = "import sys; from model.create import main; print(main(['-q']), 'tensorflow' in sys.modules)"
    env = environment(tmp_path / "nowhere", tmp_path / "model")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert "python -m data.download" in done.stderr
    assert not (tmp_path / "model").exists()


def test_single_game_is_named(painted, tmp_path):
    """A classifier needs two games."""
    painted.paint(RED, "ann")
    painted.name(RED)
    done = create(painted.download_path, tmp_path / "model")
    assert done.returncode == 1
    assert "Red is the only game" in error_line(done)


def test_game_with_one_streamer_is_named(painted, tmp_path):
    """By its id where games.tsv does not have it."""
    for login in ("ann", "ben"):
        painted.paint(RED, login)
    painted.paint(BLUE, "cat")
    done = create(painted.download_path, tmp_path / "model")
    assert done.returncode == 1
    assert "Too few streamers with readable frames to split: game 100 (1)." in error_line(done)


def test_streamer_without_readable_frames_does_not_count(painted, tmp_path):
    """The readable frames decide; the others are named before."""
    for game in (RED, GREEN):
        for login in ("ann", "ben"):
            painted.paint(game, f"{login}{game.id}", 1)
    (painted.root / "10" / "ben10-1.jpg").write_bytes(b"")
    painted.name(RED, GREEN)
    done = create(painted.download_path, tmp_path / "model")
    assert done.returncode == 1
    assert "Green (1)" in error_line(done)


@pytest.mark.parametrize(
    "setting",
    [
        ("EPOCHS", "0"),
        ("VALIDATION_SPLIT", "1.5"),
        ("ARCHITECTURE", "vgg"),
        ("INITIAL_WEIGHTS", "nowhere.weights.h5"),
        ("FINE_TUNE", "block_99"),
        ("TF_CONFIG", '{"cluster": {}}'),
    ],
)
def test_invalid_setting_is_named(painted, tmp_path, setting):
    """Exit code 2, and the line begins with the setting."""
    paint_everything(painted)
    settings = {"ARCHITECTURE": "efficientnet_lite0"} | dict([setting])
    done = create(painted.download_path, tmp_path / "model", **settings)
    assert done.returncode == 2
    assert error_line(done).startswith(f"error: {setting[0]}: ")


def test_file_as_model_path_is_reported_before_training(painted, tmp_path):
    """MODEL_PATH must be a folder."""
    paint_everything(painted)
    (tmp_path / "model").write_text("")
    done = create(painted.download_path, tmp_path / "model")
    assert done.returncode == 2
    assert error_line(done).startswith("error: MODEL_PATH: ")


def test_zero_epochs_are_rejected(tmp_path):
    """The parser exits with code 2."""
    done = create(tmp_path, tmp_path, "--epochs", "0")
    assert done.returncode == 2
    assert "at least 1" in done.stderr
