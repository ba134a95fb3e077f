"""Classifier: a model that model.create trained, loaded and run on ONNX Runtime."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import onnx
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
