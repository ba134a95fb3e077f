"""TensorFlow, Keras, matplotlib, SymPy and what imports them, imported when a test first uses them.

Every worker of a run imports all test modules, and runs the tests of some. TensorFlow takes each worker five seconds
and 400 MB, matplotlib and SymPy another second.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from model.terminal.native_log import importing_tensorflow

__all__ = [
    "FeatureCache",
    "HeadTrainingSet",
    "ImageDataset",
    "LeftOutStreams",
    "ResumableEarlyStopping",
    "Trainer",
    "ValidationPredictions",
    "conversion",
    "feature_batches",
    "fold",
    "image_dataset",
    "keras",
    "layers",
    "model_files",
    "network",
    "plots",
    "quantization",
    "screen_head",
    "tf",
    "training_report",
    "validation",
]


class _Lazy:
    """A module, or a class or function of one, imported when one of its attributes is read or when it is called."""

    def __init__(self, module: str, name: str = "") -> None:
        self._module, self._name = module, name

    def _imported(self) -> Any:
        if not self._module.startswith("model.reports"):
            with importing_tensorflow(show=True):  # which needs less time than a plain import
                importlib.import_module("tensorflow")
        module = importlib.import_module(self._module)
        return getattr(module, self._name) if self._name else module

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # pytest looks for some in all that a test module contains
            raise AttributeError(attribute)
        return getattr(self._imported(), attribute)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._imported()(*args, **options)


if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from keras import layers

    from model.artifacts import conversion, model_files, quantization
    from model.datasets import image_dataset
    from model.datasets.image_dataset import ImageDataset, feature_batches
    from model.networks import network
    from model.networks.folding import fold
    from model.reports import plots, training_report
    from model.training import screen_head, validation
    from model.training.callbacks import ResumableEarlyStopping
    from model.training.feature_cache import FeatureCache, HeadTrainingSet
    from model.training.trainer import Trainer
    from model.training.validation import LeftOutStreams, ValidationPredictions
else:
    keras, tf, layers = _Lazy("keras"), _Lazy("tensorflow"), _Lazy("keras.layers")
    conversion, model_files = _Lazy("model.artifacts.conversion"), _Lazy("model.artifacts.model_files")
    image_dataset, network = _Lazy("model.datasets.image_dataset"), _Lazy("model.networks.network")
    quantization = _Lazy("model.artifacts.quantization")
    plots, training_report = _Lazy("model.reports.plots"), _Lazy("model.reports.training_report")
    screen_head, validation = _Lazy("model.training.screen_head"), _Lazy("model.training.validation")
    fold = _Lazy("model.networks.folding", "fold")
    Trainer = _Lazy("model.training.trainer", "Trainer")
    ResumableEarlyStopping = _Lazy("model.training.callbacks", "ResumableEarlyStopping")
    ImageDataset, feature_batches = (
        _Lazy("model.datasets.image_dataset", name) for name in ("ImageDataset", "feature_batches")
    )
    FeatureCache, HeadTrainingSet = (
        _Lazy("model.training.feature_cache", name) for name in ("FeatureCache", "HeadTrainingSet")
    )
    LeftOutStreams, ValidationPredictions = (
        _Lazy("model.training.validation", name) for name in ("LeftOutStreams", "ValidationPredictions")
    )
