"""Exported models, by the command."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from model.artifacts import conversion
from model.inference.classifier import INT8_FILE, ONNX_FILE, Classifier, model_file
from tests.in_process import run_command
from tests.model.conftest import GAMES, picture
from tests.model.test_validation import black, compressed


def export(folder: Path, dataset: Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    env = {"MODEL_PATH": str(folder), "DOWNLOAD_PATH": str(dataset), "CUDA_VISIBLE_DEVICES": ""}
    return run_command("model.export", env=env)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Run the command on the trained model without its model.onnx; return the folder and what it printed."""
    folder = shutil.copytree(trained.path, tmp_path_factory.mktemp("exported") / "model")
    (folder / ONNX_FILE).unlink()
    done = export(folder, trained.dataset.download_path)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_export_prints_a_comparison_for_each_file(exported):
    """One line per file: on these plain images every format answers as Keras does."""
    folder, output = exported
    lines = output.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [ONNX_FILE, INT8_FILE, "model.tflite"]
    for line in lines:
        match = re.fullmatch(r"\S+ +\d+\.\d +(\d+) of (\d+) \(\d+\.\d%\) +\S+ +\d+\.\d", line)
        assert match is not None
        assert (int(match[1]), int(match[2])) == (0, 36)
        assert (folder / line.split()[0]).is_file()


def test_int8_model_is_smaller_and_predicts_the_same(exported, trained):
    """A third of the size, the same classes and calibration; new images are recognised, and black is unknown."""
    folder, _ = exported
    small, whole = Classifier.load(folder, file=INT8_FILE), Classifier.load(trained.path)
    assert small.classes == GAMES
    assert small.calibration.to_metadata() == whole.calibration.to_metadata()
    words = len(str(whole.calibration.to_metadata()))
    assert (folder / INT8_FILE).stat().st_size - words < 0.4 * ((folder / ONNX_FILE).stat().st_size - words)
    images = compressed(*(picture(game, 900 + seed) for game in GAMES for seed in range(5)))
    assert small.predict(images).logits.argmax(axis=1).tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert not small.predict(compressed(black())).known.any()


def test_comparison_counts_different_answers(exported):
    """Against answers that are all different, every one counts."""
    folder, _ = exported
    images = compressed(*(picture(game, 950) for game in GAMES))
    answers = Classifier.load(folder).logits(images)
    for file in (ONNX_FILE, "model.tflite"):
        assert conversion.compare_with_keras(answers, images, folder / file).different_answers == 0
        comparison = conversion.compare_with_keras(np.roll(answers, 1, axis=1), images, folder / file)
        assert (comparison.different_answers, comparison.frames) == (3, 3)
        assert comparison.max_logit_difference > 0.1


def test_int8_setting_uses_the_int8_file_if_it_exists(exported, trained):
    """Without the setting or the file it is model.onnx."""
    folder, _ = exported
    assert model_file(folder, int8=True) == INT8_FILE
    assert model_file(folder, int8=False) == ONNX_FILE
    assert model_file(trained.path, int8=True) == ONNX_FILE


@pytest.mark.parametrize("missing", ["model.h5", "frames"])
def test_missing_input_is_named(trained, tmp_path, missing):
    """One line, and exit code 1."""
    folder, dataset = trained.path, tmp_path
    if missing == "model.h5":
        folder, dataset = shutil.copytree(trained.path, tmp_path / "model"), trained.dataset.download_path
        (folder / missing).unlink()
    done = export(folder, dataset)
    assert (done.returncode, done.stdout) == (1, "")
    assert missing in [line for line in done.stderr.splitlines() if line.startswith("error: ")][-1]
