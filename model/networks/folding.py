"""Folded network: frozen batch normalisation is applied to the kernels of the convolutions instead of the activations.

A frozen normalisation is an affine map of each channel. Keras computes it in two passes over the activations, forward
and backward. On a CPU these passes take a third of a training step, and they keep oneDNN from fusing convolution,
bias and ReLU into one operation.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


class _FoldedConvolution(layers.Layer):
    """A convolution without bias, with the frozen normalisation after it folded into the kernel."""

    def __init__(self, convolution: layers.Layer, norm: layers.BatchNormalization, padding: str) -> None:
        super().__init__(name=convolution.name, dtype=convolution.dtype_policy)
        self.convolution, self.norm, self._padding = convolution, norm, padding
        self.built = True  # both layers are

    def call(self, images: Any) -> Any:
        """Convolve and normalise: (B, H, W, C) → (B, h, w, D)."""
        norm, convolution = self.norm, self.convolution
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)  # (D,)
        shift = norm.beta - norm.moving_mean * scale  # (D,)
        is_depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        # The kernel ends in (C, 1) for a depthwise convolution, for which D = C, and otherwise in (C, D).
        kernel = convolution.kernel * (scale[:, None] if is_depthwise else scale)
        convolve = ops.depthwise_conv if is_depthwise else ops.conv
        kernel, shift = ops.cast(kernel, self.compute_dtype), ops.cast(shift, self.compute_dtype)
        return convolve(images, kernel, convolution.strides, self._padding) + shift


def fold(model: keras.Model) -> keras.Model:
    """Return a model with the same outputs and shared layers, whose frozen normalisations are folded.

    Training one trains the other. Freeze and unfreeze layers before: a normalisation that trains stays as it is. A
    folded convolution must have no other reader than its normalisation, as in all backbones of keras.applications.
    Return `model` itself, compiled or not, if there is nothing to fold.
    """
    maker = _makers(model)
    parts = [(model, maker), *((part, _makers(part)) for part in model.layers if isinstance(part, keras.Model))]
    if not any(_is_foldable(layer, makers) for part, makers in parts for layer in part.layers):
        return model
    norms = {maker[id(norm.input)].name: norm for norm in model.layers if _is_foldable(norm, maker)}
    padded = {
        layer.name: pad.name
        for layer in model.layers
        if layer.name in norms and (pad := maker.get(id(layer.input))) and _adds_same_padding(pad, layer)
    }
    dropped = {*(norm.name for norm in norms.values()), *padded.values()}

    def call(layer: layers.Layer, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, keras.Model):
            return fold(layer)(*inputs, **options)
        if layer.name in norms:
            padding = "same" if layer.name in padded else layer.padding
            return _FoldedConvolution(layer, norms[layer.name], padding)(*inputs)
        return inputs[0] if layer.name in dropped else layer(*inputs, **options)

    uncompiled = keras.Model(model.input, model.output, name=model.name)  # cloning would compile the copy too
    return keras.models.clone_model(uncompiled, clone_function=lambda layer: layer, call_function=call)


def _makers(model: keras.Model) -> dict[int, layers.Layer]:
    """Return the layers of a model by the id of their output."""
    return {id(layer.output): layer for layer in model.layers}


def _is_foldable(layer: layers.Layer, maker: dict[int, layers.Layer]) -> bool:
    """Return whether `layer` is a frozen normalisation after a plain convolution; `maker`: layers by their output."""
    if not isinstance(layer, layers.BatchNormalization) or layer.trainable or not (layer.center and layer.scale):
        return False
    convolution: Any = maker.get(id(layer.input))  # None: the input of the model
    if type(convolution) not in (layers.Conv2D, layers.DepthwiseConv2D):
        return False
    return not convolution.use_bias and convolution.activation is keras.activations.linear


def _adds_same_padding(pad: layers.Layer, convolution: layers.Layer) -> bool:
    """Return whether `pad` adds the zeros of the convolution's padding "same", which needs no pass of its own."""
    if not isinstance(pad, layers.ZeroPadding2D) or convolution.padding != "valid":
        return False
    sizes = zip(pad.input.shape[1:3], convolution.kernel_size, convolution.strides, strict=True)
    totals = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size, kernel, stride in sizes]
    return [tuple(each) for each in pad.padding] == [(total // 2, total - total // 2) for total in totals]
