"""Classifier: a model that model.create trained, loaded and run on ONNX Runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from data.entities import Game
from data.errors import ModelError
from model.inference import classes
from model.inference.calibration import Calibration
from model.inference.classifier import CLASSES_KEY, Classifier
from tests.model.conftest import GAMES, GREEN, ROOT, SIZE, picture


@pytest.fixture
def copied(trained, tmp_path):
    """Return a copy of the trained model's folder, for tests that damage it."""
    return shutil.copytree(trained.path, tmp_path / "model")


def test_top_output_has_the_name_of_the_shown_game(trained):
    """End to end: for new images of each game, the name at the winning output is that game's.

    Ids, folders and names of the games sort in three different orders. If training labels had another order than
    classes.txt, the names would be swapped.
    """
    classifier = Classifier.load(trained.path)
    assert classifier.classes == GAMES
    for game in GAMES:
        images = np.stack([picture(game, seed) for seed in range(10_000, 10_005)])
        named = [classifier.classes[label].name for label in classifier.logits(images).argmax(axis=1)]
        assert named == [game.name] * 5


def test_logits_of_n_images_are_float32_rows(trained):
    """Any number of images, 0 included, returns as many rows of float32."""
    classifier = Classifier.load(trained.path, threads=1)
    assert classifier.img_size == SIZE
    for count in (0, 1, 17):
        logits = classifier.logits(np.zeros((count, SIZE, SIZE, 3), np.uint8))
        assert (logits.shape, logits.dtype) == ((count, 3), np.float32)


@pytest.mark.parametrize("shape", [(1, SIZE, SIZE + 1, 3), (1, SIZE, SIZE), (SIZE, SIZE, 3)])
def test_images_of_other_shape_or_dtype_raise_value_error(trained, shape):
    """A wrong shape or dtype is a mistake of the caller."""
    classifier = Classifier.load(trained.path)
    with pytest.raises(ValueError, match="images must be uint8"):
        classifier.logits(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="float32"):
        classifier.logits(np.zeros((1, SIZE, SIZE, 3), np.float32))


@pytest.mark.parametrize("name", ["model.onnx", "classes.txt"])
def test_missing_file_names_the_command_that_creates_it(copied, name):
    """Both files are needed, and the message tells how to create them."""
    (copied / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing\. Train a model: python -m model\.create"):
        Classifier.load(copied)


def test_damaged_model_raises_model_error(copied):
    """A truncated file and one that is not ONNX give one line, not ONNX Runtime's exception."""
    whole = (copied / "model.onnx").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no model"):
        (copied / "model.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded"):
            Classifier.load(copied)


@pytest.mark.parametrize("games", [GAMES[:2], GAMES[::-1], (*GAMES, Game(101, "Grey")), (*GAMES[:2], Game(7, "Other"))])
def test_classes_of_another_model_raise_model_error(copied, games):
    """Fewer, more, other or reordered classes are rejected: an output never gets a wrong name."""
    classes.write_classes(copied / "classes.txt", games)
    with pytest.raises(ModelError, match="do not match"):
        Classifier.load(copied)


@pytest.mark.parametrize("kind", ["folder", "FIFO", "device"])
def test_what_is_no_regular_file_raises_model_error(copied, kind):
    """A FIFO would block, and a device never ends."""
    path = copied / "model.onnx"
    path.unlink()
    {"folder": path.mkdir, "FIFO": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero")}[kind]()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read: not a regular file"):
        Classifier.load(copied)


@pytest.mark.parametrize("place", ["same", "above", "absolute", "link"])
def test_model_with_external_data_is_refused(copied, monkeypatch, place):
    """ONNX Runtime would read any file that the model names, also one like ../../etc/passwd."""
    model = onnx.load(copied / "model.onnx")
    (copied.parent / "secret").write_bytes(b"\0" * 1_000_000)
    (copied / "own").write_bytes(b"\0" * 1_000_000)
    (copied / "link").symlink_to("../secret")
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    locations = {"same": "own", "above": "../secret", "absolute": str(copied.parent / "secret"), "link": "link"}
    for key, value in (("location", locations[place]), ("offset", "0"), ("length", str(len(tensor.raw_data)))):
        tensor.external_data.add(key=key, value=value)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    content = model.SerializeToString()
    monkeypatch.chdir(copied)  # ONNX Runtime loads it from here
    onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    # Protocol Buffers allow lengths with leading zeros, too: 88 00 is 8.
    for encoded in (content, content.replace(b"\x08location", b"\x88\x80\x00location")):
        (copied / "model.onnx").write_bytes(encoded)
        with pytest.raises(ModelError, match="refers to data in other files, which is refused"):
            Classifier.load(copied)


def foreign(shape: list, kind: int = onnx.TensorProto.FLOAT, output: int = 2) -> bytes:
    """Return a model that passes its input through, with the given input."""
    dims = shape[:output]
    values = [onnx.helper.make_tensor_value_info(name, kind, dim) for name, dim in (("x", shape), ("logits", dims))]
    axes = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [len(shape) - output], range(output, len(shape)))
    node = onnx.helper.make_node("ReduceMax", ["x", "axes"], ["logits"], keepdims=0)
    graph = onnx.helper.make_graph([node], "foreign", values[:1], values[1:], [axes])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.helper.set_model_props(model, {CLASSES_KEY: "9,10,100"})
    return model.SerializeToString()


@pytest.mark.parametrize(
    "content",
    [
        foreign(["n", 3, 3, 3], onnx.TensorProto.DOUBLE),
        foreign(["n", 3, 3]),
        foreign(["n", "h", "w", 3]),
        foreign(["n", 3, 4, 3]),
        foreign(["n", 3, 3, 1]),
        foreign(["n", 3, 3, 3], output=1),
        foreign(["n", 3, 3, 3], output=3),
        foreign(["n", 3, 3, 3]).replace(b"ReduceMax", b"\xff" * 9),
    ],
    ids=["double", "rank 3", "any size", "no square", "grey", "output of rank 1", "output of rank 3", "no UTF-8"],
)
def test_foreign_model_raises_model_error(copied, capfd, content):
    """A model that is no classifier of images is refused when it is loaded; nothing is printed."""
    (copied / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx") as caught:
        Classifier.load(copied)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_model_that_fails_when_it_runs_raises_model_error(copied):
    """A fixed batch size, for example, is only noticed then."""
    (copied / "model.onnx").write_bytes(foreign([7, 3, 3, 3]))
    with pytest.raises(ModelError, match="The model cannot be run"):
        Classifier.load(copied).logits(np.zeros((2, 3, 3, 3), np.uint8))


def test_model_without_class_list_in_metadata_raises_model_error(copied):
    """A foreign model.onnx with the same number of outputs does not say what they are."""
    model = onnx.load(copied / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, copied / "model.onnx")
    with pytest.raises(ModelError, match="do not match"):
        Classifier.load(copied)


def test_model_without_calibration_has_the_default_one(copied):
    """Older models hold the classes only: logits stay unscaled, and every frame is known."""
    assert Classifier.load(copied).calibration.unknown_fraction == 0.1
    model = onnx.load(copied / "model.onnx")
    onnx.helper.set_model_props(model, {CLASSES_KEY: "9,10,100"})
    onnx.save(model, copied / "model.onnx")
    assert Classifier.load(copied).calibration == Calibration()


def test_renamed_game_keeps_the_model_valid(copied):
    """Twitch renames categories; the id stays the same, and so the model still matches."""
    classes.write_classes(copied / "classes.txt", [Game(game.id, f"{game.name}!") for game in GAMES])
    assert Classifier.load(copied).classes[1] == Game(GREEN.id, "Green!")


def test_import_loads_no_tensorflow():
    """Importing the classifier loads neither TensorFlow nor Keras, and prints nothing."""
    code = (
        "import sys, model.inference.classifier\n"
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
