"""recognition.engine.watcher: many sources side by side, on made-up looks in real time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from data.entities import Frame
from recognition.decision.verdict import Jury
from recognition.engine.watched_stream import Watched
from recognition.engine.watcher import Watch
from recognition.events import Answered, Event, FrameSeen
from tests.footage import RED
from tests.recognition.fakes import ByColour
from tests.recognition.tails import FakeTail, Twitch, shown

JUDGE: Any = ByColour(sure=50.0)


class Endless(FakeTail):
    """A stream with a frame in each look, for ever, `pause_s` apart; it notes in how many threads its looks are."""

    looking = 0
    most = 0
    lock = threading.Lock()

    def __init__(self, pause_s: float = 0.01, takes_s: float = 0.0) -> None:
        super().__init__(pause_s=pause_s)
        self.looks: list[float] = []
        self._takes_s = takes_s

    @property
    def over(self) -> bool:
        return False

    def look(self) -> Iterator[Frame]:
        with self.lock:
            Endless.looking += 1
            Endless.most = max(Endless.most, Endless.looking)
        self.looks.append(time.monotonic())
        time.sleep(self._takes_s)
        with self.lock:
            Endless.looking -= 1
        yield from shown(RED)


class Broken(FakeTail):
    """A tail with a mistake in it."""

    def look(self) -> Iterator[Frame]:
        raise ZeroDivisionError("a mistake")


@pytest.fixture(autouse=True)
def fresh():
    """The count of looks begins anew, and a test leaves no thread behind."""
    Endless.looking = Endless.most = 0
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch")]


def watched(*tails: FakeTail) -> list[Watched]:
    """Sources named by their place."""
    return [Watched(f"s{n}", Twitch(tail).open, JUDGE, lambda: Jury(JUDGE.classes)) for n, tail in enumerate(tails)]


def of(events: list[Event], kind: type) -> Counter[str]:
    """How many events of a kind each source has."""
    return Counter(event.source for event in events if isinstance(event, kind))


def test_all_are_followed_to_their_ends():
    """Thirty sources of two looks each: their frames, a verdict each, and it ends by itself."""
    tails = [FakeTail(shown(RED, RED), shown(RED), pause_s=0.01) for _ in range(30)]
    events = list(Watch(watched(*tails), threading.Event()).events())
    assert set(of(events, FrameSeen).values()) == {3}
    assert len(of(events, Answered)) == 30


def test_nothing_to_watch():
    """It is over at once."""
    assert list(Watch([], threading.Event()).events()) == []


def test_no_more_threads_than_asked_for():
    """Of twenty sources that are always due, no more than three are looked at at a time, and none waits for ever."""
    tails = [Endless(takes_s=0.01) for _ in range(20)]
    events = Watch(watched(*tails), threading.Event(), at_once=3).events()
    seen = of(list(islice(events, 200)), FrameSeen)
    events.close()
    assert Endless.most == 3
    assert len(seen) == 20


def test_a_stop_ends_it_with_the_verdicts():
    """Every stream that showed something has its verdict; it takes no longer than a look."""
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    events = list(Watch(watched(*[Endless() for _ in range(5)]), stop).events())
    assert 0.5 <= time.monotonic() - start < 5
    assert of(events, Answered) == Counter({f"s{n}": 1 for n in range(5)})
    assert isinstance(events[-1], Answered)


def test_whoever_leaves_early_leaves_nothing_behind():
    """The first event is enough: the threads end, though nobody takes what they tell any more."""
    events = Watch(watched(*[Endless(0.0) for _ in range(5)]), threading.Event()).events()
    assert isinstance(next(events), FrameSeen)
    events.close()


def test_a_reader_that_is_slow_slows_the_turns():
    """What nobody takes is not piled up: about a thousand events wait, and then the turns do."""
    tail = Endless(0.0)
    events = Watch(watched(tail), threading.Event()).events()
    next(events)
    time.sleep(3)
    assert len(tail.looks) <= 1010
    events.close()


def test_a_mistake_is_not_swallowed():
    """An error that is no stream's own ends the watch, and comes out of it."""
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        list(Watch(watched(Endless(), Broken([]), Endless()), threading.Event()).events())


def test_one_that_hangs_holds_up_no_other():
    """A source whose server takes its time: the others come in their turns meanwhile."""
    slow, quick = Endless(takes_s=1.0), Endless(0.05)
    events = Watch(watched(slow, quick), threading.Event()).events()
    assert of(list(islice(events, 12)), FrameSeen)["s1"] >= 10
    events.close()


def test_turns_keep_their_distance():
    """Turns that came late once are due by the clock again, not all at the same moment from then on."""
    tails = [Endless(0.2) for _ in range(5)]
    events = Watch(watched(*tails), threading.Event()).events()
    next(events)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        next(events)
    events.close()
    for tail in tails:
        steps = [b - a for a, b in zip(tail.looks, tail.looks[1:], strict=False)]
        assert sum(steps) / len(steps) == pytest.approx(0.2, abs=0.03)
