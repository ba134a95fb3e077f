"""Time from the start of recognition.recognize to its verdict, on a 1080p60 channel, with MobileNetV2.

The original's method starts TensorFlow (benchmarks._recognizer); both use the same network.
"""

from __future__ import annotations

from benchmarks import _recognizing


def main(argv: list[str]) -> int:
    """Measure both methods in turn, print the result, and return 0; `argv` is empty."""
    del argv
    return _recognizing.measure("recognize_wall", "efficientnet_lite0")
