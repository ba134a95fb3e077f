"""A trained model in other forms: 8-bit integers for ONNX Runtime, and TensorFlow Lite. Imports TensorFlow."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from data.atomic import temporary_files
from data.errors import ModelError
from model.inference.classifier import OUTPUTS, Classifier


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a form's answers compare with Keras' on the same frames.

    `differ`: answers that are another game. `largest`: difference in a logit. `ms`: for one frame, by itself.
    """

    differ: int
    frames: int
    largest: float
    ms: float


def load(h5: Path) -> keras.Model:
    """The whole Keras model in this file. Raises ModelError."""
    if not h5.is_file():
        raise ModelError(f"{h5} is missing: python -m model.create makes it.")
    try:
        return keras.models.load_model(h5, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{h5} cannot be loaded ({error}): python -m model.create makes it anew.") from error


class _Frames(CalibrationDataReader):
    """Frames one by one, as ONNX Runtime's quantizer wants them."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self._fed: Iterator[dict[str, np.ndarray]] = ({name: image[None].astype(np.float32)} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next one, or None at the end."""
        return next(self._fed, None)


def write_int8(source: Path, target: Path, images: np.ndarray) -> None:
    """`source`, a model.onnx, with weights and activations in 8 bits, weights by channel; all or nothing.

    `images`: uint8 (n, img_size, img_size, 3) RGB, frames by which the ranges of the activations are found. The last
    layer stays as it is: it is small, and what it gives is what counts. Raises OSError.
    """
    quiet = logging.getLogger()
    level = quiet.level
    with tempfile.TemporaryDirectory() as folder:
        prepared, small = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quiet.setLevel(logging.ERROR)  # its advice to do what is done here
        try:
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            last = [node.name for node in graph.node if OUTPUTS[0] in node.output]
            reader = _Frames(graph.input[0].name, images)
            # Unsigned activations: x86 has instructions for them, twice as fast as for signed ones.
            kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
            quantize_static(prepared, small, reader, per_channel=True, nodes_to_exclude=last, **kinds)
        finally:
            quiet.setLevel(level)
        _place(small.read_bytes(), target)


def write_tflite(model: keras.Model, target: Path) -> None:
    """`model` for TensorFlow Lite: input float32 (1, img_size, img_size, 3), logits (1, classes)."""
    signature = keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="image")
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=[signature])
        _place(tf.lite.TFLiteConverter.from_saved_model(folder).convert(), target)


def _place(content: bytes, target: Path) -> None:
    with temporary_files(target.parent, [content]) as (temporary,):
        temporary.replace(target)


def compared(expected: np.ndarray, images: np.ndarray, form: Path) -> Agreement:
    """The form in this file, asked about `images` one by one, against Keras' logits of them."""
    ask = _tflite(form) if form.suffix == ".tflite" else Classifier.load(form.parent, file=form.name).logits
    ask(images[:1])  # the first time takes longer
    started = time.monotonic()
    found = np.concatenate([ask(image[None]) for image in images])
    seconds = time.monotonic() - started
    return Agreement(
        differ=int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
        frames=len(images),
        largest=float(np.abs(found - expected).max()),
        ms=1000 * seconds / len(images),
    )


def _tflite(form: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Logits (1, classes) of an image (1, img_size, img_size, 3)."""
    with warnings.catch_warnings():  # that TensorFlow 2.21 may be the last to have it
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=str(form))
    interpreter.allocate_tensors()
    fed, given = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def ask(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(fed, image.astype(np.float32))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(given))

    return ask
