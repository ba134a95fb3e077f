"""Classifier: model.onnx and classes.txt on ONNX Runtime. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.entities import Game
from data.errors import ModelError
from data.readers import read_regular_file
from data.text import printable_line
from model.inference.calibration import Calibration, ScoredLogits
from model.inference.classes import CLASSES_FILE, read_classes

if TYPE_CHECKING:
    import onnxruntime

ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"  # written by model.export, 8-bit integers
OUTPUTS = ("logits", "features")  # older models have the first output only
CLASSES_KEY = "classes"  # metadata of model.onnx: the game ids in output order, separated by commas
SOURCE_KEY = "source_sha256"  # metadata of model.int8.onnx: the hash of the model.onnx that it was made of
_TRAIN_AGAIN = "Train the model again: python -m model.create"
_MAX_BYTES = 1 << 30  # of a model file
# The key of external data (onnx.proto, TensorProto.external_data): its length, a varint of any width, then its text.
_EXTERNAL_DATA = re.compile(rb"(?:\x08|\x88\x80*\x00)location")
_BATCH = 32  # bounds the memory that the network's activations take
_PIXEL_TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}  # of model.onnx, and of model.int8.onnx

log = logging.getLogger(__name__)


class Classifier:
    """A trained model, ready to predict. Threads may share it."""

    def __init__(
        self, session: onnxruntime.InferenceSession, classes: tuple[Game, ...], calibration: Calibration
    ) -> None:
        self._session = session
        self.classes = classes  # in output order
        self.calibration = calibration
        (self._input,) = session.get_inputs()
        self.img_size: int = self._input.shape[1]  # pixels; the input is (n, img_size, img_size, 3)

    @classmethod
    def load(cls, model_path: Path, threads: int = 0, file: str = ONNX_FILE) -> Classifier:
        """Load a model; an older one without a calibration has the default calibration.

        Args:
            model_path: folder of the model.
            threads: for one prediction; 0 for one per core.
            file: name of the ONNX file in the folder.

        Raises:
            ModelError: a file is missing or unreadable, or model and class list do not match.
        """
        path = model_path / file
        onnx = read_onnx(path)
        classes = read_classes(model_path / CLASSES_FILE)
        session, metadata = _open_session(onnx, path, threads or available_cores())
        calibration = Calibration.from_metadata(metadata)
        # The width of the logits and, where the calibration needs them, of the features.
        needed = calibration.feature_widths
        widths = [output.shape[1] for output in session.get_outputs()]
        fits = widths[:1] == [len(classes)] and needed <= set(widths[1:2]) and len(needed) < 2
        if metadata.get(CLASSES_KEY) != ",".join(str(game.id) for game in classes) or not fits:
            raise ModelError(
                f"{path} and {CLASSES_FILE} do not match. A save may have been interrupted. {_TRAIN_AGAIN}"
            )
        return cls(session, classes, calibration)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the network's logits, float32 (n, classes), not yet divided by the temperature.

        `images`: uint8 (n, img_size, img_size, 3), RGB; n may be 0. Raises ValueError for another shape or dtype.
        """
        return self._run(images)[0]

    def predict(self, images: np.ndarray) -> ScoredLogits:
        """Return calibrated logits and unknown scores of `images`, uint8 (n, img_size, img_size, 3), RGB."""
        outputs = self._run(images)
        # An older model has no features; its score does not use them.
        return self.calibration.score(outputs[0], outputs[-1])

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        """Return each output of the network, float32 (n, ...)."""
        if images.dtype != np.uint8 or images.shape[1:] != (self.img_size, self.img_size, 3):
            expected = f"uint8 (n, {self.img_size}, {self.img_size}, 3)"
            raise ValueError(f"images must be {expected}, not {images.dtype} {images.shape}")
        starts = range(0, max(len(images), 1), _BATCH)  # no image still needs one run, for the outputs' shapes
        try:
            # The network itself rescales 0 to 255.
            name, dtype = self._input.name, _PIXEL_TYPES[self._input.type]
            batches = [self._session.run(None, {name: images[i : i + _BATCH].astype(dtype)}) for i in starts]
            return [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        except Exception as error:  # as in _open_session
            raise ModelError(f"The model cannot be run ({printable_line(str(error))}). {_TRAIN_AGAIN}") from error


def model_file(model_path: Path, int8: bool) -> str:
    """Return the name of the file to load: with `int8` the 8-bit model if there is one of this model.onnx.

    Otherwise it is model.onnx. An 8-bit model of another model.onnx is logged and not used. Raises ModelError.
    """
    small = model_path / INT8_FILE
    if not (int8 and small.is_file()):
        return ONNX_FILE
    if sha256(read_onnx(model_path / ONNX_FILE)).encode() in read_onnx(small):  # its metadata is plain text
        return INT8_FILE
    log.warning("%s was made of another model and is not used. Make it again: python -m model.export", small)
    return ONNX_FILE


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def available_cores() -> int:
    """Return the number of cores that this process may use; a container often allows fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_onnx(path: Path) -> bytes:
    """Return the content of a model file. Raises ModelError: missing, unreadable, or with tensors in other files.

    ONNX Runtime reads those from any path that the model names, such as ../../etc/passwd.
    """
    try:
        onnx = read_regular_file(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing. Train a model: python -m model.create") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}. {_TRAIN_AGAIN}") from error
    if _EXTERNAL_DATA.search(onnx):
        raise ModelError(f"{path} refers to data in other files, which is refused. {_TRAIN_AGAIN}")
    return onnx


def _open_session(onnx: bytes, path: Path, threads: int) -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """Return a session of the model and its metadata. `path`: for messages. Raises ModelError: no such classifier."""
    import onnxruntime  # 40 MB, which those who only read a folder of a model do not need

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised as well; do not print them too
    options.add_session_config_entry("session.load_model_format", "ONNX")  # its other format could hold external data
    try:
        # Its fallback prints on stdout and tries the same provider again.
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        metadata = session.get_modelmeta().custom_metadata_map
        (image,) = session.get_inputs()
        kind, shape, output_shapes = image.type, image.shape, [output.shape for output in session.get_outputs()]
    except Exception as error:  # ONNX Runtime has one class per status, with no other base class
        raise ModelError(f"{path} cannot be loaded ({printable_line(str(error))}). {_TRAIN_AGAIN}") from error
    is_image = kind in _PIXEL_TYPES and len(shape) == 4 and isinstance(shape[1], int) and shape[1] > 0
    if not is_image or shape[1:] != [shape[1], shape[1], 3] or any(len(output) != 2 for output in output_shapes):
        raise ModelError(f"{path} is not a classifier of images: input {shape}. {_TRAIN_AGAIN}")
    return session, metadata
