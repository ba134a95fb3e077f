"""Frames per second from 50 live channels: ours grabs eight at a time, the original one after the other."""

from __future__ import annotations

import statistics

from benchmarks import _grabbing

_ROUNDS = 3
_FEW = 3  # channels for the original, whose rate does not depend on their number


def main(argv: list[str]) -> int:
    """Measure both methods in turn; `argv` is empty."""
    del argv
    ours, original = [], []
    with _grabbing.channels(50) as (standin, logins):
        for _ in range(_ROUNDS):
            ours.append(1 / _grabbing.measured(standin, "ours", logins).wall_s)
            original.append(1 / _grabbing.measured(standin, "original", logins[:_FEW]).wall_s)
    return _grabbing.report("grab_throughput", statistics.median(ours), statistics.median(original), "frames/s")
