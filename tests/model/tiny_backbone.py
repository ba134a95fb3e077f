"""A backbone of two convolutions for tests of training.

A real one takes seconds to build and to trace. Without a graph, a step takes milliseconds for each variable.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from model.networks import backbones
from tests.model.lazily import keras, layers, network

NAME = "tiny"


def tiny(input_shape: tuple[int, int, int]) -> keras.Model:
    """Build it without its top: images (B, H, W, 3) → averaged features (B, 16)."""
    images = hidden = keras.Input(input_shape)
    for number in (1, 2):
        hidden = layers.Conv2D(16, 5, strides=4, padding="same", use_bias=False, name=f"block_{number}")(hidden)
        # A low momentum: after a few steps the statistics are those of the data.
        hidden = layers.BatchNormalization(momentum=0.5, name=f"block_{number}_bn")(hidden)
        hidden = layers.ReLU(6, name=f"block_{number}_relu")(hidden)
    return keras.Model(images, layers.GlobalAveragePooling2D(name="average")(hidden))


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the network as an architecture for the test; return the architecture's name."""
    from model.networks import efficientnet_lite  # imports Keras

    description = backbones.Backbone(
        builder=NAME, scale=1 / 127.5, offset=-1.0, grid_layer="block_2_relu", fine_tune_from="block_2"
    )
    monkeypatch.setattr(efficientnet_lite, NAME, tiny, raising=False)
    monkeypatch.setitem(backbones.BACKBONES, NAME, description)
    monkeypatch.setattr(backbones, "ARCHITECTURES", (*backbones.ARCHITECTURES, NAME))
    return NAME


@pytest.fixture
def tiny_weights(tiny_backbone: str, tmp_path: Path) -> str:
    """Return a file of random weights of the tiny backbone."""
    keras.utils.set_random_seed(1)
    path = tmp_path / "b.weights.h5"
    network.build(tiny_backbone, 32, 2, dropout=0.0, initial_weights="none").get_layer("backbone").save_weights(path)
    return str(path)
