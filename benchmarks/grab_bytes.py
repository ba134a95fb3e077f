"""Bytes fetched for each kept frame, on a 1080p60 channel with transcodes."""

from __future__ import annotations

from benchmarks import _grabbing


def main(argv: list[str]) -> int:
    """Measure ours and the original's way in turn; `argv` is empty."""
    del argv
    ours, original = _grabbing.in_turn("live", "bytes")
    return _grabbing.report("grab_bytes", 1e-3 * ours, 1e-3 * original, "kB a frame")
