"""Other forms of the trained model, by the command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.artifacts import conversion
from model.inference.classifier import FILE, INT8_FILE, Classifier, file_of
from tests.model.conftest import GAMES, ROOT, picture
from tests.model.test_validation import black, seen


def export(folder: Path, dataset: Path) -> subprocess.CompletedProcess[str]:
    """The command."""
    environment = {"MODEL_PATH": str(folder), "DOWNLOAD_PATH": str(dataset), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "model.export"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The trained model's folder without its model.onnx, the command run there once, and what it printed."""
    folder = shutil.copytree(trained.path, tmp_path_factory.mktemp("exported") / "model")
    (folder / FILE).unlink()
    done = export(folder, trained.dataset.download_path)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_each_form_is_compared_with_keras(exported):
    """A line for each file: what was not rounded answers as Keras does, and 8 bits do on these plain pictures."""
    folder, said = exported
    lines = said.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [FILE, INT8_FILE, "model.tflite"]
    for line in lines:
        match = re.fullmatch(r"\S+ +\d+\.\d +(\d+) of (\d+) \(\d+\.\d%\) +\S+ +\d+\.\d", line)
        assert match is not None
        assert (int(match[1]), int(match[2])) == (0, 36)
        assert (folder / line.split()[0]).is_file()


def test_8_bits_are_smaller_and_judge_as_well(exported, trained):
    """A third of the size; the same classes and calibration; new pictures are recognised, and black is unknown."""
    folder, _ = exported
    small, whole = Classifier.load(folder, file=INT8_FILE), Classifier.load(trained.path)
    assert small.classes == GAMES
    assert small.calibration.words() == whole.calibration.words()
    words = len(str(whole.calibration.words()))
    assert (folder / INT8_FILE).stat().st_size - words < 0.4 * ((folder / FILE).stat().st_size - words)
    images = seen(*(picture(game, 900 + seed) for game in GAMES for seed in range(5)))
    assert small.judge(images).logits.argmax(axis=1).tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert not small.judge(seen(black())).known.any()


def test_a_form_of_another_model_is_found_out(exported):
    """The comparison counts what differs: against answers that are all others, every one."""
    folder, _ = exported
    images = seen(*(picture(game, 950) for game in GAMES))
    answers = Classifier.load(folder).logits(images)
    for form in (FILE, "model.tflite"):
        assert conversion.compared(answers, images, folder / form).differ == 0
        found = conversion.compared(np.roll(answers, 1, axis=1), images, folder / form)
        assert (found.differ, found.frames) == (3, 3)
        assert found.largest > 0.1


def test_8_bits_are_taken_where_they_are(exported, trained):
    """By the setting, and only where the file was made."""
    folder, _ = exported
    assert file_of(folder, int8=True) == INT8_FILE
    assert file_of(folder, int8=False) == FILE
    assert file_of(trained.path, int8=True) == FILE


@pytest.mark.parametrize("missing", ["model.h5", "frames"])
def test_what_is_missing_is_named(trained, tmp_path, missing):
    """One line, and exit code 1."""
    folder = tmp_path / "model" if missing == "model.h5" else trained.path
    done = export(folder, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert missing in [line for line in done.stderr.splitlines() if line.startswith("error: ")][-1]
