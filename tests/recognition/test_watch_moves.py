"""Moves of watched channels: what another worker makes of the state, and what the coordinator does with the workers."""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config import Settings
from data.errors import ClusterError, SettingsError, StopRequested, StreamOffline
from data.pool.links import Joined, Lost, Replied
from data.pool.shipping import Model
from recognition.cluster import watch_coordinator
from recognition.cluster.watch_coordinator import WatchCoordinator, open_watch_workers
from recognition.cluster.watch_worker import NodeWatch, Unwatch, Watch, WatchOptions, WatchReply
from recognition.decision.change_detector import DetectorState
from recognition.decision.verdict import VerdictAccumulator, VerdictSums
from recognition.engine.watched_stream import StreamState, WatchedStream
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, now
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.recognition.fake_followers import FakeFollower, FakeOpener, frames_of
from tests.recognition.fakes import ColourClassifier
from tests.sample_images import BLUE, RED

CLASSIFIER: Any = ColourClassifier(logit=50.0)
RED_GAME, _, BLUE_GAME = CLASSIFIER.classes


def stream(opener: FakeOpener, state: StreamState | None = None, wait: bool = False) -> WatchedStream:
    """Return a watched source, as a worker makes it of what it has received."""
    state = pickle.loads(pickle.dumps(state))
    return WatchedStream("one", opener.open_follower, CLASSIFIER, accumulator, wait=wait, state=state)


def accumulator() -> VerdictAccumulator:
    """Return an accumulator without frames."""
    return VerdictAccumulator(CLASSIFIER.classes)


def watch(watched: WatchedStream, most: int = 10**9) -> tuple[list[Event], StreamState]:
    """Poll until the source has finished or `most` events came, as if the worker died; return events and state."""
    events: list[Event] = []
    states = [watched.state]

    def emit(event: Event) -> None:
        if len(events) == most:
            raise StopRequested
        events.append(event)
        states.append(watched.state)

    try:
        while not watched.finished and len(events) < most:
            watched.poll(emit, threading.Event())
    except StopRequested:
        pass
    return events, states[-1]


def summary(events: list[Event]) -> list[Any]:
    """Return frame numbers, games before and after each change, and the sums of verdicts."""
    lines: list[Any] = []
    for event in events:
        if isinstance(event, FrameClassified):
            lines.append(event.number)
        elif isinstance(event, GameChanged):
            lines.append((event.before, event.after))
        elif isinstance(event, VerdictReached):
            verdict = event.verdict
            lines.append((verdict.game, round(verdict.score, 6), verdict.frames, verdict.unknown_frames))
        else:
            lines.append(event.error.reason)
    return lines


@pytest.mark.parametrize("live", [True, False])
def test_stream_when_moved_after_any_event_repeats_and_loses_none(live):
    """Wherever the first worker ends, frames are numbered on, both changes come once, the verdict counts all frames.

    The second worker gets the same frames again: those of a live stream have dates, those of a recording an order.
    """

    def follower() -> FakeFollower:
        frames = frames_of(*[RED] * 5, *[BLUE] * 8, first=1e9 if live else None)
        return FakeFollower(frames[:7], frames[7:], live=live)

    whole, _ = watch(stream(FakeOpener(follower())))
    assert summary(whole)[-1] == (BLUE_GAME, 8.0, 13, 0)
    for most in range(len(whole)):
        before, state = watch(stream(FakeOpener(follower())), most)
        after, _ = watch(stream(FakeOpener(follower()), state))
        seen = summary(before + after)
        assert [number for number in seen if isinstance(number, int)] == [*range(1, 14)]
        assert [pair for pair in seen if not isinstance(pair, int)] == [
            (None, RED_GAME),
            (RED_GAME, BLUE_GAME),
            (BLUE_GAME, 8.0, 13, 0),
        ]


def test_stream_when_it_changed_during_the_move_has_one_change():
    """The second worker sees the new game only: the change has the game of the first worker as the one before."""
    _, state = watch(stream(FakeOpener(FakeFollower(frames_of(*[RED] * 4), ()))), 5)
    after, _ = watch(stream(FakeOpener(FakeFollower(frames_of(*[BLUE] * 5))), state))
    assert summary(after) == [5, 6, 7, (RED_GAME, BLUE_GAME), 8, 9, (BLUE_GAME, 5.0, 9, 0)]


def test_stream_when_moved_while_offline_is_not_reported_again():
    """A waiting channel that is still offline says so once; its next stream begins with a new answer and sums."""
    offline = StreamOffline("one is not live")
    first, state = watch(stream(FakeOpener(FakeFollower(frames_of(*[RED] * 3)), offline), wait=True), 6)
    assert summary(first) == [1, 2, 3, (None, RED_GAME), (RED_GAME, 3.0, 3, 0), "offline"]
    again = FakeOpener(offline, offline, FakeFollower(frames_of(*[RED] * 3)), offline)
    after, _ = watch(stream(again, state, wait=True), 5)
    assert summary(after) == [4, 5, 6, (None, RED_GAME), (RED_GAME, 3.0, 3, 0)]


class ScriptedWorkers:
    """Workers of which a test says what happens, step by step; it records the messages that they get."""

    def __init__(self, *steps: list[Any] | Exception, expected: int = 0) -> None:
        self.steps, self.expected = deque(steps), expected
        self.sent: list[tuple[int, Any]] = []

    def send(self, worker: int, message: Any) -> None:
        self.sent.append((worker, message))

    def events(self, _: float) -> list[Any]:
        step = self.steps.popleft()
        if isinstance(step, Exception):
            raise step
        return step

    def watched(self) -> dict[int, set[str]]:
        """Return the sources by the worker that was asked last to watch them."""
        last = {message.source: worker for worker, message in self.sent if isinstance(message, Watch)}
        return {worker: {name for name, at in last.items() if at == worker} for worker in last.values()}


def joined(*workers: int) -> list[Any]:
    """Return that these workers have joined."""
    node: Any = None
    return [Joined(worker, node) for worker in workers]


def replied(worker: int, *sources: str, frames: int = 1, left: dict[str, bool] | None = None) -> Replied:
    """Return that a worker has classified a frame of each source, the `frames`-th."""
    prediction: Any = None
    events: list[Event] = [FrameClassified(source, now(), frames, prediction) for source in sources]
    sums = VerdictSums(np.array([frames, 0.0, 0.0]), np.zeros(3), frames, 0)
    changes = DetectorState(0, 1.0, np.zeros((0, 4)))
    state = StreamState(frames, 0.0, sums, changes, "", is_recording=False, finished=False)
    return Replied(worker, [WatchReply(events, dict.fromkeys(sources, state), left or {}, [(1, 0.5)])])


def coordinated(workers: Any, sources: Iterable[str]) -> Iterator[Event]:
    """Yield the events of a watch of these sources until the script is over, then the verdicts."""
    workers.steps.append(ClusterError("the end"))
    with pytest.raises(ClusterError, match="the end"):
        yield from WatchCoordinator(workers, sources, threading.Event()).events(accumulator)


def test_coordinator_at_the_start_gives_each_expected_worker_its_share():
    """The first of three workers does not get all sources; those of the second and third wait for them."""
    workers = ScriptedWorkers(joined(1), joined(2, 3), expected=3)
    events = coordinated(workers, "abcdef")
    assert list(events) == []
    assert [worker for worker, _ in workers.sent] == [1, 1, *[2, 3] * 2]


def test_coordinator_when_an_expected_worker_does_not_start_waits_for_it_a_moment_only(monkeypatch):
    """Its node may be cut off. The first worker gets all sources; those that start later take theirs."""
    monkeypatch.setattr(watch_coordinator, "_SPREAD_S", 0.0)
    workers = ScriptedWorkers(joined(1), expected=3)
    assert list(coordinated(workers, "abcdef")) == []
    assert workers.watched() == {1: set("abcdef")}


def test_coordinator_when_a_worker_is_lost_gives_its_sources_with_their_states_to_the_others():
    """Nothing of the old worker counts any more; a verdict at the end counts what was yielded, once."""
    lost = Lost(1, "no answer for 10 s")
    script = [joined(1, 2), [replied(1, "a", frames=3)], [lost], [replied(1, "a", frames=4), replied(2, "b")]]
    workers = ScriptedWorkers(*script)
    events = list(coordinated(workers, "ab"))
    assert [(event.source, type(event)) for event in events] == [
        ("a", FrameClassified),
        ("b", FrameClassified),
        ("a", VerdictReached),
        ("b", VerdictReached),
    ]
    [verdict] = [event.verdict for event in events if isinstance(event, VerdictReached) and event.source == "a"]
    assert (verdict.frames, verdict.score) == (3, 3.0)
    worker, message = workers.sent[-1]
    assert (worker, message.source, message.state.number) == (2, "a", 3)


def test_coordinator_when_a_worker_joins_moves_the_least_that_makes_shares_even():
    """A channel has its next worker only when the last one has given it back, with all that happened until then."""
    workers = ScriptedWorkers(joined(1), joined(2), [], [replied(1, "c", frames=7, left={"c": False})], expected=1)
    events = list(coordinated(workers, "abcd"))
    unwatched = [message.source for _, message in workers.sent if isinstance(message, Unwatch)]
    assert unwatched == ["c", "d"]
    assert workers.watched() == {1: {"a", "b", "d"}, 2: {"c"}}  # d has not left yet
    assert workers.sent[-1][1].state.number == 7
    assert [type(event) for event in events] == [FrameClassified, VerdictReached]


def test_coordinator_ends_when_all_sources_have_finished():
    """A source that has finished is given to nobody, also if its worker is lost next."""
    failed = SourceFailed("b", now(), StreamOffline("b is not live"))
    state = replied(1, "b").replies[0].states["b"]
    done = StreamState(*(getattr(state, name) for name in StreamState.__slots__[:-1]), finished=True)
    reply = Replied(1, [WatchReply([failed], {"b": done})])
    workers = ScriptedWorkers(
        joined(1), [reply, Lost(1, "died")], joined(2), [replied(2, left={"a": True})], expected=1
    )
    batches: list[Any] = []
    watching = WatchCoordinator(workers, "ab", threading.Event(), lambda *batch: batches.append(batch))
    assert list(watching.events(accumulator)) == [failed]
    assert workers.watched() == {1: {"b"}, 2: {"a"}}
    assert batches == [(1, 0.5)]


def test_coordinator_when_stopped_gives_the_verdicts_so_far():
    """It asks no worker: one that hangs delays nothing."""
    stop = threading.Event()
    workers: Any = ScriptedWorkers(joined(1), [replied(1, "a", frames=5)], expected=1)
    events = WatchCoordinator(workers, "ab", stop).events(accumulator)
    assert isinstance(next(events), FrameClassified)
    stop.set()
    [verdict] = events
    assert isinstance(verdict, VerdictReached)
    assert (verdict.source, verdict.verdict.frames) == ("a", 5)


def test_source_that_ends_while_it_is_taken_away_is_left_to_the_next_worker(tmp_path: Path):
    """Its last event is sent to nobody, so the coordinator must not take it for finished."""
    source = str(tmp_path / "video.mp4")
    Path(source).write_bytes(b"no video")
    settings = Settings(_env_file=None, model_path=save_model(tmp_path / "model", (DARK, BRIGHT)))
    worker = NodeWatch(settings, Model(), WatchOptions())
    try:
        worker.exchange([Watch(source, None)], 0.0)
        while worker._watcher.has(worker._streams[source]):
            time.sleep(0.01)
        [reply] = worker.exchange([Unwatch(source)], 0.0)
        assert (reply.events, reply.left) == ([], {source: False})
    finally:
        worker.close()


def test_file_of_this_machine_is_refused_on_a_cluster():
    """Nodes cannot read it; the message comes before anything is connected."""
    with pytest.raises(SettingsError, match=r"'README\.md' is a file of this machine"):
        open_watch_workers(Settings(ray_address="local"), ["live", "README.md"], WatchOptions()).__enter__()
