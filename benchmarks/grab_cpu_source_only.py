"""CPU time per saved frame, on 1080p60 channels without another rendition."""

from __future__ import annotations

from benchmarks import _grabbing


def main(argv: list[str]) -> int:
    """Measure both methods in turn, print the result, and return 0; `argv` is empty."""
    del argv
    ours, original = _grabbing.in_turn("source_only", "cpu_s")
    return _grabbing.report("grab_cpu_source_only", 1e3 * ours, 1e3 * original, "ms of CPU a frame")
