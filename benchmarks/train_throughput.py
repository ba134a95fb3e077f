"""Training images per second, ten epochs of EfficientNet-Lite0's head: our pipeline and the original's, same network.

Without augmentation, ours computes the backbone's features of each image once. Both use all cores.
"""

from __future__ import annotations

from benchmarks import _training


def main(argv: list[str]) -> int:
    """Measure both pipelines in turn, print the result, and return 0; `argv` is empty."""
    del argv
    return _training.measure("train_throughput", "efficientnet_lite0", epochs=10)
