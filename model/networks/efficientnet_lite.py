"""EfficientNet-Lite0 in Keras layers: EfficientNet-B0 without squeeze-and-excitation, with ReLU6 for swish.

Tan and Le, EfficientNet, ICML 2019; the Lite variant, which keras.applications lacks, is from TensorFlow's TPU
repository, 2020. It costs a CPU as much as MobileNetV2, and its features tell more games apart: docs/benchmarks.md.
"""

from __future__ import annotations

import keras
from keras import layers

_STEM_FILTERS = 32
_STAGES = (  # repeats, kernel size, stride of the first block, expansion factor, filters
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite0(input_shape: tuple[int, int, int]) -> keras.Model:
    """Build the network without its top: scaled images (B, H, W, 3) → averaged features (B, 320).

    The layer that widens 320 features to 1280 for ImageNet's classes is left out: it costs an eighth of the weights.
    The weights are random.
    """
    images = keras.Input(input_shape)
    hidden = _convolution(images, _STEM_FILTERS, 3, 2, "stem")
    number = 0
    for repeats, kernel, first_stride, expansion, filters in _STAGES:
        for repeat in range(repeats):
            shape = (kernel, first_stride if repeat == 0 else 1, expansion, filters)
            hidden = _block(hidden, shape, f"block_{number:02}")
            number += 1
    return keras.Model(images, layers.GlobalAveragePooling2D(name="average")(hidden), name="efficientnet_lite0")


def _block(inputs: keras.KerasTensor, shape: tuple[int, int, int, int], name: str) -> keras.KerasTensor:
    """Apply an inverted residual block: expand, filter each channel, project.

    `shape`: kernel size, stride, expansion factor, filters.
    """
    kernel, stride, expansion, filters = shape
    channels = inputs.shape[-1]
    hidden = _convolution(inputs, expansion * channels, 1, 1, f"{name}_expand") if expansion > 1 else inputs
    depthwise = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_depthwise")
    hidden = _normalised(depthwise(hidden), f"{name}_depthwise")
    projection = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(hidden)
    outputs = layers.BatchNormalization(name=f"{name}_project_bn")(projection)
    return layers.Add(name=f"{name}_add")([outputs, inputs]) if stride == 1 and channels == filters else outputs


def _convolution(inputs: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    convolution = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)
    return _normalised(convolution(inputs), name)


def _normalised(inputs: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(inputs))
