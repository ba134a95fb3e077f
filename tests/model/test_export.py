"""Exported models, by the command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import ModelError
from data.video.images import encode_jpeg
from model.artifacts import conversion, model_files
from model.inference.classifier import INT8_FILE, ONNX_FILE, Classifier, model_file
from tests.in_process import run_command
from tests.model.conftest import GAMES, ROOT, environment, picture
from tests.model.test_validation import black, compressed


def export(folder: Path, dataset: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    env = {"MODEL_PATH": str(folder), "DOWNLOAD_PATH": str(dataset), "CUDA_VISIBLE_DEVICES": ""}
    return run_command("model.export", *map(str, words), env=env)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Run the command on the trained model without its model.onnx, and without a dataset; return folder and output."""
    root = tmp_path_factory.mktemp("exported")
    folder = shutil.copytree(trained.path, root / "model")
    (folder / ONNX_FILE).unlink()
    for game in GAMES:
        shutil.copytree(trained.dataset.root / str(game.id), root / "mine" / game.name.lower())
    command = [sys.executable, "-m", "model.export", "--calibrate-on", str(root / "mine")]
    env = environment(root / "nowhere", folder)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_export_prints_a_comparison_for_each_file(exported):
    """One line per file: on these plain images every format answers as Keras does."""
    folder, done = exported
    lines = done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [ONNX_FILE, INT8_FILE, "model.tflite"]
    for line in lines:
        match = re.fullmatch(r"\S+ +\d+\.\d +(\d+) of (\d+) \(\d+\.\d%\) +\S+ +\d+\.\d", line)
        assert match is not None
        assert (int(match[1]), int(match[2])) == (0, 36)
        assert (folder / line.split()[0]).is_file()


def test_export_prints_no_message_of_libraries(exported):
    """Only the frame that is no image is named: nothing of absl, CUDA, XNNPACK, the quantizer or Keras."""
    _, done = exported
    assert [line.partition(" cannot")[0].rpartition("/")[2] for line in done.stderr.splitlines()] == ["red_ann-99.jpg"]


def test_missing_dataset_is_reported_before_tensorflow_loads(trained, tmp_path):
    """The line says how to name another folder."""
    code = "import sys; from model.export import main; print(main([]), 'tensorflow' in sys.modules)"
    env = environment(tmp_path, trained.path)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    (line,) = done.stderr.splitlines()
    assert "--calibrate-on" in line


@pytest.mark.parametrize(
    ("images", "named"), [("none", "not found"), ("a file", "Not a directory"), ("another game", "0 images")]
)
def test_unusable_folder_is_named(trained, tmp_path, images, named):
    """One line, and nothing is converted."""
    folder = tmp_path / "mine"
    if images == "a file":
        folder.write_text("")
    elif images == "another game":
        (folder / "Magenta").mkdir(parents=True)
        (folder / "Magenta" / "ann-1.jpg").write_bytes(encode_jpeg(picture(GAMES[0], 1), 95))
    done = export(trained.path, tmp_path, "--calibrate-on", folder)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert named in line


DAMAGED_H5 = {
    "empty": lambda whole: whole[:0],
    "text": lambda whole: b"no model" + whole[:0],
    "truncated": lambda whole: whole[: len(whole) // 2],
    "other layer": lambda whole: whole.replace(b'"Conv2D"', b'"Conv9D"'),
    "no JSON": lambda whole: whole.replace(b'{"module": "keras"', b'{"module": "keras'),
    "no UTF-8": lambda whole: whole.replace(b'"Conv2D"', b'"\xff\xfe\xfd2D"'),
}


@pytest.mark.parametrize("damage", DAMAGED_H5.values(), ids=DAMAGED_H5)
def test_damaged_h5_raises_model_error(trained, tmp_path, damage):
    """Whatever Keras and HDF5 raise, it is one line."""
    path = tmp_path / "model.h5"
    path.write_bytes(damage((trained.path / "model.h5").read_bytes()))
    with pytest.raises(ModelError, match=r"model\.h5 cannot be loaded") as caught:
        conversion.load(path, 3)
    assert "\n" not in str(caught.value)


def test_h5_of_another_model_raises_model_error(trained, tmp_path):
    """A whole Keras model with other classes, and an HDF5 file that is no model."""
    with pytest.raises(ModelError, match=r"cannot be loaded \(its input is"):
        conversion.load(trained.path / "model.h5", 4)
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["calibration/temperature"] = np.arange(3)
    with pytest.raises(ModelError, match="cannot be loaded"):
        conversion.load(tmp_path / "model.h5", 3)
    with pytest.raises(ModelError, match=r"calibration in .* cannot be read"):
        model_files.calibration_of(tmp_path / "model.h5")


@pytest.mark.parametrize("kind", ["external array", "virtual array", "external link"])
def test_h5_that_refers_to_other_files_is_refused(trained, tmp_path, kind):
    """HDF5 would read any file that the model names, as ONNX would."""
    path, secret = shutil.copy(trained.path / "model.h5", tmp_path / "model.h5"), tmp_path / "secret"
    secret.write_bytes(b"\0" * 1000)
    with h5py.File(path, "r+") as file:
        if kind == "external array":
            file.create_dataset("more", (10,), "f4", external=[(str(secret), 0, 40)])
        elif kind == "virtual array":
            layout = h5py.VirtualLayout((10,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (10,))
            file.create_virtual_dataset("more", layout)
        else:
            file["model_weights/more"] = h5py.ExternalLink(str(secret), "/x")
    with pytest.raises(ModelError, match="it refers to other files"):
        conversion.load(path, 3)


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
