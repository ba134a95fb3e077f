"""The classifier: what the command trained, on ONNX Runtime alone."""

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
    """A copy of the trained model's folder, to be spoilt."""
    return shutil.copytree(trained.path, tmp_path / "model")


def test_games_are_recognised_by_name(trained):
    """The end of the chain: new pictures of each game, and the name at the winning output is that game's.

    Ids, folders and names of the games sort in three different orders; were the labels of the training in
    another order than classes.txt, the names would be swapped.
    """
    classifier = Classifier.load(trained.path)
    assert classifier.classes == GAMES
    for game in GAMES:
        images = np.stack([picture(game, seed) for seed in range(10_000, 10_005)])
        named = [classifier.classes[place].name for place in classifier.logits(images).argmax(axis=1)]
        assert named == [game.name] * 5


def test_shapes(trained):
    """Any number of images, none too, gives that many rows of float32."""
    classifier = Classifier.load(trained.path, threads=1)
    assert classifier.img_size == SIZE
    for count in (0, 1, 17):
        logits = classifier.logits(np.zeros((count, SIZE, SIZE, 3), np.uint8))
        assert (logits.shape, logits.dtype) == ((count, 3), np.float32)


@pytest.mark.parametrize("shape", [(1, SIZE, SIZE + 1, 3), (1, SIZE, SIZE), (SIZE, SIZE, 3)])
def test_other_images_are_refused(trained, shape):
    """A wrong size or type is a mistake of the caller, said at once."""
    classifier = Classifier.load(trained.path)
    with pytest.raises(ValueError, match="images must be uint8"):
        classifier.logits(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="float32"):
        classifier.logits(np.zeros((1, SIZE, SIZE, 3), np.float32))


@pytest.mark.parametrize("name", ["model.onnx", "classes.txt"])
def test_a_missing_file_says_how_to_make_it(copied, name):
    """Each of the two."""
    (copied / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing: python -m model\.create"):
        Classifier.load(copied)


def test_a_spoilt_model_says_so(copied):
    """A file cut off, or none of ONNX at all: one line, not ONNX Runtime's exception."""
    whole = (copied / "model.onnx").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no model"):
        (copied / "model.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded"):
            Classifier.load(copied)


@pytest.mark.parametrize("games", [GAMES[:2], GAMES[::-1], (*GAMES, Game(101, "Grey")), (*GAMES[:2], Game(7, "Other"))])
def test_classes_of_another_model_are_detected(copied, games):
    """Fewer, more, others, or the same ones in another order: never a wrong name for an output."""
    classes.write(copied / "classes.txt", games)
    with pytest.raises(ModelError, match="do not belong together"):
        Classifier.load(copied)


def test_a_model_without_its_list_is_detected(copied):
    """A foreign model.onnx with as many outputs does not know what they are."""
    model = onnx.load(copied / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, copied / "model.onnx")
    with pytest.raises(ModelError, match="do not belong together"):
        Classifier.load(copied)


def test_a_model_of_before_calibration_stays_valid(copied):
    """Nothing but the classes in its metadata: logits as they are, and every frame is known."""
    assert Classifier.load(copied).calibration.share == 0.1
    model = onnx.load(copied / "model.onnx")
    onnx.helper.set_model_props(model, {CLASSES_KEY: "9,10,100"})
    onnx.save(model, copied / "model.onnx")
    assert Classifier.load(copied).calibration == Calibration()


def test_a_game_may_be_renamed(copied):
    """Twitch renames categories; the id stays, and so does the model."""
    classes.write(copied / "classes.txt", [Game(game.id, f"{game.name}!") for game in GAMES])
    assert Classifier.load(copied).classes[1] == Game(GREEN.id, "Green!")


def test_it_needs_no_tensorflow():
    """Importing it loads neither TensorFlow nor Keras, and prints nothing."""
    code = "import sys, model.inference.classifier; print(sorted({'tensorflow', 'keras', 'matplotlib', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
