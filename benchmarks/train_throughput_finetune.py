"""Training images per second of all layers of EfficientNet-Lite0, normalisation frozen: ours and plain Keras `fit`."""

from __future__ import annotations

from benchmarks import _training


def main(argv: list[str]) -> int:
    """Measure both pipelines in turn, print the result, and return 0; `argv` is empty."""
    del argv
    return _training.measure("train_throughput_finetune", "efficientnet_lite0", epochs=2, unfreeze_from="all")
