"""From the recogniser's start as a process to its verdict, on a 1080p60 channel, by the network that the demo trains.

The original's way starts TensorFlow (benchmarks._recognizer); both have the same MobileNetV2.
"""

from __future__ import annotations

from benchmarks import _recognizing


def main(argv: list[str]) -> int:
    """Measure ours and the original's way in turn; `argv` is empty."""
    del argv
    return _recognizing.measure("recognize_wall", "mobilenet_v2")
