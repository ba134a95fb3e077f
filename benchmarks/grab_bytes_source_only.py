"""Bytes fetched for each kept frame, on a 1080p60 channel without transcodes."""

from __future__ import annotations

from benchmarks import _grabbing


def main(argv: list[str]) -> int:
    """Measure ours and the original's way in turn; `argv` is empty."""
    del argv
    ours, original = _grabbing.in_turn("source_only", "bytes")
    return _grabbing.report("grab_bytes_source_only", 1e-3 * ours, 1e-3 * original, "kB a frame")
