"""The networks, in Keras alone: they run on any of its backends. Imports Keras: import it after parsing."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from data.errors import SettingsError
from model.networks import backbones

HEAD, UPPER, ALL = "none", "upper", "all"  # how far down from the head a network trains; or a layer's name
_CELLS = 5  # of the grid, along a side: enough to tell a display in a corner from the scene
_SPREAD = 0.3  # of standardised features; with it the head learns at the usual step sizes


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

    Scaling is part of the model. Before a backbone's head stand its averaged features, which tell what is seen, and
    those of a coarse grid, which tell where: a game's display, at least, is where it is on all maps.
    `architecture`: cnn, mobilenet_v2 or efficientnet_v2_b0. `initial_weights`: shipped, imagenet, a weights file of
    the backbone, or none for random ones. With them the head alone trains, until `train_from` says otherwise. The
    last layer computes in float32 under any policy.
    Raises SettingsError: initial_weights cannot be had, or do not fit.
    """
    weights = backbones.starting_weights(architecture, initial_weights)
    images = keras.Input((img_size, img_size, 3), name="image")
    hidden = _convolutions(images) if architecture == "cnn" else _features(images, architecture, img_size, weights)
    hidden = layers.Dropout(dropout, name="dropout")(hidden)
    logits = layers.Dense(classes, name="logits", dtype="float32")(hidden)
    return kind(images, logits, name=architecture)


def compile_for(
    model: keras.Model,
    learning_rate: Any,
    *,
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    jit_compile: bool | str = "auto",
) -> None:
    """AdamW on the cross-entropy between the model's logits and the labels (integers); accuracy besides.

    A label that is the number of the classes says that the picture shows none of them: then all shall be alike.
    `learning_rate`: a number or a Keras schedule. `label_smoothing`: 0 to 1, the share of a label that is
    spread over all classes. `weight_decay`: of kernels, not of biases; 0 is plain Adam. `jit_compile`: as Keras has it;
    auto means XLA on a single GPU.
    """
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, _loss(label_smoothing), metrics=[_Accuracy(name="accuracy")], jit_compile=jit_compile)


def _loss(smoothing: float) -> Any:
    def loss(labels: Any, logits: Any) -> Any:
        classes = logits.shape[-1]
        rows = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), classes)  # zeros where it is none of them
        spread = 1 - (1 - smoothing) * ops.sum(rows, axis=-1, keepdims=True)
        return keras.losses.categorical_crossentropy(
            (1 - smoothing) * rows + spread / classes, logits, from_logits=True
        )

    return loss


class _Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """Of the pictures that show one of the classes."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002 - Keras' signature
        """Unweighted: accuracy is of pictures."""
        shown = ops.cast(ops.reshape(y_true, (-1,)) < y_pred.shape[-1], "float32")
        return super().update_state(y_true, y_pred, shown)


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
    if model.name == "cnn" or model.get_layer(backbones.NAME).trainable_weights:
        return None
    features = model.get_layer("features").output
    values = hidden = keras.Input(features.shape[1:])
    for name in ("standardised", "dropout", "logits"):
        hidden = model.get_layer(name)(hidden)
    return keras.Model(model.input, features), keras.Model(values, hidden)


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
    """A backbone's features, averaged and in cells, standardised; with starting weights it stays as it is."""
    model = backbones.made(architecture, img_size, weights)
    if weights != backbones.NONE:
        for layer in model.layers:
            layer.trainable = False
    kind = backbones.backbone(architecture)
    if kind is None:
        raise ValueError(architecture)
    averaged, grid = model(layers.Rescaling(kind.scale, offset=kind.offset)(images))
    cells = layers.AveragePooling2D(max(1, grid.shape[1] // _CELLS), name="cells")(grid)
    both = [layers.Identity(name="averaged")(averaged), layers.Flatten(name="placed")(cells)]
    features = layers.Concatenate(name="features")(both)
    fixed = layers.BatchNormalization(center=False, scale=False, epsilon=1e-6, name="standardised", trainable=False)
    return fixed(features)


def standardise(model: keras.Model, features: np.ndarray) -> None:
    """Centre the features of a `model` with a backbone, and bring both kinds to one scale, by some (n, d) of them.

    One factor for all of a kind: what hardly varies stays small. Nothing else ever changes it.
    """
    width = model.get_layer("averaged").output.shape[-1]
    scales = [np.full(part.shape[1], part.std() * (part.shape[1] / width) ** 0.5) for part in _kinds(features, width)]
    layer = model.get_layer("standardised")
    layer.moving_mean.assign(features.mean(axis=0, dtype=np.float64))
    layer.moving_variance.assign((np.concatenate(scales) / _SPREAD) ** 2)


def _kinds(features: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    return features[:, :width], features[:, width:]


def likened(model: keras.Model) -> keras.KerasTensor:
    """The features, symbolic (n, d), by which pictures are like each other: averaged ones, or the cnn's hidden."""
    named = {layer.name: layer for layer in model.layers}
    return named["averaged"].output if "averaged" in named else model.get_layer("dropout").input
