"""model.onnx and classes.txt → logits, on ONNX Runtime: neither TensorFlow nor Keras is imported."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime

from data.entities import Game
from data.errors import ModelError
from model.inference import classes as class_list
from model.inference.calibration import Calibration, Judged

FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"  # the same in 8-bit integers, made by model.export
OUTPUTS = ("logits", "features")  # model.onnx's; files of before there was the second have the first alone
_BATCH = 32  # pictures at once: a network's layers of so many fit the memory of any machine
CLASSES_KEY = "classes"  # model.onnx's metadata: the game ids in output order, separated by commas


class Classifier:
    """A trained model. `classes`: the games in output order. `img_size`: pixels. `calibration`: of its logits."""

    def __init__(
        self, session: onnxruntime.InferenceSession, classes: tuple[Game, ...], calibration: Calibration
    ) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self.classes = classes
        self.calibration = calibration
        self._names = [output.name for output in session.get_outputs()]
        self.img_size: int = session.get_inputs()[0].shape[1]

    @classmethod
    def load(cls, model_path: Path, threads: int = 0, file: str = FILE) -> Classifier:
        """The model in the folder `model_path`, in `file` there; `threads` to compute with, 0 for one a core.

        Raises ModelError: a file is missing or unreadable, or the two do not belong together. A model without a
        calibration, as from an older version, has the default one.
        """
        path = model_path / file
        if not path.is_file():
            raise ModelError(f"{path} is missing: python -m model.create makes it.")
        classes = class_list.read(model_path / class_list.FILE)
        session = _session(path, threads or cores())
        calibration = Calibration.parse(session.get_modelmeta().custom_metadata_map)
        _require_match(session, path, classes, calibration)
        return cls(session, classes, calibration)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 (n, classes), as the network gives them, for uint8 `images` (n, img_size, img_size, 3), RGB."""
        return self._outputs(images)[0]

    def judge(self, images: np.ndarray) -> Judged:
        """The same images judged by the model's calibration: logits to be believed, and what is unknown."""
        outputs = self._outputs(images)
        return self.calibration.judge(outputs[0], outputs[-1])  # without features no score looks at them

    def _outputs(self, images: np.ndarray) -> list[np.ndarray]:
        if images.dtype != np.uint8 or images.shape[1:] != (self.img_size, self.img_size, 3):
            wanted = f"uint8 (n, {self.img_size}, {self.img_size}, 3)"
            raise ValueError(f"images must be {wanted}, not {images.dtype} {images.shape}")
        starts = range(0, max(len(images), 1), _BATCH)
        batches = [self._session.run(self._names, self._fed(images[start : start + _BATCH])) for start in starts]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _fed(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {self._input: images.astype(np.float32)}


def file_of(model_path: Path, int8: bool) -> str:
    """The name of the file to load: with the setting `int8` the smaller and faster one, where it was made."""
    return INT8_FILE if int8 and (model_path / INT8_FILE).is_file() else FILE


def cores() -> int:
    """The cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class for each status, with no base but this
        raise ModelError(f"{path} cannot be loaded ({error}): python -m model.create makes it anew.") from error


def _require_match(
    session: onnxruntime.InferenceSession, path: Path, classes: tuple[Game, ...], calibration: Calibration
) -> None:
    """Raise ModelError unless the model was trained on these classes in this order, and gives what it is judged by."""
    trained = session.get_modelmeta().custom_metadata_map.get(CLASSES_KEY, "")
    listed = ",".join(str(game.id) for game in classes)
    widths = [output.shape[-1] for output in session.get_outputs()]
    wanted = [len(classes), *([calibration.likeness.means.shape[1]] if calibration.likeness else [])]
    if trained != listed or widths[: len(wanted)] != wanted:
        raise ModelError(
            f"{path} and {class_list.FILE} beside it do not belong together (a save that was cut off?): "
            "python -m model.create makes both anew."
        )
