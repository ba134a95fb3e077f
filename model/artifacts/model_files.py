"""A model's files: model.onnx, model.h5, classes.txt, results/. All new, or all as they were. Imports Keras.

The three carry the same list of game ids, so that a kill between two renames leaves at worst files that
say themselves that they do not belong together.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5

from data.entities import Game
from data.errors import ModelError, SettingsError
from model.inference import classes as class_list
from model.inference.calibration import Calibration
from model.inference.classifier import CLASSES_KEY, INT8_FILE, OUTPUTS, Classifier
from model.inference.classifier import FILE as ONNX
from model.networks import network
from model.reports import model_card

H5 = "model.h5"
RESULTS = "results"
MODEL = (H5, ONNX, class_list.FILE)
_PICTURES = ("curves.png", "confusion.png")
DERIVED = (INT8_FILE, "model.tflite")  # what model.export makes of the model
_NEW = ".new-"
_UNCALIBRATED = Calibration()


def prepare(model_path: Path, parameters: int) -> None:
    """Make the folder, remove what killed runs left there, and see that a model of so many parameters fits.

    Before the training rather than after it. Raises SettingsError, ModelError.
    """
    try:
        model_path.mkdir(parents=True, exist_ok=True)
        for left in model_path.glob(f"{_NEW}*"):
            if not _alive(left.name.removeprefix(_NEW)):
                shutil.rmtree(left)
        free = shutil.disk_usage(model_path).free
        writable = os.access(model_path, os.W_OK | os.X_OK)
    except OSError as error:
        raise SettingsError(f"MODEL_PATH: {model_path} cannot be used: {error.strerror}.") from error
    if not writable:
        raise SettingsError(f"MODEL_PATH: {model_path} is not writable.")
    needed = 2 * 4 * parameters + (2 << 20)  # float32 twice, and a margin for graph and pictures
    if free < needed:
        raise ModelError(f"{model_path} has {free / 1e6:.1f} MB free, the model needs {needed / 1e6:.1f}: free some.")


def _alive(pid: str) -> bool:
    if not pid.isdecimal():
        return True  # none of ours
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def replacing(model_path: Path) -> Iterator[Path]:
    """A folder to write the new files to; when the body ends well they take the old ones' places.

    Raises ModelError for every OSError within, a full disk above all; then nothing has changed.
    """
    new = model_path / f"{_NEW}{os.getpid()}"
    try:
        new.mkdir()
        yield new
        for path in new.rglob("*"):
            _force_to_disk(path)
        _move_in(new, model_path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"Cannot save the model in {model_path}: {reason}. The old one stays.") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _force_to_disk(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _move_in(new: Path, model_path: Path) -> None:
    (model_path / RESULTS).mkdir(exist_ok=True)
    for picture in _PICTURES:  # pictures of another model would be worse than none
        if not (new / RESULTS / picture).exists():
            (model_path / RESULTS / picture).unlink(missing_ok=True)
    for path in (new / RESULTS).glob("*"):
        path.replace(model_path / RESULTS / path.name)
    for name in (*DERIVED, model_card.FILE):  # nor may those of another model stay
        (model_path / name).unlink(missing_ok=True)
    for name in (*MODEL, model_card.FILE):
        if name in MODEL or (new / name).exists():
            (new / name).replace(model_path / name)


def write(model: keras.Model, classes: Sequence[Game], folder: Path, calibration: Calibration = _UNCALIBRATED) -> None:
    """Write model.h5, model.onnx and classes.txt for a float32 `model` trained with labels in this order.

    model.h5 is a whole Keras model without the optimizer's state. model.onnx: input `image`, float32
    (n, img_size, img_size, 3), RGB, 0 to 255; outputs `logits`, float32 (n, classes), and `features`, float32
    (n, d). Both hold the game ids and the `calibration`. Raises OSError, ModelError: the network does not survive the
    conversion.
    """
    _write_h5(model, _ids(classes), calibration, folder / H5)
    write_onnx(model, classes, calibration, folder / ONNX)
    class_list.write(folder / class_list.FILE, classes)


def _ids(classes: Sequence[Game]) -> str:
    return ",".join(str(game.id) for game in classes)


def with_features(model: keras.Model) -> keras.Model:
    """`model` with two outputs: its logits, and the features that tell how much a picture is like others."""
    return keras.Model(model.input, [model.output, network.likened(model)])


def _write_h5(model: keras.Model, ids: str, calibration: Calibration, path: Path) -> None:
    """Through memory: HDF5 itself dies of a full disk when it closes its file, by a segmentation fault.

    Keras' public `save` takes a path alone; the function below it takes an open file.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[CLASSES_KEY] = ids
        for name, word in calibration.words().items():  # some are longer than HDF5's attributes may be
            file[f"calibration/{name}"] = word
    path.write_bytes(memory.getbuffer())


def calibration_of(h5: Path) -> Calibration:
    """What `write` stored with the Keras model in this file. Raises OSError, ModelError."""
    with h5py.File(h5) as file:
        words = file.get("calibration", {})
        return Calibration.parse({name: words[name].asstr()[()] for name in words})


def write_onnx(model: keras.Model, classes: Sequence[Game], calibration: Calibration, path: Path) -> None:
    """model.onnx alone, as `write` does. Raises OSError, ModelError."""
    both = with_features(model)
    both.export(path, format="onnx", verbose=False, input_signature=[_signature(model)])
    graph = onnx.load(path)
    for place, name in enumerate(OUTPUTS):
        _rename_output(graph.graph, place, name)
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(graph, {CLASSES_KEY: _ids(classes)} | calibration.words())
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"The network cannot be written as ONNX: {str(error).splitlines()[0]}") from error
    onnx.save(graph, path)


def _signature(model: keras.Model) -> keras.InputSpec:
    return keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32", name="image")


def _rename_output(graph: onnx.GraphProto, place: int, name: str) -> None:
    """tf2onnx calls them after TensorFlow's last operations, `Identity:0`. Other nodes may read an output as well."""
    old = graph.output[place].name
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [name if value == old else value for value in values]
    graph.output[place].name = name


def verify(model: keras.Model, folder: Path, images: np.ndarray) -> None:
    """Raise ModelError unless the files in `folder` give the logits of `model` on `images`, as uint8 RGB.

    Two per cent of the largest logit allow for TensorFloat-32 on a GPU; swapped channels, another scale or
    another class order are far beyond.
    """
    expected = np.asarray(model.predict(images, verbose=0))
    difference = float(np.abs(Classifier.load(folder).logits(images) - expected).max())
    if not difference <= 0.02 * float(np.abs(expected).max()) + 1e-3:
        raise ModelError(
            f"model.onnx differs from the Keras model by {difference:.3g} in a logit. The old model stays."
        )
