"""Watch coordinator: spreads channels over the workers of a cluster, moves them, and puts their events together.

    until every channel has finished, or `stop` is set:
        a worker joined: take channels of those that have more than their share
        a worker is lost: its channels wait
        a worker replied: keep the states of its channels; yield its events; those that left it wait or have finished
        give each channel that waits to the worker with the fewest
    emit the verdicts of the channels that are still live

A channel has one worker at most. It is given to the next one when the last one has answered that no poll goes on, or is
lost: then the last one has ended (data.pool.worker_host). The next worker gets the state of the latest event that was
yielded here, so it repeats none and continues the frame numbers, the answer and the sums of the verdict.

While the consumer of the events is slow, workers keep their replies, and their polls wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heapreplace
from math import ceil
from typing import TYPE_CHECKING

from data.errors import ToolkitError
from data.pool.links import Joined, Lost, Replied
from data.pool.workers import RemoteWorkers
from recognition.cluster.node_recognizer import open_nodes
from recognition.cluster.watch_worker import NodeWatch, Unwatch, Watch, WatchOptions, WatchReply
from recognition.events import Event, VerdictReached, now
from recognition.sources import refuse_files

if TYPE_CHECKING:
    from config import Settings
    from recognition.decision.verdict import VerdictAccumulator
    from recognition.engine.batching import OnBatch
    from recognition.engine.watched_stream import StreamState

_STOP_CHECK_S = 0.2
_SPREAD_S = 5.0  # after the first worker, for the others that are expected; a later one gets its share by moves


@dataclass(eq=False)
class _Channel:
    """A watched source. worker: its number, None while the channel waits. leaving: whether the worker gives it back."""

    source: str
    worker: int | None = None
    leaving: bool = False
    state: StreamState | None = None


class WatchCoordinator:
    """Watches sources on workers; the thread that takes the events does all of the work.

    Args:
        workers: hold a NodeWatch each; open until the end of `events`.
        sources: distinct, as `recognition.sources.unique` returns them.
        stop: ends the watch when it is set.
        on_batch: gets the inferences of all workers.
    """

    def __init__(
        self, workers: RemoteWorkers, sources: Iterable[str], stop: threading.Event, on_batch: OnBatch | None = None
    ) -> None:
        self._workers, self._stop, self._on_batch = workers, stop, on_batch
        self._channels = {source: _Channel(source) for source in sources}  # those that have not finished
        self._waiting = dict.fromkeys(self._channels.values())
        self._loads: dict[int, dict[_Channel, None]] = {}  # channels by worker
        self._spread_until: float | None = None  # monotonic seconds; None before the first worker

    def events(self, new_accumulator: Callable[[], VerdictAccumulator]) -> Generator[Event, None, None]:
        """Yield events as they happen; at the end, a verdict for each channel that is still live.

        new_accumulator: for the model of the workers. Raises, after the verdicts, what `RemoteWorkers.events` raises.
        """
        error = None
        try:
            while self._channels and not self._stop.is_set():
                for event in self._workers.events(_STOP_CHECK_S):
                    yield from self._handle(event)
                self._assign()
        except ToolkitError as lost:
            error = lost
        for channel in self._channels.values():
            if channel.state and channel.state.sums.frames:
                accumulator = new_accumulator()
                accumulator.restore(channel.state.sums)
                yield VerdictReached(channel.source, now(), accumulator.verdict())
        if error:
            raise error

    def _handle(self, event: Joined | Replied | Lost) -> Iterator[Event]:
        """Take what happened to a worker into account; yield its channels' events."""
        if isinstance(event, Replied):
            for reply in event.replies:
                yield from self._apply(event.worker, reply)
        elif isinstance(event, Joined):
            self._loads[event.worker] = {}
            self._spread_until = self._spread_until or time.monotonic() + _SPREAD_S
            self._rebalance()
        else:
            for channel in self._loads.pop(event.worker, {}):
                self._wait(channel)

    def _apply(self, worker: int, reply: WatchReply) -> Iterator[Event]:
        for batch in reply.batches:
            if self._on_batch:
                self._on_batch(*batch)
        for source, state in reply.states.items():
            if channel := self._of(worker, source):
                channel.state = state
        # The states first: who stops to iterate in between must not get a verdict without these frames' sums.
        yield from (event for event in reply.events if self._of(worker, event.source))
        left = reply.left | {source: True for source, state in reply.states.items() if state.finished}
        for source, has_finished in left.items():
            if channel := self._of(worker, source):
                self._loads[worker].pop(channel, None)
                self._wait(channel)
                if has_finished:
                    del self._waiting[channel], self._channels[source]

    def _of(self, worker: int, source: str) -> _Channel | None:
        """Return the channel if this worker has it."""
        channel = self._channels.get(source)
        return channel if channel and channel.worker == worker else None

    def _wait(self, channel: _Channel) -> None:
        channel.worker, channel.leaving = None, False
        self._waiting[channel] = None

    def _assign(self) -> None:
        """Give the channels that wait to the workers with the fewest.

        At the start, shares are those of all workers that are expected: one that is ready first must not get all.
        """
        if not self._waiting or not self._loads:
            return
        at_start = self._spread_until is not None and time.monotonic() < self._spread_until
        share = ceil(len(self._channels) / max(self._workers.expected, len(self._loads)))
        fewest = [(len(channels), worker) for worker, channels in self._loads.items()]
        heapify(fewest)
        for channel in [*self._waiting]:
            load, worker = fewest[0]
            if load >= share and at_start:
                break
            heapreplace(fewest, (load + 1, worker))
            del self._waiting[channel]
            channel.worker = worker
            self._loads[worker][channel] = None
            self._workers.send(worker, Watch(channel.source, channel.state))

    def _rebalance(self) -> None:
        """Ask workers for the channels that they have beyond their share."""
        share = ceil(len(self._channels) / max(1, len(self._loads)))
        for worker, channels in self._loads.items():
            staying = [channel for channel in channels if not channel.leaving]
            for channel in staying[share:]:
                channel.leaving = True
                self._workers.send(worker, Unwatch(channel.source))


@contextmanager
def open_watch_workers(settings: Settings, sources: Iterable[str], options: WatchOptions) -> Iterator[RemoteWorkers]:
    """Yield the workers of the cluster RAY_ADDRESS. Raises ClusterError, SettingsError, ModelError, ExtraMissing."""
    refuse_files(sources, "watch")
    with open_nodes(settings) as cluster:
        make_worker = partial(NodeWatch, cluster.settings, cluster.model, options)
        with RemoteWorkers(cluster, make_worker) as workers:
            yield workers
