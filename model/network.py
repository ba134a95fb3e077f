"""The networks, in Keras alone: they run on any of its backends. Imports Keras: import it after parsing."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from data.errors import SettingsError
from model import backbones

HEAD, UPPER, ALL = "none", "upper", "all"  # how far down from the head a network trains; or a layer's name


def build(
    architecture: str,
    img_size: int,
    classes: int,
    *,
    dropout: float = 0.5,
    initial_weights: str = backbones.NONE,
    kind: type[keras.Model] = keras.Model,
) -> keras.Model:
    """A model: images (n, img_size, img_size, 3), RGB, 0 to 255, any dtype → float32 logits (n, classes).

    Scaling is part of the model. `architecture`: cnn, mobilenet_v2 or efficientnet_v2_b0. `initial_weights`:
    shipped, imagenet, a weights file of the backbone, or none for random ones. With them the head alone
    trains, until `train_from` says otherwise. The last layer computes in float32 under any policy.
    Raises SettingsError: initial_weights cannot be had, or do not fit.
    """
    weights = backbones.starting_weights(architecture, initial_weights)
    images = keras.Input((img_size, img_size, 3), name="image")
    hidden = _convolutions(images) if architecture == "cnn" else _features(images, architecture, img_size, weights)
    hidden = layers.Dropout(dropout, name="dropout")(hidden)
    logits = layers.Dense(classes, name="logits", dtype="float32")(hidden)
    return kind(images, logits, name=architecture)


def compile_for(
    model: keras.Model, learning_rate: Any, *, label_smoothing: float = 0.0, jit_compile: bool | str = "auto"
) -> None:
    """Adam on the cross-entropy between the model's logits and the labels (integers); accuracy besides.

    `learning_rate`: a number or a Keras schedule. `label_smoothing`: 0 to 1, the share of a label that is
    spread over all classes. `jit_compile`: as Keras has it; auto means XLA on a single GPU.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=_smoothed(label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        jit_compile=jit_compile,
    )


def _smoothed(share: float) -> Any:
    """The loss; Keras' own smoothing takes labels as rows of zeros and a one alone."""
    if not share:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(labels: Any, logits: Any) -> Any:
        rows = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), logits.shape[-1])
        return keras.losses.categorical_crossentropy(rows, logits, from_logits=True, label_smoothing=share)

    return loss


def train_from(model: keras.Model, block: str) -> None:
    """Let the head of a `model` with starting weights train, and its backbone from `block` on.

    `block`: none for the head alone, upper for the architecture's usual blocks, all, or the beginning of a
    layer's name. Batch normalisation never trains: a few steps on small batches in training mode replace
    the statistics that the weights were trained with, and the features collapse. Compile afterwards.
    Raises SettingsError: there is no such layer.
    """
    backbone = model.get_layer(backbones.NAME)
    usual = backbones.backbone(model.name)
    start = usual.upper if usual and block == UPPER else block
    names = [layer.name for layer in backbone.layers]
    first = {HEAD: len(names), ALL: 0}.get(start, _place(names, start))
    if first is None:
        raise SettingsError(f"FINE_TUNE: {model.name} has no layer whose name begins with {start}.")
    backbone.trainable = True
    for place, layer in enumerate(backbone.layers):
        layer.trainable = place >= first and not isinstance(layer, layers.BatchNormalization)


def _place(names: list[str], beginning: str) -> int | None:
    return next((place for place, name in enumerate(names) if name.startswith(beginning)), None)


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


def bytes_per_image(model: keras.Model) -> int:
    """What the outputs of all layers take for one image, in the types that they have."""
    layered = [part for layer in model.layers for part in getattr(layer, "layers", [layer])]
    outputs = [(layer.output.shape[1:], layer.compute_dtype) for layer in layered]
    return sum(math.prod(shape) * (2 if "16" in dtype else 4) for shape, dtype in outputs)


def in_float32(model: keras.Model, anew: bool = False) -> keras.Model:
    """`model`, or where it computes in float16 the same one with the same weights in float32.

    Files are for any machine: float16 is slow without a GPU, and ONNX export wants float32. `anew`: a copy
    in any case, for a model whose variables lie on several devices.
    """
    if model.dtype_policy.name == "float32" and not anew:
        return model
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        copy = build(model.name, model.input_shape[1], model.output_shape[-1])
    finally:
        keras.config.set_dtype_policy(policy)
    copy.set_weights(model.get_weights())
    return copy


def _convolutions(images: keras.KerasTensor) -> keras.KerasTensor:
    """The original's layers up to its 256 hidden units."""
    hidden = layers.Rescaling(1 / 255)(images)
    for filters in (128, 64, 32, 16):
        hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D()(hidden)
    return layers.Dense(256, activation="relu")(layers.Flatten()(hidden))


def _features(images: keras.KerasTensor, architecture: str, img_size: int, weights: str) -> keras.KerasTensor:
    """A backbone's 1280 averaged features; with starting weights it stays as it is."""
    model = backbones.made(architecture, img_size, weights)
    if weights != backbones.NONE:
        for layer in model.layers:
            layer.trainable = False
    kind = backbones.backbone(architecture)
    return model(layers.Rescaling(kind.scale, offset=kind.offset)(images)) if kind else images
