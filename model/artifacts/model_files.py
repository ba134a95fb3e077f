"""Model files: model.h5, model.onnx, classes.txt and results/ in MODEL_PATH, all replaced or none. Imports Keras.

The three model files contain the same list of game ids. A kill between two renames leaves files that do not match,
and loading them fails with a message instead of giving wrong names.
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
import psutil
from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5

from data.atomic import flush_to_disk
from data.entities import Game
from data.errors import ModelError, SettingsError
from data.text import printable_line
from model.inference.calibration import Calibration
from model.inference.classes import CLASSES_FILE, write_classes
from model.inference.classifier import CLASSES_KEY, INT8_FILE, ONNX_FILE, OUTPUTS, Classifier
from model.inference.location import RESULTS_FOLDER
from model.networks import hdf5_files, network

H5_FILE = "model.h5"
MODEL_CARD = "model_card.md"
MODEL_FILES = (H5_FILE, ONNX_FILE, CLASSES_FILE)
EXPORTED_FILES = (INT8_FILE, "model.tflite")  # written by model.export
_PLOTS = ("curves.png", "confusion.png")
_STAGING_PREFIX = ".new-"  # then the process id


def prepare_folder(model_path: Path, parameters: int) -> None:
    """Create the folder, remove what killed runs left, and check that a model of `parameters` weights fits.

    Called before the training, which may take hours. Raises SettingsError: unusable folder, or something else has the
    name of one of the model's files. Raises ModelError: too little free space.
    """
    try:
        model_path.mkdir(parents=True, exist_ok=True)
        for staging in model_path.glob(f"{_STAGING_PREFIX}*"):
            pid = staging.name.removeprefix(_STAGING_PREFIX)
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(staging)
        names = (*MODEL_FILES, *EXPORTED_FILES, MODEL_CARD, RESULTS_FOLDER)
        files = [path for path in model_path.iterdir() if path.name in names]
        in_the_way = [path for path in files if path.is_dir() != (path.name == RESULTS_FOLDER)]
        free = shutil.disk_usage(model_path).free
        writable = os.access(model_path, os.W_OK | os.X_OK)
    except OSError as error:
        raise SettingsError(f"MODEL_PATH: {model_path} cannot be used: {error.strerror}.") from error
    if in_the_way:
        raise SettingsError(f"MODEL_PATH: {in_the_way[0]} is in the way of a file of the model. Move it away.")
    if not writable:
        raise SettingsError(f"MODEL_PATH: {model_path} is not writable.")
    needed = 2 * 4 * parameters + (2 << 20)  # float32 in two files, and a margin for graph and plots
    if free < needed:
        raise ModelError(
            f"{model_path} has {free / 1e6:.1f} MB free, but the model needs {needed / 1e6:.1f} MB. Free some space."
        )


@contextlib.contextmanager
def replace_atomically(model_path: Path) -> Iterator[Path]:
    """Yield a staging folder for new files; when the block succeeds, move them into `model_path`.

    Raises ModelError for an OSError in the block, such as a full disk; the old files are then unchanged.
    """
    staging = model_path / f"{_STAGING_PREFIX}{os.getpid()}"
    try:
        staging.mkdir()
        yield staging
        for path in staging.rglob("*"):
            if path.is_file():
                flush_to_disk(path)
        _install(staging, model_path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"Cannot save the model in {model_path}: {reason}. The old one stays.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _install(staging: Path, model_path: Path) -> None:
    results, new_results = model_path / RESULTS_FOLDER, staging / RESULTS_FOLDER
    results.mkdir(exist_ok=True)
    for plot in _PLOTS:
        if not (new_results / plot).exists():
            (results / plot).unlink(missing_ok=True)  # plots of another model would mislead
    for path in new_results.glob("*"):
        path.replace(results / path.name)
    for name in (*EXPORTED_FILES, MODEL_CARD):  # likewise
        (model_path / name).unlink(missing_ok=True)
    for name in (*MODEL_FILES, MODEL_CARD):
        if name in MODEL_FILES or (staging / name).exists():
            (staging / name).replace(model_path / name)


def write(model: keras.Model, classes: Sequence[Game], folder: Path, calibration: Calibration) -> None:
    """Write model.h5, model.onnx and classes.txt for `model`, in float32, whose outputs are `classes`.

    Kernels are rounded to float16 before, which changes no answer and halves model.h5: its zeros are compressed.
    model.h5 is a whole Keras model without the optimizer. model.onnx has the input `image`, float32 RGB 0 to 255
    (n, img_size, img_size, 3), and the outputs `logits`, float32 (n, classes), and `features`, float32 (n, d). Both
    contain the game ids and the calibration. Raises OSError. Raises ModelError: no conversion to ONNX.
    """
    _round_kernels(model)
    _write_h5(model, classes, calibration, folder / H5_FILE)
    write_onnx(model, classes, calibration, folder / ONNX_FILE)
    write_classes(folder / CLASSES_FILE, classes)


def _ids(classes: Sequence[Game]) -> str:
    return ",".join(str(game.id) for game in classes)


def _round_kernels(model: keras.Model) -> None:
    for variable in model.weights:
        if len(variable.shape) > 1:  # vectors are small, and a normalisation's variances have a wider range
            variable.assign(np.asarray(variable).astype(np.float16).astype(np.float32))


def _write_h5(model: keras.Model, classes: Sequence[Game], calibration: Calibration, path: Path) -> None:
    # Through memory: on a full disk, HDF5 crashes with a segmentation fault when it closes its file. Keras' public
    # `save` takes a path only; the function below it takes an open file.
    memory, compressed = io.BytesIO(), io.BytesIO()
    with h5py.File(memory, "w") as file, h5py.File(compressed, "w") as target:
        save_model_to_hdf5(model, file, include_optimizer=False)
        file.attrs[CLASSES_KEY] = _ids(classes)
        hdf5_files.copy_compressed(file, target)
        for name, text in calibration.to_metadata().items():  # as datasets: an HDF5 attribute holds 64 KB at most
            target[f"calibration/{name}"] = text
    path.write_bytes(compressed.getbuffer())


def calibration_of(h5: Path) -> Calibration:
    """Return the calibration that `write` stored in a model.h5. Raises ModelError: damaged file."""
    try:
        with h5py.File(h5) as file:
            stored = file.get("calibration", {})
            metadata = {name: stored[name].asstr()[()] for name in stored}
    except Exception as error:  # HDF5 raises many classes for a damaged or foreign file
        reason = printable_line(str(error))
        raise ModelError(f"The calibration in {h5} cannot be read ({reason}). Train the model again.") from error
    return Calibration.from_metadata(metadata)


def write_onnx(model: keras.Model, classes: Sequence[Game], calibration: Calibration, path: Path) -> None:
    """Write model.onnx only, as `write` does. Raises OSError, ModelError."""
    signature = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32", name="image")
    network.add_feature_output(model).export(path, format="onnx", verbose=False, input_signature=[signature])
    onnx_model = onnx.load(path)
    for index, name in enumerate(OUTPUTS):
        _rename_output(onnx_model.graph, index, name)
    for value in (*onnx_model.graph.input, *onnx_model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"  # the batch axis gets a readable name
    onnx.helper.set_model_props(onnx_model, {CLASSES_KEY: _ids(classes)} | calibration.to_metadata())
    try:
        onnx.checker.check_model(onnx_model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"The network cannot be converted to ONNX: {str(error).splitlines()[0]}") from error
    onnx.save(onnx_model, path)


def _rename_output(graph: onnx.GraphProto, index: int, name: str) -> None:
    """Rename an output from what tf2onnx calls it, `Identity:0`; other nodes may read it as well."""
    old = graph.output[index].name
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [name if value == old else value for value in values]
    graph.output[index].name = name


def predict(model: keras.Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Keras' logits (n, classes) and features (n, d) of `images`, uint8 RGB (n, img_size, img_size, 3)."""
    logits, features = network.add_feature_output(model).predict(images, verbose=0)
    return np.asarray(logits), np.asarray(features)


def verify(model: keras.Model, folder: Path, images: np.ndarray) -> None:
    """Compare the files in `folder` with `model` on `images`, uint8 RGB (n, img_size, img_size, 3).

    Raises ModelError: the logits differ.
    """
    expected = np.asarray(model(images, training=False))  # (n, classes); without a graph, which takes longer to trace
    difference = float(np.abs(Classifier.load(folder).logits(images) - expected).max())
    # 2 % of the largest logit allow for TensorFloat-32 on a GPU. Swapped channels, another scale or another class
    # order differ by far more.
    if not difference <= 0.02 * float(np.abs(expected).max()) + 1e-3:
        raise ModelError(
            f"model.onnx differs from the Keras model by {difference:.3g} in a logit. The old model stays."
        )
