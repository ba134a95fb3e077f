"""Location of the model: MODEL_PATH, or the folder of the model that comes with the toolkit."""

from __future__ import annotations

from pathlib import Path

from model.inference.classes import CLASSES_FILE
from model.inference.classifier import ONNX_FILE

RESULTS_FOLDER, METRICS = "results", "metrics.json"  # the training's metrics: a file in a folder of MODEL_PATH
_FILES = ("model.h5", ONNX_FILE, CLASSES_FILE)
SHIPPED = Path(__file__).resolve().parents[1]  # this package, `model`: also the name of MODEL_PATH's default


def find_model(model_path: Path) -> Path:
    """Return the folder to read the model of MODEL_PATH from.

    That is `model_path`. The default, `model`, is the one that comes with the toolkit, wherever that is installed, if
    the working directory has none of its own. Nothing is ever written into that one.
    """
    has_own = any((model_path / name).is_file() for name in _FILES)  # one is enough: half a model is an error
    return SHIPPED if model_path == Path(SHIPPED.name) and not has_own else model_path
