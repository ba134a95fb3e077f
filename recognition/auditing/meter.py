"""Cost meter: what an audit costs, earlier runs of the same audit included."""

from __future__ import annotations

import time
from collections.abc import Callable

from data.http.traffic import COUNTER
from data.storage.audit_rows import AuditCost


class Meter:
    """Measures this process from now on.

    before: the cost of earlier runs. cluster_cpu: returns the CPU seconds of workers on a cluster so far.
    """

    def __init__(self, before: AuditCost | None = None, cluster_cpu: Callable[[], float] = float) -> None:
        self._before, self._cluster_cpu = before or AuditCost(), cluster_cpu
        self._clock, self._cpu, self._traffic = time.monotonic(), self._cpu_seconds(), COUNTER.total()
        self._frames = 0

    def add_frames(self, count: int) -> None:
        """Count classified frames."""
        self._frames += count

    def cost(self) -> AuditCost:
        """Return the cost so far."""
        before, traffic = self._before, COUNTER.total() - self._traffic
        return AuditCost(
            before.seconds + time.monotonic() - self._clock,
            before.cpu_seconds + self._cpu_seconds() - self._cpu,
            before.frames + self._frames,
            before.requests + traffic.requests,
            before.bytes + traffic.bytes,
        )

    def _cpu_seconds(self) -> float:
        return time.process_time() + self._cluster_cpu()
