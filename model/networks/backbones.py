"""Registry of network architectures: the original's CNN, and the pretrained backbones with what each one needs.

Keras is imported in the calls only, so that commands can list `ARCHITECTURES` without loading it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import SettingsError
from data.text import printable_line

if TYPE_CHECKING:
    import keras

SHIPPED, IMAGENET, RANDOM = "shipped", "imagenet", "none"  # INITIAL_WEIGHTS, besides a path
LAYER_NAME = "backbone"  # of the backbone in a whole model
CNN = "cnn"  # the architecture without a backbone
_WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, slots=True)
class Backbone:
    """A convolutional network below the classification head."""

    builder: str  # name of a function in keras.applications, or in model.networks.efficientnet_lite
    scale: list[float] | float  # factor of pixels 0 to 255, one for all channels or one for each of R, G, B
    offset: list[float] | float  # added after scaling, likewise
    grid_layer: str  # its feature map has 1/16 of the image's sides, and so still has positions
    fine_tune_from: str  # name, or its beginning, of the first layer that FINE_TUNE=upper trains
    # Layer classes that never train: batch statistics would replace those of the weights within a few steps.
    frozen_layers: tuple[str, ...] = ("BatchNormalization",)
    shipped_weights: Path | None = None  # a weights file of this project
    options: Mapping[str, Any] = field(default_factory=dict)  # more arguments of the function


# ImageNet's mean and standard deviation of R, G, B, as in EfficientNetV2's own preprocessing layers. Those hold
# state, which a weights file would have to contain.
_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

BACKBONES = {
    "efficientnet_lite0": Backbone(
        builder="efficientnet_lite0",
        scale=1 / 128,
        offset=-127 / 128,
        grid_layer="block_10_add",
        fine_tune_from="block_06",
        shipped_weights=_WEIGHTS / "efficientnet_lite0_games.weights.h5",
    ),
    "mobilenet_v2": Backbone(
        builder="MobileNetV2",
        scale=1 / 127.5,
        offset=-1.0,
        grid_layer="block_12_add",
        fine_tune_from="block_13",
    ),
    "efficientnet_v2_b0": Backbone(
        builder="EfficientNetV2B0",
        options={"include_preprocessing": False},
        scale=[1 / (255 * deviation) for deviation in _DEVIATIONS],
        offset=[-mean / deviation for mean, deviation in zip(_MEANS, _DEVIATIONS, strict=True)],
        grid_layer="block5e_add",
        fine_tune_from="block6",
    ),
}
ARCHITECTURES = (CNN, *BACKBONES)


def require_architecture(name: str) -> None:
    """Raise SettingsError unless `name` is one of ARCHITECTURES."""
    if name not in ARCHITECTURES:
        raise SettingsError(f"ARCHITECTURE: {name!r} does not exist. Use one of {', '.join(ARCHITECTURES)}.")


def resolve_weights(architecture: str, initial_weights: str) -> str:
    """Return what `initial_weights` stands for: IMAGENET, RANDOM, or the path of a weights file.

    SHIPPED is RANDOM for an architecture without shipped weights. Raises SettingsError: the CNN has no backbone
    to load weights into.
    """
    backbone = BACKBONES.get(architecture)
    if initial_weights == SHIPPED:
        return str(backbone.shipped_weights) if backbone and backbone.shipped_weights else RANDOM
    if initial_weights != RANDOM and backbone is None:
        raise SettingsError(f"INITIAL_WEIGHTS: {architecture} has no backbone for them. Use none.")
    return initial_weights


def build_backbone(architecture: str, img_size: int, weights: str) -> keras.Model:
    """Build a backbone: images → (averaged features (B, F), feature map (B, h, w, C)).

    `weights`: as `resolve_weights` returns them. Raises SettingsError: they are not available or do not fit.
    """
    import keras

    backbone = BACKBONES[architecture]
    is_file = weights not in (IMAGENET, RANDOM)
    if is_file:  # before the network is built, which takes longer
        _require_weights(Path(weights), architecture)
    with warnings.catch_warnings():  # Keras warns that 240 is not 224, but the networks are fully convolutional
        warnings.simplefilter("ignore")
        model = _build(backbone, img_size, weights)
        # Named in a second model: EfficientNetV2 uses the name that it is given as a key of its blocks.
        outputs = [model.output, model.get_layer(backbone.grid_layer).output]
        model = keras.Model(model.input, outputs, name=LAYER_NAME)
    if is_file:
        with _unfit_weights(Path(weights), architecture):
            model.load_weights(weights)  # in float32 or, to save space, in float16
    return model


def _build(backbone: Backbone, img_size: int, weights: str) -> keras.Model:
    import keras

    from model.networks import efficientnet_lite

    own = getattr(efficientnet_lite, backbone.builder, None)
    if own:
        if weights == IMAGENET:
            raise SettingsError(
                f"INITIAL_WEIGHTS: Keras has no imagenet for {backbone.builder}. Use shipped or a file."
            )
        return own((img_size, img_size, 3))
    builder = partial(getattr(keras.applications, backbone.builder), **backbone.options)
    builder = partial(builder, input_shape=(img_size, img_size, 3), include_top=False, pooling="avg")
    if weights != IMAGENET:
        return builder(weights=None)
    try:
        return builder(weights=IMAGENET)
    except Exception as error:  # keras.utils.get_file raises a bare Exception
        raise SettingsError(
            f"INITIAL_WEIGHTS: the download of imagenet failed ({error}). Connect to the internet, or use shipped."
        ) from error


def _require_weights(path: Path, architecture: str) -> None:
    """Raise SettingsError unless `path` is an HDF5 file without references to other files."""
    from model.networks.hdf5_files import require_self_contained

    if not path.is_file():
        raise SettingsError(f"INITIAL_WEIGHTS: {path} not found. Check the path.")
    with _unfit_weights(path, architecture):
        require_self_contained(path)


@contextlib.contextmanager
def _unfit_weights(path: Path, architecture: str) -> Iterator[None]:
    """Raise SettingsError for an error in the block, which reads `path`."""
    try:
        yield
    except Exception as error:  # Keras and HDF5 raise many classes for a damaged or foreign file
        reason = printable_line(str(error))[:300]
        raise SettingsError(f"INITIAL_WEIGHTS: {path} does not fit {architecture} without its top: {reason}") from error
