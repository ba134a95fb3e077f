"""Model loading: the classifier that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.errors import ModelError

if TYPE_CHECKING:
    from config import Settings
    from model.inference.classifier import Classifier


def load_classifier(settings: Settings, threads: int) -> Classifier:
    """Load the model in MODEL_PATH; `threads` of one inference, 0: one per core. Raises ModelError."""
    from model.inference.classifier import Classifier, model_file
    from model.inference.location import find_model

    folder = find_model(settings.model_path)
    classifier = Classifier.load(folder, threads, model_file(folder, settings.int8 == "true"))
    if (size := classifier.img_size) != (setting := settings.img_size):
        raise ModelError(f"IMG_SIZE is {setting}, but the model takes {size}-pixel images; set IMG_SIZE={size}")
    return classifier


def model_sha256(settings: Settings) -> str:
    """Return the hash of the model in MODEL_PATH, in hexadecimal. Raises ModelError."""
    from model.inference.classifier import ONNX_FILE, read_onnx, sha256
    from model.inference.location import find_model

    return sha256(read_onnx(find_model(settings.model_path) / ONNX_FILE))
