"""Training images a second, ten epochs of MobileNetV2's head: ours, and the pipeline of 2021 before the same network.

Nothing is augmented, so ours asks the backbone about each picture once; both take all the cores of the machine.
"""

from __future__ import annotations

from benchmarks import _training


def main(argv: list[str]) -> int:
    """Measure ours and the original's pipeline in turn; `argv` is empty."""
    del argv
    return _training.measure("train_throughput", "mobilenet_v2", epochs=10)
