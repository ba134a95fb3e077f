"""Exported models, by the command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest

from data.errors import ModelError
from data.video.images import encode_jpeg
from model.artifacts import comparison
from model.inference.calibration import Calibration, ScoredLogits
from model.inference.classifier import INT8_FILE, ONNX_FILE, Classifier, model_file
from tests.in_process import run_command
from tests.model.conftest import GAMES, ROOT, environment, picture
from tests.model.lazily import conversion, model_files, quantization
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
    env = environment(root / "nowhere", folder)
    done = run_command("model.export", "--calibrate-on", str(root / "mine"), env=env)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_export_prints_a_comparison_for_each_file(exported):
    """One line per file: in float32 every answer is that of Keras; the 8-bit file was compared and not refused."""
    folder, done = exported
    lines = done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [ONNX_FILE, INT8_FILE, "model.tflite"]
    for line in lines:
        match = re.fullmatch(r"\S+ +\d+\.\d +(\d+) of (\d+) \(\d+\.\d%\) +(\d+) of (\d+) +\S+ +\d+\.\d", line)
        assert match is not None
        frames, of_frames, streams, of_streams = map(int, match.groups())
        assert (of_frames, of_streams) == (36, 12)
        if line.split()[0] != INT8_FILE:  # of which frames near the threshold of unknown frames may differ
            assert (frames, streams) == (0, 0)
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


def scored(logits: list[list[float]], known: list[bool]) -> ScoredLogits:
    """Return predictions for frames of two games."""
    return ScoredLogits(np.array(logits), np.array(logits).max(axis=1), np.array(known))


def test_comparison_counts_frames_and_streams_with_other_answers():
    """Another game and unknown count; a doubtful frame does not count as confident."""
    original = scored([[9, 0], [9, 0], [0, 1], [0, 9], [9, 0]], [True, True, True, True, False])
    other = scored([[9, 0], [0, 9], [1, 0], [0, 9], [0, 9.5]], [True, True, True, False, False])
    found = comparison.compare(Calibration(), original, other, ["a", "a", "a", "b", "c"])
    assert (found.frames, found.different_frames) == (5, 3)
    assert (found.confident_frames, found.different_confident_frames) == (3, 2)
    assert (found.streams, found.different_streams, found.different_known_streams) == (3, 1, 1)
    assert found.max_logit_difference == 9.5


@pytest.mark.parametrize(
    ("frames", "different", "streams", "accepted"), [(400, 2, 0, True), (400, 3, 0, False), (400, 0, 1, False)]
)
def test_conversion_is_refused_when_confident_answers_differ(frames, different, streams, accepted):
    """At most 0.5 % of the confident frames, and no known stream; the message says how to go on."""
    found = comparison.Comparison(frames, different, 9, streams, frames, different, streams, 0.1)
    refusal = pytest.raises(ModelError, match=r"int8\.onnx is not kept.*--calibrate-on")
    with nullcontext() if accepted else refusal:
        found.require_alike(INT8_FILE)


def test_refused_int8_model_is_not_written_and_the_old_one_stays(exported, tmp_path, monkeypatch):
    """The command ends with the code of a model error; model.tflite is written nevertheless."""
    folder, _ = exported
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / INT8_FILE).write_bytes(b"old")
    (copy / "model.tflite").unlink()
    monkeypatch.setattr(comparison, "_MAX_DIFFERENT", -1.0)  # not even equal answers are accepted
    done = export(copy, tmp_path, "--calibrate-on", folder.parent / "mine")
    assert (done.returncode, (copy / INT8_FILE).read_bytes()) == (1, b"old")
    assert len(done.stdout.splitlines()) == 4
    assert "model.int8.onnx is not kept" in done.stderr
    assert (copy / "model.tflite").is_file()


def test_products_of_int8_weights_fit_16_bits(exported):
    """Of pointwise weights, neighbours that are added; of other kernels that are not depthwise, any two."""
    folder, _ = exported
    graph = onnx.load(folder / INT8_FILE).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantised = {
        node.output[0]: constants.get(node.input[0]) for node in graph.node if node.op_type == "DequantizeLinear"
    }
    weights = [quantised[node.input[1]] for node in graph.node if node.op_type == "Conv"]
    assert len(weights) == 4
    assert all(np.abs(weight.astype(int)).max() <= 64 for weight in weights)
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_pair_scales_are_as_fine_as_16_bits_allow():
    """255 * (a + b) of neighbours with the same sign fits, and a single large weight keeps 8 bits."""
    weights = np.random.default_rng(1).normal(size=(50, 31)).astype(np.float32)
    weights[0, 1:], weights[1] = 0, 0
    scales = quantization._pair_scales(weights)
    steps = np.round(weights / scales[:, None]).astype(int)  # (50, 31)
    pairs = np.pad(steps, ((0, 0), (0, 1))).reshape(50, 16, 2)
    sums = np.concatenate([np.maximum(sign * pairs, 0).sum(axis=2).max(axis=1) for sign in (1, -1)])
    assert 255 * sums.max() < 2**15
    assert abs(steps[0, 0]) == 127
    assert np.abs(steps[2:]).max(axis=1).mean() > 64


def test_int8_setting_uses_the_int8_file_of_this_model_only(exported, trained, tmp_path, caplog):
    """Without the setting or the file it is model.onnx, and so it is, with a warning, for another model.onnx."""
    folder, _ = exported
    assert model_file(folder, int8=True) == INT8_FILE
    assert model_file(folder, int8=False) == ONNX_FILE
    assert model_file(trained.path, int8=True) == ONNX_FILE
    assert not caplog.records
    stale = shutil.copytree(folder, tmp_path / "model")
    shutil.copy(trained.path / ONNX_FILE, stale)
    assert model_file(stale, int8=True) == ONNX_FILE
    assert "python -m model.export" in caplog.text


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
