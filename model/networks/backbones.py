"""The backbones of keras.applications, and the weights they start from. In Keras alone; imports Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from data.errors import SettingsError

SHIPPED, IMAGENET, NONE = "shipped", "imagenet", "none"
NAME = "backbone"
_WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, slots=True)
class Backbone:
    """`make`: the application. `scale`, `offset`: what it expects of pixels from 0 to 255, by channel or for all.

    `upper`: the layer from which on fine-tuning trains it. `grid`: one whose output is a sixteenth of the picture
    along a side, and still knows where things are. `shipped`: weights that come with the project.
    """

    make: Callable[..., keras.Model]
    scale: list[float] | float
    offset: list[float] | float
    upper: str
    grid: str
    shipped: Path | None = None
    options: tuple[tuple[str, bool], ...] = ()


def backbone(architecture: str) -> Backbone | None:
    """What stands before the head of `architecture`; None for the cnn, which has no backbone."""
    if architecture == "mobilenet_v2":
        shipped = _WEIGHTS / "mobilenet_v2_gameplay.weights.h5"
        return Backbone(keras.applications.MobileNetV2, 1 / 127.5, -1.0, "block_13", "block_12_add", shipped)
    if architecture == "efficientnet_v2_b0":
        # ImageNet's means and deviations, as its own preprocessing has them in a layer of state.
        means, deviations = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        scale = [1 / (255 * deviation) for deviation in deviations]
        offset = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
        options = (("include_preprocessing", False),)
        return Backbone(keras.applications.EfficientNetV2B0, scale, offset, "block6", "block5e_add", None, options)
    return None


def starting_weights(architecture: str, initial_weights: str) -> str:
    """What `initial_weights` means for `architecture`: a file's path, imagenet or none.

    Shipped weights are those of one architecture; the others start from random ones then. Raises
    SettingsError: cnn has no weights to start from.
    """
    kind = backbone(architecture)
    if initial_weights == SHIPPED:
        return str(kind.shipped) if kind and kind.shipped else NONE
    if initial_weights != NONE and kind is None:
        raise SettingsError(f"INITIAL_WEIGHTS: {architecture} has no backbone to load them into; none is its word.")
    return initial_weights


def made(architecture: str, img_size: int, weights: str) -> keras.Model:
    """The backbone: images → its averaged features (n, 1280), and its grid. `weights` as `starting_weights` gives them.

    Raises SettingsError: they cannot be had, or do not fit.
    """
    kind = backbone(architecture)
    if kind is None:
        raise ValueError(architecture)
    with warnings.catch_warnings():  # Keras warns that 240 is not 224: the networks are convolutional
        warnings.simplefilter("ignore")
        model = _application(kind, img_size, weights)
        # named here: EfficientNetV2 takes a name for the key of its blocks
        model = keras.Model(model.input, [model.output, model.get_layer(kind.grid).output], name=NAME)
    if weights not in (IMAGENET, NONE):
        _load(model, Path(weights), architecture)
    return model


def _application(kind: Backbone, img_size: int, weights: str) -> keras.Model:
    wanted = {"input_shape": (img_size, img_size, 3), "include_top": False, "pooling": "avg"} | dict(kind.options)
    if weights != IMAGENET:
        return kind.make(weights=None, **wanted)
    try:
        return kind.make(weights=IMAGENET, **wanted)
    except Exception as error:  # get_file wraps what failed in a bare one
        raise SettingsError(f"INITIAL_WEIGHTS: imagenet cannot be downloaded: {error}") from error


def _load(model: keras.Model, path: Path, architecture: str) -> None:
    """Fill the backbone from `path`, a `.weights.h5` in float32 or, to save space, float16."""
    if not path.is_file():
        raise SettingsError(f"INITIAL_WEIGHTS: there is no file {path}.")
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"INITIAL_WEIGHTS: {path} does not fit {architecture} without its top: {reason}") from error
