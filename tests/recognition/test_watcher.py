"""recognition.engine.watcher: many sources polled concurrently, on fake followers in real time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from data.entities import Frame
from data.errors import ModelError
from recognition.decision.verdict import VerdictAccumulator
from recognition.engine.watched_stream import WatchedStream
from recognition.engine.watcher import Watcher
from recognition.events import Event, FrameClassified, VerdictReached
from tests.recognition.fake_followers import FakeFollower, FakeOpener, frames_of
from tests.recognition.fakes import ColourClassifier
from tests.sample_images import RED

CLASSIFIER: Any = ColourClassifier(logit=50.0)


class Endless(FakeFollower):
    """A stream that never ends, with one frame per poll. The class counts concurrent polls of all its instances."""

    polling = 0
    max_polling = 0
    lock = threading.Lock()

    def __init__(self, poll_interval_s: float = 0.01, takes_s: float = 0.0) -> None:
        super().__init__(poll_interval_s=poll_interval_s)
        self.ended = False
        self.polls: list[float] = []  # when each one began
        self._takes_s = takes_s

    def poll(self) -> Iterator[Frame]:
        with self.lock:
            Endless.polling += 1
            Endless.max_polling = max(Endless.max_polling, Endless.polling)
        self.polls.append(time.monotonic())
        time.sleep(self._takes_s)
        with self.lock:
            Endless.polling -= 1
        yield from frames_of(RED)


class Broken(FakeFollower):
    """A follower with an error of this kind."""

    def __init__(self, error: Exception) -> None:
        super().__init__([])
        self._error = error

    def poll(self) -> Iterator[Frame]:
        raise self._error


class Hanging(FakeFollower):
    """A follower whose server answers once, and then not until `answer` is set."""

    def __init__(self) -> None:
        super().__init__(frames_of(RED), frames_of(RED), poll_interval_s=0.01)
        self.answer = threading.Event()
        self._polls = 0

    def poll(self) -> Iterator[Frame]:
        self._polls += 1
        if self._polls > 1:
            self.answer.wait(60)
        yield from frames_of(RED)


@pytest.fixture(autouse=True)
def fresh():
    """Reset the counts of Endless; check that the test leaves no thread."""
    Endless.polling = Endless.max_polling = 0
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch")]


def watched(*followers: FakeFollower, name: str = "") -> list[WatchedStream]:
    """Return sources named s0, s1, …, or `name`, with these followers."""
    return [
        WatchedStream(
            name or f"s{n}",
            FakeOpener(follower).open_follower,
            CLASSIFIER,
            lambda: VerdictAccumulator(CLASSIFIER.classes),
        )
        for n, follower in enumerate(followers)
    ]


def count_by_source(events: list[Event], event_type: type) -> Counter[str]:
    """Return how many events of a type each source has."""
    return Counter(event.source for event in events if isinstance(event, event_type))


def test_all_sources_are_polled_to_their_ends():
    """Thirty sources of two polls each give their frames and a verdict each; then the events end."""
    followers = [FakeFollower(frames_of(RED, RED), frames_of(RED), poll_interval_s=0.01) for _ in range(30)]
    events = list(Watcher(watched(*followers), threading.Event()).events())
    assert set(count_by_source(events, FrameClassified).values()) == {3}
    assert len(count_by_source(events, VerdictReached)) == 30


def test_no_sources_give_no_events():
    """A watch without sources ends immediately."""
    assert list(Watcher([], threading.Event()).events()) == []


def test_max_threads_limits_concurrent_polls():
    """Of twenty sources that are always due, three are polled at a time, and each gets its turn."""
    followers = [Endless(takes_s=0.01) for _ in range(20)]
    events = Watcher(watched(*followers), threading.Event(), max_threads=3).events()
    seen = count_by_source(list(islice(events, 200)), FrameClassified)
    events.close()
    assert Endless.max_polling == 3
    assert len(seen) == 20


def test_stop_ends_the_watch_with_verdicts():
    """Each stream that gave a frame has its verdict; stopping takes no longer than one poll."""
    stop = threading.Event()
    start = time.monotonic()
    threading.Timer(0.5, stop.set).start()
    events = list(Watcher(watched(*[Endless() for _ in range(5)]), stop).events())
    assert 0.5 <= time.monotonic() - start < 20
    assert count_by_source(events, VerdictReached) == Counter({f"s{n}": 1 for n in range(5)})
    assert isinstance(events[-1], VerdictReached)


def test_closing_the_events_ends_all_threads():
    """The threads end, though nobody consumes the events that they still emit."""
    events = Watcher(watched(*[Endless(0.0) for _ in range(5)]), threading.Event()).events()
    assert isinstance(next(events), FrameClassified)
    events.close()


def test_slow_consumer_slows_the_polls():
    """At most about a thousand events wait for the consumer; then polls block."""
    follower = Endless(0.0)
    events = Watcher(watched(follower), threading.Event()).events()
    next(events)
    time.sleep(3)
    assert len(follower.polls) <= 1010
    events.close()


def test_unexpected_error_costs_its_source_only():
    """The other sources are watched on."""
    stop = threading.Event()
    events = Watcher(watched(Endless(), Broken(ZeroDivisionError("a bug")), Endless()), stop).events()
    seen = count_by_source(list(islice(events, 50)), FrameClassified)
    events.close()
    assert set(seen) == {"s0", "s2"}


def test_model_error_ends_the_watch_and_is_raised():
    """An error that concerns every source ends the watch; `events` raises it."""
    with pytest.raises(ModelError, match="no model"):
        list(Watcher(watched(Endless(), Broken(ModelError("no model")), Endless()), threading.Event()).events())


def test_stop_when_a_server_hangs_ends_the_watch_with_verdicts():
    """A poll that waits for its server is left alone after a second; its stream has a verdict, too."""
    stop, hanging = threading.Event(), Hanging()
    watcher = Watcher(watched(Endless(), hanging), stop)
    threading.Timer(0.3, stop.set).start()
    start = time.monotonic()
    events = list(watcher.events())
    assert time.monotonic() - start < 30
    assert count_by_source(events, VerdictReached) == Counter({"s0": 1, "s1": 1})
    hanging.answer.set()
    while any(thread.name.startswith("watch") for thread in threading.enumerate()):
        time.sleep(0.01)


def test_slow_source_does_not_delay_others():
    """While a poll of one source takes a second, another source is polled on time."""
    slow, quick = Endless(takes_s=1.0), Endless(0.05)
    events = Watcher(watched(slow, quick), threading.Event()).events()
    assert count_by_source(list(islice(events, 12)), FrameClassified)["s1"] >= 10
    events.close()


def test_polls_keep_their_interval():
    """The mean interval of each source's polls is its poll interval."""
    followers = [Endless(0.2) for _ in range(5)]
    events = Watcher(watched(*followers), threading.Event()).events()
    next(events)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        next(events)
    events.close()
    for follower in followers:
        steps = [b - a for a, b in zip(follower.polls, follower.polls[1:], strict=False)]
        # A busy machine delays polls; it never makes them earlier.
        assert 0.19 <= sum(steps) / len(steps) < 0.4


def test_sources_that_are_added_while_it_runs_are_watched():
    """An endless watch runs without sources; each one that is added gives frames, also after the others' ends."""
    stop, followers = threading.Event(), iter([Endless(), FakeFollower(frames_of(RED)), Endless()])
    watcher = Watcher([], stop, new_stream=lambda source, **_: watched(next(followers), name=source)[0], endless=True)
    events = watcher.events()
    threading.Timer(0.1, watcher.add, ["s0"]).start()
    assert next(events).source == "s0"
    watcher.add("s1")
    assert next(event for event in events if isinstance(event, VerdictReached)).source == "s1"
    watcher.add("s2")
    assert {next(events).source for _ in range(100)} == {"s0", "s2"}
    stop.set()
    assert count_by_source(list(events), VerdictReached) == Counter({"s0": 1, "s2": 1})


def test_sources_that_are_removed_give_nothing_more():
    """Neither frames, those that wait included, nor a verdict come of a removed source; without any, the watch ends."""
    followers = [Endless() for _ in range(5)]
    streams = watched(*followers)
    watcher = Watcher(streams, threading.Event())
    events = watcher.events()
    assert {event.source for event in islice(events, 100)} == {f"s{n}" for n in range(5)}
    while watcher._reports.qsize() < 100:
        time.sleep(0.01)
    for stream in streams[:4]:
        watcher.remove(stream)
    watcher.remove(streams[0])
    polls = [len(follower.polls) for follower in followers[:4]]
    assert {event.source for event in islice(events, 100)} == {"s4"}
    assert all(len(follower.polls) - count <= 1 for follower, count in zip(followers, polls, strict=False))
    watcher.remove(streams[4])
    assert not count_by_source(list(events), VerdictReached)


def test_reports_of_a_removed_source_hide_none_of_another_one():
    """A caller that does not wait gets what is behind the events that nobody gets."""
    removed, other = watched(FakeFollower(frames_of(RED)), FakeFollower(frames_of(RED)))
    watcher = Watcher([removed, other], threading.Event(), endless=True)
    watcher.start()
    while watcher.has(removed) or watcher.has(other):
        time.sleep(0.01)
    watcher.remove(removed)
    report = watcher.next_report(0.0)
    assert report
    assert report.stream is other
    watcher.close()


def test_removed_recording_is_not_read_to_its_end():
    """A poll that gives many frames ends at the first one after the removal."""
    read: list[int] = []
    frame = frames_of(RED)

    class Recording(FakeFollower):
        def poll(self) -> Iterator[Frame]:
            self.ended = True
            for number in range(3000):
                read.append(number)
                yield from frame

    streams = watched(Endless(0.0), Recording([], live=False))
    watcher = Watcher(streams, threading.Event())
    events = watcher.events()
    assert next(event for event in events if event.source == "s1")
    watcher.remove(streams[1])
    assert {event.source for event in islice(events, 20)} == {"s0"}
    events.close()
    assert len(read) < 3000


def test_watch_ends_when_a_removed_source_hangs():
    """A poll of a removed source that waits for its server delays the end by no more than a second."""
    hanging = Hanging()
    streams = watched(hanging, Endless())
    watcher = Watcher(streams, threading.Event())
    events = watcher.events()
    assert {event.source for event in islice(events, 20)} == {"s0", "s1"}
    watcher.remove(streams[0])
    start = time.monotonic()
    events.close()
    assert time.monotonic() - start < 30
    hanging.answer.set()
    while any(thread.name.startswith("watch") for thread in threading.enumerate()):
        time.sleep(0.01)


def test_sources_added_and_removed_from_many_threads_are_all_polled_or_gone():
    """Eight threads add and remove fifty sources each; at the end only those that stayed give frames."""
    stop = threading.Event()
    watcher = Watcher([], stop, new_stream=lambda source, **_: watched(Endless(), name=source)[0], endless=True)
    events = watcher.events()

    def change(thread: int) -> None:
        for turn in range(50):
            stream = watcher.add(f"t{thread}-{turn}")
            if turn < 49:
                watcher.remove(stream)

    threads = [threading.Thread(target=change, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            next(events, None)
    list(islice(events, 200))
    assert {event.source for event in islice(events, 200)} == {f"t{thread}-49" for thread in range(8)}
    stop.set()
    assert len(count_by_source(list(events), VerdictReached)) == 8
