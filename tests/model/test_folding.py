"""Folded networks: outputs, gradients, shared weights, and what is not folded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.model.lazily import fold, keras, layers, tf

IMAGES = np.random.default_rng(0).normal(size=(2, 11, 12, 3)).astype(np.float32)  # one side odd, one even


def block(hidden: Any, **norm: Any) -> Any:
    """Apply what MobileNetV2 consists of: expansion, padded depthwise convolution of stride 2, projection."""
    hidden = layers.Conv2D(8, 1, use_bias=False)(hidden)
    hidden = layers.ReLU(6.0)(layers.BatchNormalization(**norm)(hidden))
    hidden = layers.ZeroPadding2D(((1, 1), (0, 1)))(hidden)
    hidden = layers.DepthwiseConv2D(3, 2, use_bias=False)(hidden)
    hidden = layers.ReLU(6.0)(layers.BatchNormalization(**norm)(hidden))
    return layers.BatchNormalization(**norm)(layers.Conv2D(4, 1, use_bias=False)(hidden))


@pytest.fixture
def network() -> keras.Model:
    """Return a network with a backbone of two outputs, frozen normalisations and statistics of a trained one."""
    keras.utils.set_random_seed(3)
    images = keras.Input(IMAGES.shape[1:])
    features = block(images, trainable=False)
    backbone = keras.Model(images, [layers.GlobalAveragePooling2D()(features), features], name="backbone")
    averaged, grid = backbone(images)
    logits = layers.Dense(3)(layers.Concatenate()([averaged, layers.Flatten()(grid)]))
    model = keras.Model(images, logits, name="whole")
    rng = np.random.default_rng(5)
    for norm in [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]:
        norm.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
    return model


def gradients(model: keras.Model) -> list[np.ndarray]:
    """Return the gradients of a loss by each trainable variable, as TensorFlow computes them in a training step."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(IMAGES, training=True) ** 2)
    return [value.numpy() for value in tape.gradient(loss, [v.value for v in model.trainable_variables])]


def kinds(model: keras.Model) -> set[type]:
    return {type(layer) for layer in model.get_layer("backbone").layers}


def test_folded_network_has_the_outputs_and_gradients_of_the_network(network):
    """Folding changes the order of multiplications only."""
    folded = fold(network)
    np.testing.assert_allclose(folded(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(gradients(folded), gradients(network), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_folded_network_has_no_normalisation_and_no_padding_left(network):
    """Both are part of the convolutions, which oneDNN then fuses with the ReLU."""
    assert {layers.BatchNormalization, layers.ZeroPadding2D} <= kinds(network)
    assert not {layers.BatchNormalization, layers.ZeroPadding2D} & kinds(fold(network))


def test_folded_network_shares_all_variables_in_the_same_order(network):
    """Weights, checkpoints and optimizer states fit either, and the network that is saved has no new layer."""
    folded, saved = fold(network), network.get_config()
    assert [id(v) for v in folded.variables] == [id(v) for v in network.variables]
    assert [id(v) for v in folded.trainable_variables] == [id(v) for v in network.trainable_variables]
    assert network.get_config() == saved


def test_network_folds_again_after_it_was_compiled(network):
    """Each stage of a training run folds the network for itself."""
    network.compile("sgd", lambda _labels, logits: logits)
    np.testing.assert_allclose(fold(network)(IMAGES), fold(network)(IMAGES))


def test_normalisation_that_trains_is_not_folded():
    """It uses the statistics of the batch, which are not known before the convolution."""
    images = keras.Input(IMAGES.shape[1:])
    network = keras.Model(images, block(images))
    assert fold(network) is network


def test_padding_that_is_not_same_stays():
    """Zeros on one side only do not equal the padding of a convolution."""
    images = keras.Input(IMAGES.shape[1:])
    hidden = layers.ZeroPadding2D(((2, 0), (0, 1)))(images)
    hidden = layers.DepthwiseConv2D(3, 2, use_bias=False)(hidden)
    network = keras.Model(images, layers.BatchNormalization(trainable=False)(hidden))
    folded = fold(network)
    assert [type(layer) for layer in folded.layers[:2]] == [layers.InputLayer, layers.ZeroPadding2D]
    np.testing.assert_allclose(folded(IMAGES), network(IMAGES), atol=1e-5)
