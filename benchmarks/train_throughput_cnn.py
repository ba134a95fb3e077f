"""The same with the original's own network, all of which trains: on a CPU its convolutions take most of the time."""

from __future__ import annotations

from benchmarks import _training


def main(argv: list[str]) -> int:
    """Measure ours and the original's pipeline in turn; `argv` is empty."""
    del argv
    return _training.measure("train_throughput_cnn", "cnn", epochs=2)
