"""Bytes per saved frame, on 1080p60 channels with a 360p rendition."""

from __future__ import annotations

from benchmarks import _grabbing


def main(argv: list[str]) -> int:
    """Measure both methods in turn, print the result, and return 0; `argv` is empty."""
    del argv
    ours, original = _grabbing.in_turn("live", "bytes")
    return _grabbing.report("grab_bytes", 1e-3 * ours, 1e-3 * original, "kB a frame")
