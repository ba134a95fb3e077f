"""Time of recognize_wall with the original's network, whose four convolutions take most of our time."""

from __future__ import annotations

from benchmarks import _recognizing


def main(argv: list[str]) -> int:
    """Measure both methods in turn, print the result, and return 0; `argv` is empty."""
    del argv
    return _recognizing.measure("recognize_wall_cnn", "cnn")
