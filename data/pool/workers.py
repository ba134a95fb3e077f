"""Remote workers: one actor for each CPU of the cluster, each holding a worker, and the loop that talks to them.

    every 2 s, list the nodes; for each CPU without an actor: start one
    for each actor: start → exchange → exchange …         (one call in flight: it is the heartbeat)
    an answer: its replies become an event; ask again
    no answer for LOST_S, or an error of Ray: the actor is lost, and never used again

One thread does all of this, whatever the caller does meanwhile. It takes calls from a queue; the caller takes events
from another one. A second thread lists the nodes, because that call hangs without the cluster's head.
"""

from __future__ import annotations

import itertools
import logging
import math
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from data.errors import ClusterError, ToolkitError
from data.pool.calls import describe_error, results
from data.pool.checks import versions
from data.pool.links import Event, Joined, Link, Lost, Place, Replied
from data.pool.nodes import Cluster, Node
from data.pool.worker_host import GATHER_S, LOST_S, Worker, WorkerHost
from data.threads import start_thread

log = logging.getLogger(__name__)

_NODES_S = 2.0  # between two lists of the nodes
_HEAD_S, _PATIENCE_S = 15.0, 120.0  # without an answer of the head; without any worker
_TICK_S, _PAUSED_S = 0.5, 3.0  # between two checks; more: this process was stopped meanwhile
_START_S = 20.0  # a worker that takes longer is not waited for; its node may have no free CPU
_RETRY_S, _MAX_RETRY_S = 1.0, 60.0  # before a new actor takes the place of a lost one; doubled at each failure
_MAX_EVENTS = 1000  # that the caller has not taken yet; beyond, workers keep their replies
_WARNING_S = 60.0  # between two warnings of a node
_CLOSE_S = 1.0


class RemoteWorkers:
    """Workers on all CPUs of a cluster. A context manager; the caller's thread makes all calls.

    Args:
        make_worker: creates a worker; picklable. It is called in each actor. Its ToolkitError is logged and repeated
            later; it is raised here if no worker has ever started.
        lost_s, gather_s: as LOST_S and GATHER_S of data.pool.worker_host; lost_s is at least 1.

    Example:
        with RemoteWorkers(cluster, make_worker) as workers:
            for event in workers.events(1.0):
                if isinstance(event, Joined):
                    workers.send(event.worker, message)
    """

    def __init__(
        self, cluster: Cluster, make_worker: Callable[[], Worker], lost_s: float = LOST_S, gather_s: float = GATHER_S
    ) -> None:
        self._cluster, self._make_worker = cluster, make_worker
        self._lost_s, self._gather_s = lost_s, gather_s
        self._numbers = itertools.count(1)
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()  # for the loop's thread
        self._events: SimpleQueue[Event | Exception] = SimpleQueue()
        self._stop = threading.Event()
        self._links: dict[int, Link] = {}
        self._places: dict[tuple[str, int], Place] = {}
        self._nodes_at = self._worked_at = time.monotonic()
        self._last_error: ToolkitError | None = None
        self._warned: dict[str, float] = {}  # monotonic seconds, by the node's id
        self.expected = 0  # number of workers that have started or are about to; 0 before the first list of the nodes

    def __enter__(self) -> RemoteWorkers:
        maker = self._cluster.put(self._make_worker)
        self._start_arguments = (maker, versions(), self._lost_s, self._gather_s)
        self._loop = start_thread(self._work, "workers")
        start_thread(self._list_nodes, "nodes")
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers: ask them first, then kill their processes."""
        self._stop.set()
        self._calls.put(bool)  # the loop waits for a call
        wait([self._loop], _TICK_S + _CLOSE_S)
        links = [*self._links.values()]
        results([link.actor.close.remote() for link in links if link.joined], _CLOSE_S)
        for link in links:
            self._cluster.kill(link.actor)

    def send(self, worker: int, message: Any) -> None:
        """Send a picklable message to a worker, in order. A lost worker gets nothing."""
        self._calls.put(partial(self._put, worker, pickle.dumps(message)))

    def events(self, timeout_s: float | None = None) -> list[Event]:
        """Wait for events up to `timeout_s` seconds; return all there are, oldest first.

        Raises ClusterError: the head does not answer, or no worker is left; ToolkitError: no worker can start.
        """
        taken: list[Event] = []
        with suppress(Empty):
            event = self._events.get(timeout=timeout_s)
            while not isinstance(event, Exception):
                taken.append(event)
                event = self._events.get_nowait()
            self._events.put(event)  # nothing else comes any more
            if not taken:
                raise event
        return taken

    def _list_nodes(self) -> None:
        while not self._stop.is_set():
            try:
                self._calls.put(partial(self._start_missing, self._cluster.nodes()))
            except Exception:  # the loop notices the missing answer
                log.debug("the list of nodes failed", exc_info=True)
            self._stop.wait(_NODES_S)

    def _work(self) -> None:
        checked = time.monotonic()
        try:
            while not self._stop.is_set():
                with suppress(Empty):
                    self._calls.get(timeout=_TICK_S)()
                if (late_s := time.monotonic() - checked) > _TICK_S:
                    self._nodes_at += late_s if late_s > _PAUSED_S else 0  # the head did not miss this time
                    self._check()
                    checked = time.monotonic()
        except Exception as error:  # noqa: BLE001 - raised in the caller's thread
            self._events.put(error)

    def _start_missing(self, nodes: list[Node]) -> None:
        """Start an actor at each place without one."""
        self._nodes_at = now = time.monotonic()
        taken = {link.place for link in self._links.values()}
        for node in nodes:
            for place in {(node.id, cpu) for cpu in range(node.cpus)} - taken:
                if self._places.setdefault(place, Place()).retry_at <= now:
                    self._start(node, place)
        self._count()

    def _start(self, node: Node, place: tuple[str, int]) -> None:
        number = next(self._numbers)
        link = Link(number, node, self._cluster.start_actor(WorkerHost, node), place)
        self._links[number] = link
        self._call(link, self._started, link.actor.start.remote(*self._start_arguments))

    def _call(self, link: Link, then: Callable[[Link, Any], None], ref: Any) -> None:
        """Have the loop call `then(link, result)` when the actor has answered."""
        ref.future().add_done_callback(lambda future: self._calls.put(partial(self._answered, link, then, future)))

    def _answered(self, link: Link, then: Callable[[Link, Any], None], future: Any) -> None:
        if link.number not in self._links:
            return
        if error := future.exception():
            log.debug("worker %d on %s", link.number, link.node.address, exc_info=error)
            if link.joined and type(error).__name__.startswith("RayTaskError"):
                raise RuntimeError(f"a worker failed: {error}") from error
            self._lose(link, describe_error(error))
        else:
            then(link, future.result())

    def _started(self, link: Link, error: ToolkitError | None) -> None:
        if error:
            self._last_error = error
            self._lose(link, str(error))
        else:
            link.joined = True
            self._events.put(Joined(link.number, link.node))
            self._ask(link)

    def _ask(self, link: Link, replies: list[bytes] | None = None) -> None:
        """Take the replies and ask for the next ones; ask for none while the caller has not taken enough events."""
        if replies:
            self._events.put(Replied(link.number, [pickle.loads(reply) for reply in replies]))
        link.asked_at = time.monotonic()
        self._call(link, self._ask, link.actor.exchange.remote(self._events.qsize() < _MAX_EVENTS))

    def _put(self, worker: int, message: bytes) -> None:
        if link := self._links.get(worker):
            link.outgoing.append(message)
            self._deliver(link)

    def _deliver(self, link: Link, delivered: bool = False) -> None:
        """Send what waits. One call at a time: two of an actor might change places."""
        link.delivering &= not delivered
        if link.outgoing and not link.delivering:
            messages, link.outgoing, link.delivering = link.outgoing, [], True
            self._call(link, lambda link, _: self._deliver(link, True), link.actor.deliver.remote(messages))

    def _check(self) -> None:
        """Drop workers that do not answer. Raises ClusterError or ToolkitError: nothing can go on."""
        now = time.monotonic()
        self._check_links(now)
        self._count()
        if now - self._nodes_at > _HEAD_S:
            raise ClusterError(
                f"the head of the cluster {self._cluster.address} does not answer. Start it and this command again"
            )
        if any(link.joined for link in self._links.values()):
            self._worked_at = now
        elif self._last_error and not self._links:
            raise self._last_error
        elif now - self._worked_at > _PATIENCE_S:
            raise ClusterError(
                f"no worker has started for {_PATIENCE_S:.0f} s: no node of the cluster has a free CPU, "
                "or none is left; see: ray status"
            )

    def _count(self) -> None:
        """Update `expected`: the caller reads it several times for each result, and there may be hundreds of links."""
        young = time.monotonic() - _START_S
        self.expected = sum(link.joined or link.began > young for link in self._links.values())

    def _check_links(self, now: float) -> None:
        for link in list(self._links.values()):
            if now - link.asked_at > self._lost_s:
                self._lose(link, f"no answer for {self._lost_s:.0f} s")
            elif not link.joined and now - link.began > _START_S:
                self._warn(link.node, "a worker still waits for its start, or for a free CPU")

    def _lose(self, link: Link, reason: str) -> None:
        """Forget the actor; its place gets another one, later after each failure in a row."""
        del self._links[link.number]
        place = self._places[link.place]
        place.failures = 0 if link.joined else place.failures + 1
        place.retry_at = time.monotonic() + min(_MAX_RETRY_S, _RETRY_S * 2 ** min(place.failures, 10))
        self._count()
        self._warn(link.node, f"a worker is lost ({reason})")
        self._cluster.kill(link.actor)
        if link.joined:
            self._events.put(Lost(link.number, reason))

    def _warn(self, node: Node, text: str) -> None:
        """Log a warning of a node, but only the first within a minute: a node may have a hundred CPUs."""
        now, level = time.monotonic(), logging.DEBUG
        if now - self._warned.get(node.id, -math.inf) > _WARNING_S:
            self._warned[node.id], level = now, logging.WARNING
        log.log(level, "%s: %s", node.address, text)
