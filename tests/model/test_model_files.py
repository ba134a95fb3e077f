"""Model files: complete, equal, and all replaced or none."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest

from data.errors import ModelError, SettingsError
from model.inference import feature_similarity
from model.inference.calibration import Calibration
from model.inference.classifier import Classifier
from tests.model.conftest import GAMES, SIZE, picture
from tests.model.lazily import keras, model_files, network

IMAGES = np.stack([picture(game, seed) for seed, game in enumerate(GAMES)])
FILES = ("model.h5", "model.onnx", "classes.txt")


def build(*shape: Any, **options: Any) -> keras.Model:
    """Return a network with random weights, unless the options say otherwise."""
    defaults: dict[str, Any] = {"dropout": 0.5, "initial_weights": "none"}
    return network.build(*shape, **(defaults | options))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Return an untrained model of about 470 kB a file."""
    keras.utils.set_random_seed(5)
    return build("cnn", SIZE, 3)


def save(model: keras.Model, folder: Path) -> None:
    """Save what the command saves."""
    with model_files.replace_atomically(folder) as new:
        model_files.write(model, GAMES, new, Calibration())
        _add_results(new)


def save_copy(written: Path, folder: Path) -> None:
    """Save the model in `written` again without converting it."""
    with model_files.replace_atomically(folder) as new:
        for name in FILES:
            shutil.copy(written / name, new)
        _add_results(new)


def _add_results(new: Path) -> None:
    (new / "results").mkdir()
    (new / "results" / "metrics.json").write_text("{}")


@pytest.fixture(scope="module")
def written(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of `model`: the conversion to ONNX takes longest. Tests use copies."""
    folder = tmp_path_factory.mktemp("written")
    save(model, folder)
    return folder


@pytest.fixture
def saved(written: Path, tmp_path: Path) -> Path:
    """Return a folder of the test with the files of `model`."""
    return Path(shutil.copytree(written, tmp_path / "saved"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_give_the_same_logits_as_the_model(model, tmp_path):
    """model.h5 loads with Keras only; it and model.onnx give the model's logits, in batches of any size."""
    exact = model.predict(IMAGES, verbose=0)
    save(model, tmp_path)
    expected = model.predict(IMAGES, verbose=0)
    assert np.allclose(exact, expected, atol=2e-3)  # kernels are rounded to float16
    assert (tmp_path / "model.h5").stat().st_size < 0.7 * 4 * model.count_params()
    loaded = keras.models.load_model(tmp_path / "model.h5")
    classifier = Classifier.load(tmp_path)
    assert np.allclose(loaded.predict(IMAGES, verbose=0), expected, atol=1e-5)
    assert np.allclose(classifier.logits(IMAGES), expected, atol=1e-4)
    assert np.allclose(classifier.logits(IMAGES[1:2]), expected[1:2], atol=1e-4)
    with h5py.File(tmp_path / "model.h5") as file:
        assert file.attrs["classes"] == "9,10,100"


def test_calibration_is_stored_in_both_files(model, tmp_path):
    """The classifier reads it from model.onnx. The logits remain those of the network."""
    calibration = Calibration(1.7, "max_logit", 0.25, 0.05)
    model_files.write(model, GAMES, tmp_path, calibration)
    classifier = Classifier.load(tmp_path)
    assert classifier.calibration == calibration
    assert np.allclose(classifier.logits(IMAGES), model.predict(IMAGES, verbose=0), atol=1e-4)
    assert model_files.calibration_of(tmp_path / "model.h5") == calibration


def test_feature_similarity_is_stored_in_both_files(model, tmp_path):
    """However large its arrays are; the classifier scores an image by the features of the same run."""
    features = network.add_feature_output(model).predict(IMAGES, verbose=0)[1]
    seen = feature_similarity.fit(np.repeat(features, 2, axis=0), np.repeat([0, 1, 2], 2), 3)
    model_files.write(model, GAMES, tmp_path, Calibration(1.7, "feature_similarity", 0.9, 0.05, seen))
    judged = Classifier.load(tmp_path).predict(IMAGES)
    assert judged.scores == pytest.approx([1, 1, 1], abs=1e-3)
    assert judged.known.all()
    stored = model_files.calibration_of(tmp_path / "model.h5").similarity
    assert stored is not None
    assert (stored.scores(features) == seen.scores(features)).all()
    keras.models.load_model(tmp_path / "model.h5")


def test_onnx_model_has_the_documented_inputs_and_outputs(written):
    """`image` float32 (n, size, size, 3) → `logits` float32 (n, classes), `features` float32 (n, d)."""
    graph = onnx.load(written / "model.onnx").graph
    found = [(value.name, value.type.tensor_type) for value in (*graph.input, *graph.output)]
    assert [name for name, _ in found] == ["image", "logits", "features"]
    assert {kind.elem_type for _, kind in found} == {onnx.TensorProto.FLOAT}
    shapes = [[d.dim_param or d.dim_value for d in kind.shape.dim] for _, kind in found]
    assert shapes == [["n", SIZE, SIZE, 3], ["n", 3], ["n", 256]]


def test_verify_rejects_another_model(model, written):
    """`verify` accepts the model that was written only."""
    model_files.verify(model, written, IMAGES)
    with pytest.raises(ModelError, match="differs"):
        model_files.verify(build("cnn", SIZE, 3), written, IMAGES)


@pytest.mark.parametrize(
    ("trouble", "seen"), [(OSError(28, "No space left"), ModelError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_failed_save_leaves_the_old_model(saved, trouble, seen):
    """An error or Ctrl-C after everything is written changes no byte and leaves nothing behind."""
    before = contents(saved)

    def fail() -> None:
        with model_files.replace_atomically(saved) as new:
            for name in FILES:
                (new / name).write_text("new")
            raise trouble

    with pytest.raises(seen):
        fail()
    assert contents(saved) == before


def test_save_removes_results_of_another_model(written, tmp_path):
    """Results are replaced; the user's own files beside them stay."""
    (tmp_path / "results").mkdir()
    others = ("results/curves.png", "results/metrics.json", "model.int8.onnx", "model.tflite", "model_card.md")
    for name in (*others, "results/notes.txt", "mine.txt"):
        (tmp_path / name).write_text("old")
    save_copy(written, tmp_path)
    found = contents(tmp_path)
    assert found.keys() == {*FILES, "results/metrics.json", "results/notes.txt", "mine.txt"}
    assert found["results/metrics.json"] == b"{}"
    assert found["results/notes.txt"] == found["mine.txt"] == b"old"


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 1.4 MB, which holds one and a half models."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1400k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_model(written, small_disk):
    """On a real full disk the old model still loads, nothing incomplete stays, and the message says why."""
    save_copy(written, small_disk)
    before = contents(small_disk)
    with pytest.raises(ModelError, match=r"No space left on device.*old one stays"):
        save(build("cnn", SIZE, 3), small_disk)
    assert contents(small_disk) == before
    assert not list(small_disk.glob(".*"))
    Classifier.load(small_disk)


@pytest.mark.parametrize("limit", [20_000, 400_000])
def test_a_file_that_cannot_grow_leaves_the_old_model(model, saved, limit):
    """The same without root, by a limit on the file size of this process: reached early, and near the end."""
    before = contents(saved)
    ours, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    try:
        with pytest.raises(ModelError, match="File too large"):
            save(model, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (ours, most))
    assert contents(saved) == before


def test_prepare_folder_removes_what_a_killed_run_left(tmp_path):
    """The staging folder of a dead process is removed; that of a running process stays."""
    with subprocess.Popen(["true"]) as gone:
        pass
    (tmp_path / f".new-{gone.pid}").mkdir()
    (tmp_path / f".new-{gone.pid}" / "model.h5").write_text("half")
    (tmp_path / f".new-{os.getppid()}").mkdir()
    model_files.prepare_folder(tmp_path, 1000)
    assert [path.name for path in tmp_path.iterdir()] == [f".new-{os.getppid()}"]


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx", "model_card.md", "results"])
def test_prepare_folder_names_what_is_in_the_way(tmp_path, name):
    """A folder in place of a file, or the reverse, is named before hours of training, not when the model is saved."""
    path = tmp_path / name
    path.write_text("mine") if name == "results" else path.mkdir()
    with pytest.raises(SettingsError, match=f"^MODEL_PATH: .*{name} is in the way"):
        model_files.prepare_folder(tmp_path, 1000)
    assert path.exists()


def test_prepare_folder_rejects_an_unusable_folder(small_disk, tmp_path):
    """A file in its place, or a disk too small, is found before hours of training."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"^MODEL_PATH: "):
        model_files.prepare_folder(tmp_path / "file", 1000)
    with pytest.raises(ModelError, match="MB free"):
        model_files.prepare_folder(small_disk, 1000)
