"""Neural networks: image classifiers from pixels to logits, in Keras operations that run on any Keras backend."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from data.errors import SettingsError
from model.networks import backbones

HEAD_ONLY, UPPER_BLOCKS, ALL_LAYERS = "none", "upper", "all"  # FINE_TUNE, besides a layer's name
_GRID_CELLS = 5  # along a side: enough to tell the HUD in a corner from the scene
_TARGET_STD = 0.3  # of standardised features; with it the head learns at usual learning rates


def build(
    architecture: str,
    img_size: int,
    classes: int,
    *,
    dropout: float,
    initial_weights: str,
    model_class: type[keras.Model] = keras.Model,
) -> keras.Model:
    """Build a classifier: RGB images (B, img_size, img_size, 3), 0 to 255, any dtype → float32 logits (B, classes).

    The pixel scaling is part of the model. With a backbone, the head sees two kinds of features: averages, which say
    what is visible, and a coarse grid, which says where. A HUD, for one, has the same place on all maps.

    `initial_weights`: shipped, imagenet, none for random weights, or the path of a backbone's weights file. With
    initial weights the backbone is frozen; `unfreeze_from` changes that. Raises SettingsError: the architecture does
    not exist, or the weights are not available or do not fit.
    """
    backbones.require_architecture(architecture)
    weights = backbones.resolve_weights(architecture, initial_weights)
    images = keras.Input((img_size, img_size, 3), name="image")
    cnn = architecture == backbones.CNN
    hidden = _cnn_features(images) if cnn else _backbone_features(images, architecture, img_size, weights)
    hidden = layers.Dropout(dropout, name="dropout")(hidden)
    # float32 under any dtype policy: float16 logits would lose digits of the loss
    logits = layers.Dense(classes, name="logits", dtype="float32")(hidden)
    return model_class(images, logits, name=architecture)


def compile_model(
    model: keras.Model,
    learning_rate: Any,
    *,
    label_smoothing: float = 0.0,
    weight_decay: float = 0.0,
    jit_compile: bool | str = "auto",
) -> None:
    """Compile with AdamW, cross-entropy on logits, and accuracy.

    A label equal to the number of classes marks a synthetic negative: its target is the uniform distribution.
    `learning_rate`: a number or a Keras schedule. `label_smoothing`: fraction of each label that is spread over all
    classes, 0 to 1. `weight_decay`: of kernels, not of biases; 0 is plain Adam.
    """
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, _loss(label_smoothing), metrics=[_Accuracy(name="accuracy")], jit_compile=jit_compile)
    # TensorFlow traces a training step in which the optimizer creates its variables twice.
    optimizer.build(model.trainable_variables)


def _loss(smoothing: float) -> Any:
    def loss(labels: Any, logits: Any) -> Any:
        classes = logits.shape[-1]
        # one_hot gives a row of zeros for the label `classes`, so its target is uniform.
        one_hot = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), classes)  # (B, classes)
        spread = 1 - (1 - smoothing) * ops.sum(one_hot, axis=-1, keepdims=True)  # (B, 1)
        targets = (1 - smoothing) * one_hot + spread / classes
        return keras.losses.categorical_crossentropy(targets, logits, from_logits=True)

    return loss


class _Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """Accuracy over the images that show one of the classes."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002 - Keras' signature
        """Count images without class weights; skip synthetic negatives."""
        is_game = ops.cast(ops.reshape(y_true, (-1,)) < y_pred.shape[-1], "float32")  # (B,)
        return super().update_state(y_true, y_pred, is_game)


def unfreeze_from(model: keras.Model, first_layer: str) -> None:
    """Make the backbone trainable from a layer on, and the layers below it frozen; compile the model afterwards.

    `first_layer`: HEAD_ONLY, UPPER_BLOCKS, ALL_LAYERS, or a layer's name or its beginning. Batch normalisation stays
    frozen in any case (`Backbone.frozen_layers`). Raises SettingsError: no such layer.
    """
    layer, backbone = model.get_layer(backbones.LAYER_NAME), backbones.BACKBONES[model.name]
    names = [inner.name for inner in layer.layers]
    prefix = backbone.fine_tune_from if first_layer == UPPER_BLOCKS else first_layer
    found = next((index for index, name in enumerate(names) if name.startswith(prefix)), None)
    start = {HEAD_ONLY: len(names), ALL_LAYERS: 0}.get(prefix, found)
    if start is None:
        raise SettingsError(f"FINE_TUNE: {model.name} has no layer whose name begins with {prefix}.")
    layer.trainable = True  # a layer trains only if every model around it does
    for index, inner in enumerate(layer.layers):
        inner.trainable = index >= start and type(inner).__name__ not in backbone.frozen_layers


def split_head(model: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """Split a model whose backbone is frozen into (images → features, features → logits).

    Both parts share the model's layers: training the head trains the model. Return None if the backbone trains.
    """
    if model.name == backbones.CNN or model.get_layer(backbones.LAYER_NAME).trainable_weights:
        return None
    features = model.get_layer("features").output
    inputs = hidden = keras.Input(features.shape[1:])
    for name in ("standardised", "dropout", "logits"):
        hidden = model.get_layer(name)(hidden)
    return keras.Model(model.input, features), keras.Model(inputs, hidden)


def activation_bytes_per_image(model: keras.Model) -> int:
    """Return the size of all layers' outputs for one image, in bytes."""
    flat = [inner for layer in model.layers for inner in getattr(layer, "layers", [layer])]
    outputs = [(layer.output.shape[1:], layer.compute_dtype) for layer in flat]
    return sum(math.prod(shape) * (2 if "16" in dtype else 4) for shape, dtype in outputs)


def as_float32(model: keras.Model, copy: bool = False) -> keras.Model:
    """Return the model in float32 with the same weights: `model` itself if it is in float32 already.

    Saved files are for any machine: float16 is slow without a GPU, and the export to ONNX needs float32. `copy`:
    always copy, for a model whose variables are spread over several devices.
    """
    if model.dtype_policy.name == "float32" and not copy:
        return model
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        shape = model.name, model.input_shape[1], model.output_shape[-1]
        clone = build(*shape, dropout=model.get_layer("dropout").rate, initial_weights=backbones.RANDOM)
    finally:
        keras.config.set_dtype_policy(policy)
    clone.set_weights(model.get_weights())
    return clone


def _cnn_features(images: keras.KerasTensor) -> keras.KerasTensor:
    """Apply the original's layers up to its 256 hidden units: (B, H, W, 3) → (B, 256)."""
    hidden = layers.Rescaling(1 / 255)(images)
    for filters in (128, 64, 32, 16):
        hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D()(hidden)
    return layers.Dense(256, activation="relu")(layers.Flatten()(hidden))


def _backbone_features(images: keras.KerasTensor, architecture: str, img_size: int, weights: str) -> keras.KerasTensor:
    """Apply a backbone, frozen if it has initial weights, and standardise: (B, H, W, 3) → (B, F + cells² · C)."""
    model = backbones.build_backbone(architecture, img_size, weights)
    if weights != backbones.RANDOM:
        for layer in model.layers:
            layer.trainable = False
    backbone = backbones.BACKBONES[architecture]
    averaged, grid = model(layers.Rescaling(backbone.scale, offset=backbone.offset)(images))  # (B, F), (B, h, w, C)
    cells = layers.AveragePooling2D(max(1, grid.shape[1] // _GRID_CELLS), name="cells")(grid)
    both = [layers.Identity(name="averaged")(averaged), layers.Flatten(name="placed")(cells)]
    features = layers.Concatenate(name="features")(both)
    # A fixed affine map that `fit_standardisation` sets; as a layer it is saved with the model.
    fixed = layers.BatchNormalization(center=False, scale=False, epsilon=1e-6, name="standardised", trainable=False)
    return fixed(features)


def fit_standardisation(model: keras.Model, features: np.ndarray) -> None:
    """Fit the `standardised` layer to sample features (n, d): centre each, and bring both kinds to one scale.

    All features of a kind have one factor, so that a feature that hardly varies stays small.
    """
    width = model.get_layer("averaged").output.shape[-1]
    kinds = features[:, :width], features[:, width:]
    # The square root makes both kinds count alike in a dot product, whatever their number of features.
    scales = [np.full(kind.shape[1], kind.std() * (kind.shape[1] / width) ** 0.5) for kind in kinds]
    layer = model.get_layer("standardised")
    layer.moving_mean.assign(features.mean(axis=0, dtype=np.float64))  # (d,)
    layer.moving_variance.assign((np.concatenate(scales) / _TARGET_STD) ** 2)  # (d,)


def add_feature_output(model: keras.Model) -> keras.Model:
    """Return `model` with two outputs: logits (B, classes), and features (B, d) for feature similarity.

    These are the averages of the backbone, or the CNN's hidden units.
    """
    is_cnn = model.name == backbones.CNN
    features = model.get_layer("dropout").input if is_cnn else model.get_layer("averaged").output
    return keras.Model(model.input, [model.output, features])
