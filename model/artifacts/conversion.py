"""Model conversion: the Keras model of a file, and TensorFlow Lite. Imports TensorFlow."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from data.atomic import atomic_file
from data.errors import ModelError
from data.text import printable_line
from model.inference.calibration import Calibration, ScoredLogits
from model.networks.hdf5_files import require_self_contained
from model.terminal.native_log import filtered_stderr


def load(h5: Path, classes: int) -> keras.Model:
    """Load the whole Keras model from a file. Raises ModelError: missing, damaged, or not of `classes` games."""
    if not h5.is_file():
        raise ModelError(f"{h5} not found. Create it with python -m model.create.")
    try:
        require_self_contained(h5)
        model = keras.models.load_model(h5, compile=False)
        side = model.input_shape[1]
        if model.input_shape[1:] != (side, side, 3) or model.output_shape[1:] != (classes,):
            raise ValueError(f"its input is {model.input_shape}, its output {model.output_shape}")
        return model
    except Exception as error:  # Keras and HDF5 raise many classes for a damaged or foreign file
        reason = printable_line(str(error))[:300]
        raise ModelError(f"{h5} cannot be loaded ({reason}). Create it again with python -m model.create.") from error


def write_tflite(model: keras.Model, target: Path) -> None:
    """Write the model for TensorFlow Lite: float32 (1, img_size, img_size, 3) → logits (1, classes)."""
    signature = keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="image")
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=[signature])
        converted = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    with atomic_file(target) as temporary:
        temporary.write_bytes(converted)


def open_tflite(file: Path, calibration: Calibration) -> Callable[[np.ndarray], ScoredLogits]:
    """Return a function from an image (1, img_size, img_size, 3) to its prediction, which is always known."""
    with warnings.catch_warnings(), filtered_stderr():  # TensorFlow Lite tells which delegate it uses
        warnings.simplefilter("ignore")  # TensorFlow announces that the interpreter will move to another package
        interpreter = tf.lite.Interpreter(model_path=str(file), num_threads=1)
        interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    def predict(image: np.ndarray) -> ScoredLogits:
        interpreter.set_tensor(input_index, image.astype(np.float32))
        interpreter.invoke()
        logits = calibration.scale(np.asarray(interpreter.get_tensor(output_index)))
        return ScoredLogits(logits, np.zeros(1), np.ones(1, bool))

    return predict
