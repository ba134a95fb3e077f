"""The networks, in Keras alone: they run on any of its backends. Imports Keras: import it after parsing."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
from keras import layers

from data.errors import SettingsError

IMAGENET = "imagenet"


def build(
    architecture: str,
    img_size: int,
    classes: int,
    *,
    dropout: float = 0.5,
    initial_weights: str = "",
    fine_tune: bool = False,
    learning_rate: float = 1e-3,
) -> keras.Model:
    """A compiled model: images (n, img_size, img_size, 3), RGB, 0 to 255, any dtype → float32 logits (n, classes).

    Scaling is part of the model. `architecture`: cnn, or mobilenet_v2 with `initial_weights`: a weights file of
    its backbone, imagenet, or "" for random ones. With them the backbone stays as loaded and the head alone
    trains; `fine_tune` trains the backbone too, but its batch normalisation. The last layer computes in
    float32 under any policy. Raises SettingsError: initial_weights cannot be had, or do not fit.
    """
    images = keras.Input((img_size, img_size, 3), name="image")
    if architecture == "cnn":
        if initial_weights:
            raise SettingsError("INITIAL_WEIGHTS: ARCHITECTURE=mobilenet_v2 alone has them; leave it empty for cnn.")
        hidden = _convolutions(images)
    else:
        hidden = _mobilenet_v2(images, img_size, initial_weights, fine_tune)
    hidden = layers.Dropout(dropout, name="dropout")(hidden)
    logits = layers.Dense(classes, name="logits", dtype="float32")(hidden)
    model = keras.Model(images, logits, name=architecture)
    compile_for(model, learning_rate)
    return model


def compile_for(model: keras.Model, learning_rate: float) -> None:
    """Adam on the cross-entropy between the model's logits and the labels (integers); accuracy besides."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def head(model: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """`model` as (backbone: images → features, head: features → logits), if nothing but the head trains.

    Both share the model's layers: to train the head is to train the model. None where the backbone
    trains too.
    """
    features = model.get_layer("dropout").input
    backbone = keras.Model(model.input, features)
    if backbone.trainable_weights:
        return None
    values = keras.Input(features.shape[1:])
    return backbone, keras.Model(values, model.get_layer("logits")(model.get_layer("dropout")(values)))


def in_float32(model: keras.Model) -> keras.Model:
    """`model`, or where it computes in float16 the same one with the same weights in float32.

    Files are for any machine: float16 is slow without a GPU, and ONNX export wants float32.
    """
    if model.dtype_policy.name == "float32":
        return model
    keras.config.set_dtype_policy("float32")
    copy = build(model.name, model.input_shape[1], model.output_shape[-1])
    copy.set_weights(model.get_weights())
    return copy


def _convolutions(images: keras.KerasTensor) -> keras.KerasTensor:
    """The original's layers up to its 256 hidden units."""
    hidden = layers.Rescaling(1 / 255)(images)
    for filters in (128, 64, 32, 16):
        hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D()(hidden)
    return layers.Dense(256, activation="relu")(layers.Flatten()(hidden))


def _mobilenet_v2(images: keras.KerasTensor, img_size: int, initial_weights: str, fine_tune: bool) -> keras.KerasTensor:
    """MobileNetV2 (width 1.0) up to its 1280 averaged features; it expects -1 to 1."""
    backbone = _backbone(img_size, initial_weights)
    if initial_weights:
        backbone.trainable = fine_tune
        for layer in backbone.layers:
            # A few steps on batches of 16 in training mode replace the statistics that the weights were
            # trained with, and the features collapse.
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
    return backbone(layers.Rescaling(1 / 127.5, offset=-1)(images))


def _backbone(img_size: int, initial_weights: str) -> keras.Model:
    weights = IMAGENET if initial_weights == IMAGENET else None
    try:
        with warnings.catch_warnings():  # Keras warns that 240 is not 224: the network is convolutional
            warnings.simplefilter("ignore")
            backbone = keras.applications.MobileNetV2(
                input_shape=(img_size, img_size, 3), include_top=False, pooling="avg", weights=weights, name="backbone"
            )
    except Exception as error:  # get_file wraps what failed in a bare one
        raise SettingsError(f"INITIAL_WEIGHTS: imagenet cannot be downloaded: {error}") from error
    if initial_weights and weights is None:
        _load(backbone, Path(initial_weights))
    return backbone


def _load(backbone: keras.Model, path: Path) -> None:
    """Fill the backbone from `path`, a `.weights.h5` in float32 or, to save space, float16."""
    if not path.is_file():
        raise SettingsError(f"INITIAL_WEIGHTS: there is no file {path}.")
    try:
        backbone.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"INITIAL_WEIGHTS: {path} does not fit MobileNetV2 without its top: {reason}") from error
