"""Model conversion: Keras to 8-bit ONNX and TensorFlow Lite, and a comparison of the answers. Imports TensorFlow."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from data.atomic import atomic_file
from data.errors import ModelError
from data.text import printable_line
from model.inference.classifier import OUTPUTS, Classifier, read_onnx
from model.networks.hdf5_files import require_self_contained
from model.terminal.native_log import filtered_stderr


@dataclass(frozen=True, slots=True)
class Comparison:
    """How an exported model compares with Keras on the same frames."""

    different_answers: int  # frames with another most probable game
    frames: int  # frames compared
    max_logit_difference: float  # the largest absolute one
    ms: float  # time for one frame, in batches of one, milliseconds


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


class _CalibrationFrames(CalibrationDataReader):
    """Frames one by one, for ONNX Runtime's quantizer."""

    def __init__(self, input_name: str, images: np.ndarray) -> None:
        self._feeds = ({input_name: image[None].astype(np.float32)} for image in images)  # (1, H, W, 3)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next frame's feed, None at the end."""
        return next(self._feeds, None)


def write_int8(source: Path, target: Path, images: np.ndarray) -> None:
    """Quantise a model.onnx to 8-bit weights (per channel) and activations; write the file atomically.

    The last layer stays in float32: it is small, and its errors go into the logits directly. `images`: frames that
    show the range of each activation, uint8 RGB (n, img_size, img_size, 3). Raises OSError. Raises ModelError:
    damaged source.
    """
    root_logger = logging.getLogger()
    level = root_logger.level
    with tempfile.TemporaryDirectory() as folder:
        # The quantizer would read tensors from other files; this is a copy of what `read_onnx` accepted.
        copy, prepared, small = (Path(folder) / name for name in ("copy.onnx", "prepared.onnx", "int8.onnx"))
        copy.write_bytes(read_onnx(source))
        root_logger.setLevel(logging.ERROR)  # the quantizer warns that the model needs the preparation done here
        try:
            quant_pre_process(copy, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            last = [node.name for node in graph.node if OUTPUTS[0] in node.output]
            reader = _CalibrationFrames(graph.input[0].name, images)
            # Unsigned activations: x86 has instructions for them, twice as fast as for signed ones.
            dtypes = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
            quantize_static(prepared, small, reader, per_channel=True, nodes_to_exclude=last, **dtypes)
        finally:
            root_logger.setLevel(level)
        with atomic_file(target) as temporary:
            temporary.write_bytes(small.read_bytes())


def write_tflite(model: keras.Model, target: Path) -> None:
    """Write the model for TensorFlow Lite: float32 (1, img_size, img_size, 3) → logits (1, classes)."""
    signature = keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="image")
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=[signature])
        converted = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    with atomic_file(target) as temporary:
        temporary.write_bytes(converted)


def compare_with_keras(expected: np.ndarray, images: np.ndarray, exported_file: Path) -> Comparison:
    """Compare an .onnx or .tflite file, one image at a time, with Keras' logits.

    `expected`: Keras' logits (n, classes) of `images`, uint8 RGB (n, img_size, img_size, 3).
    """
    if exported_file.suffix == ".tflite":
        predict = _tflite(exported_file)
    else:
        predict = Classifier.load(exported_file.parent, file=exported_file.name).logits
    predict(images[:1])  # warm-up: the first call allocates
    started = time.monotonic()
    logits = np.concatenate([predict(image[None]) for image in images])  # (n, classes)
    ms = 1000 * (time.monotonic() - started)
    return Comparison(
        different_answers=int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum()),
        frames=len(images),
        max_logit_difference=float(np.abs(logits - expected).max()),
        ms=ms / len(images),
    )


def _tflite(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from an image (1, img_size, img_size, 3) to logits (1, classes)."""
    with warnings.catch_warnings(), filtered_stderr():  # TensorFlow Lite tells which delegate it uses
        warnings.simplefilter("ignore")  # TensorFlow announces that the interpreter will move to another package
        interpreter = tf.lite.Interpreter(model_path=str(file))
        interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    def predict(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(input_index, image.astype(np.float32))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(output_index))

    return predict
