"""CPU for each kept frame, on a 1080p60 channel without transcodes."""

from __future__ import annotations

from benchmarks import _grabbing


def main(argv: list[str]) -> int:
    """Measure ours and the original's way in turn; `argv` is empty."""
    del argv
    ours, original = _grabbing.in_turn("source_only", "cpu_s")
    return _grabbing.report("grab_cpu_source_only", 1e3 * ours, 1e3 * original, "ms of CPU a frame")
