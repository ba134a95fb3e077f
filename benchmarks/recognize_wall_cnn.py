"""The same as recognize_wall by the original's own network, four convolutions: most of our time is theirs."""

from __future__ import annotations

from benchmarks import _recognizing


def main(argv: list[str]) -> int:
    """Measure ours and the original's way in turn; `argv` is empty."""
    del argv
    return _recognizing.measure("recognize_wall_cnn", "cnn")
