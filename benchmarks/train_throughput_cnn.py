"""Training images per second with the original's network, whose convolutions dominate on a CPU."""

from __future__ import annotations

from benchmarks import _training


def main(argv: list[str]) -> int:
    """Measure both pipelines in turn, print the result, and return 0; `argv` is empty."""
    del argv
    return _training.measure("train_throughput_cnn", "cnn", epochs=2)
