"""Watch worker: watches the channels that the coordinator gives it, in a process of a node.

With each event goes the state of its channel after it. So another worker can go on where the coordinator's knowledge
ends, and nothing that the coordinator has seen happens again.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recognition.cluster.node_recognizer import open_recognizer
from recognition.events import Event, FrameClassified, Result
from recognition.stored_results import portable

if TYPE_CHECKING:
    from config import Settings
    from data.pool.shipping import Model
    from recognition.engine.watched_stream import StreamState, WatchedStream

_MAX_EVENTS = 100  # of one reply; the others wait, and polls block when too many do
_MAX_BATCHES = 1000  # inferences whose times are kept for the next reply


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Options of a watch. with_pictures: of frames, for alerts; with_batches: the times of inferences, for metrics."""

    top: int = 1
    min_confidence: float = 0.0
    wait: bool = False
    with_pictures: bool = False
    with_batches: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Message: watch this source. state: of the worker that had it before."""

    source: str
    state: StreamState | None


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Message: stop to watch this source, and answer when no poll of it goes on."""

    source: str


@dataclass(frozen=True, slots=True)
class WatchReply:
    """What has happened since the last reply.

    events: oldest first. states: of their sources, after the latest of them. left: sources that are not watched here
    any more; true if nothing is left to do for one. batches: images and seconds of each inference.
    """

    events: list[Event] = field(default_factory=list)
    states: dict[str, StreamState] = field(default_factory=dict)
    left: dict[str, bool] = field(default_factory=dict)
    batches: list[tuple[int, float]] = field(default_factory=list)


class NodeWatch:
    """Worker for `RemoteWorkers`: a watcher without an end."""

    def __init__(self, settings: Settings, model: Model, options: WatchOptions) -> None:
        """Load the model. Raises SettingsError, FolderError, ModelError."""
        self._streams: dict[str, WatchedStream] = {}
        self._batches: deque[tuple[int, float]] = deque(maxlen=_MAX_BATCHES)
        self._with_pictures = options.with_pictures
        on_batch = (lambda *batch: self._batches.append(batch)) if options.with_batches else None
        with ExitStack() as stack:
            opened = open_recognizer(settings, model, top=options.top, min_confidence=options.min_confidence)
            recognizer = stack.enter_context(opened)
            watching = recognizer.open_watch(wait=options.wait, stop=threading.Event(), on_batch=on_batch, endless=True)
            self._watcher = stack.enter_context(watching)
            self._watcher.start()
            stack.callback(self._watcher.close)
            self._stack = stack.pop_all()

    def exchange(self, messages: list[Watch | Unwatch], timeout_s: float) -> list[WatchReply]:
        """Take messages; wait up to `timeout_s` seconds for an event; return a reply, or none if nothing happened."""
        for message in messages:
            if isinstance(message, Watch):
                self._streams[message.source] = self._watcher.add(message.source, message.state)
            elif stream := self._streams.get(message.source):
                self._watcher.remove(stream)
        self._watcher.raise_error()
        left = [source for source, stream in self._streams.items() if not self._watcher.has(stream)]
        reply = WatchReply()
        while len(reply.events) < _MAX_EVENTS:
            report = self._watcher.next_report(0.0 if reply.events or left else timeout_s)
            if not report:  # nothing more of those that left
                streams = [self._streams.pop(source) for source in left]
                # The last event of a removed one is not sent: the next worker finds the end again.
                reply.left.update((stream.source, stream.finished and not stream.removed) for stream in streams)
                break
            reply.events.append(self._portable(report.event))
            reply.states[report.event.source] = report.state
        reply.batches.extend(self._batches.popleft() for _ in range(len(self._batches)))
        return [reply] if reply.events or reply.left or reply.batches else []

    def close(self) -> None:
        """End all polls and close the recogniser. A second call does nothing."""
        self._stack.close()

    def _portable(self, event: Event) -> Event:
        """Return the event without what no output of this watch reads."""
        if isinstance(event, Result):
            return portable(event, with_picture=True)
        return replace(event, jpeg=b"") if isinstance(event, FrameClassified) and not self._with_pictures else event
