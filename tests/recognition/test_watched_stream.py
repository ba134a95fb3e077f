"""recognition.engine.watched_stream: one source through all that may happen to it, on made-up looks and a clock that a test turns."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from data.entities import Frame
from data.errors import UndecodableVideo, StreamOffline, StreamUnavailable, SourceNotFound
from data.video.decoder import encode
from recognition.decision.verdict import Jury
from recognition.engine.watched_stream import Watched
from recognition.events import VerdictReached, GameChanged, Event, SourceFailed, FrameClassified
from tests.footage import BLUE, GREEN, RED, flat
from tests.recognition.fakes import ByColour
from tests.recognition.tails import FakeTail, Twitch, shown

OFFLINE, DOWN = StreamOffline("one is not live"), StreamUnavailable("one: down")
RED_GAME, _, BLUE_GAME = ByColour.classes


class Watching:
    """A source and its turns: what they told, and how long each wanted to wait for the next, which passes at once."""

    def __init__(self, twitch: Twitch, wait: bool = False) -> None:
        judge: Any = ByColour(sure=50.0)
        self.now = 0.0
        self.told: list[Event] = []
        self.pauses: list[float] = []
        self.stop = threading.Event()
        self.watched = Watched(
            "one", twitch.open, judge, lambda: Jury(judge.classes), wait=wait, clock=lambda: self.now
        )

    def turn(self, times: int = 1) -> list[Event]:
        """So many turns, or fewer if it is over; what they told."""
        before = len(self.told)
        for _ in range(times):
            if not self.watched.over:
                self.pauses.append(self.watched.turn(self.told.append, self.stop))
                self.now += self.pauses[-1]
        return self.told[before:]


def kinds(told: list[Event]) -> list[str]:
    """What was told, but for frames: the game that changes or verdicts name, the reason of failures."""
    words = []
    for event in told:
        if isinstance(event, GameChanged):
            words.append(f"now {event.after.name if event.after else 'unknown'}")
        elif isinstance(event, VerdictReached):
            words.append(f"{event.verdict.line()} in {event.verdict.frames}")
        elif isinstance(event, SourceFailed):
            words.append(event.error.reason)
    return words


def test_a_stream_from_beginning_to_end():
    """Frames as they come, numbered on; the changes of what they show; with the stream's end its verdict, and all."""
    twitch = Twitch(FakeTail(shown(RED, RED, RED), shown(RED), shown(BLUE, BLUE), shown(BLUE)))
    watching = Watching(twitch)
    assert kinds(watching.turn()) == ["now Red Game"]
    assert kinds(watching.turn(2)) == []
    assert watching.pauses == [2.0] * 3
    assert kinds(watching.turn(5)) == ["now Bleu pâle", "Red Game with a score of 4.0 in 7"]
    assert watching.watched.over
    frames = [event for event in watching.told if isinstance(event, FrameClassified)]
    assert [frame.number for frame in frames] == [*range(1, 8)]
    [_, change] = [event for event in watching.told if isinstance(event, GameChanged)]
    assert (change.before, change.after, change.number) == (RED_GAME, BLUE_GAME, 7)
    assert twitch.opened == [("one", 4, 2)]


def test_how_late_and_how_many_were_lost():
    """Frames say how old they are, but for those that were there at first and recordings'; and what was missed."""
    live = FakeTail(shown(RED, RED, first=time.time() - 9), shown(RED, RED, first=time.time() - 5))
    recorded = FakeTail(shown(RED, first=5.0), shown(RED, first=7.0), live=False)
    seen = {}
    for tail in (live, recorded):
        watching = Watching(Twitch(tail))
        watching.turn()
        tail.lost = 3
        watching.turn()
        frames = [event for event in watching.told if isinstance(event, FrameClassified)]
        seen[tail] = [(None if frame.lag_s is None else round(frame.lag_s), frame.lost) for frame in frames]
    assert seen[live] == [(None, 0), (None, 0), (5, 3), (3, 0)]
    assert seen[recorded] == [(None, 0), (None, 3)]


@pytest.mark.parametrize("error", [OFFLINE, UndecodableVideo("one: encrypted"), SourceNotFound("nobody")])
def test_without_waiting_a_stream_that_is_not_there_is_over(error):
    """It is told, once, and that is all."""
    watching = Watching(Twitch(error))
    assert kinds(watching.turn(5)) == [error.reason]
    assert watching.watched.over


def test_a_stream_is_waited_for():
    """It is looked for once a minute; that it is not there is told once; then it comes, ends, and comes again."""
    first, second = FakeTail(shown(RED, RED, RED)), FakeTail(shown(BLUE, BLUE, BLUE))
    twitch = Twitch(OFFLINE, OFFLINE, OFFLINE, first, OFFLINE, OFFLINE, second, OFFLINE)
    watching = Watching(twitch, wait=True)
    assert kinds(watching.turn(7)) == [
        "offline",
        "now Red Game",
        "Red Game with a score of 3.0 in 3",
        "offline",
        "now Bleu pâle",
        "Bleu pâle with a score of 3.0 in 3",
    ]
    assert kinds(watching.turn(50)) == ["offline"]
    assert set(watching.pauses) == {60.0}
    numbers = [event.number for event in watching.told if isinstance(event, FrameClassified)]
    assert numbers == [*range(1, 7)]
    assert not watching.watched.over


def test_a_login_that_does_not_exist_is_not_waited_for():
    """A slip of the pen would be looked for for ever."""
    watching = Watching(Twitch(SourceNotFound("nobody")), wait=True)
    assert kinds(watching.turn(5)) == ["unknown login"]
    assert watching.watched.over


def test_an_outage_is_survived():
    """Servers that fail for a while: it goes on where it was, and nobody hears of it."""
    before, after = FakeTail(shown(RED, RED, RED), DOWN), FakeTail(shown(RED, RED))
    watching = Watching(Twitch(before, DOWN, DOWN, DOWN, after))
    assert kinds(watching.turn(9)) == ["now Red Game", "Red Game with a score of 5.0 in 5"]
    waits = watching.pauses[1:5]
    assert all(2 * 2**n <= pause <= 3 * 2**n for n, pause in enumerate(waits))


def test_an_outage_that_lasts_is_told_and_then_the_end():
    """After half a minute it is a failure, told once; after five minutes, without --wait, the stream is given up."""
    watching = Watching(Twitch(FakeTail(shown(RED, RED, RED), DOWN), DOWN))
    assert kinds(watching.turn(100)) == ["now Red Game", "unavailable", "Red Game with a score of 3.0 in 3"]
    assert watching.watched.over
    assert 300 <= watching.now <= 500
    assert max(watching.pauses) <= 90
    waiting = Watching(Twitch(FakeTail(shown(RED, RED, RED), DOWN), DOWN), wait=True)
    assert kinds(waiting.turn(100)) == ["now Red Game", "unavailable"]
    assert not waiting.watched.over


def test_a_stream_that_ended_during_an_outage():
    """When the servers are back, it is not: its verdict is what it showed before."""
    watching = Watching(Twitch(FakeTail(shown(RED, RED, RED), DOWN), DOWN, OFFLINE))
    assert kinds(watching.turn(9)) == ["now Red Game", "Red Game with a score of 3.0 in 3"]
    assert watching.watched.over


def test_what_is_found_again_counts_once():
    """At a new address the window begins with frames that were seen: they are passed over."""
    start = time.time() - 20
    before = FakeTail(shown(RED, RED, RED, first=start), DOWN)
    after = FakeTail(shown(RED, RED, BLUE, first=start + 2), shown(BLUE, BLUE, first=start + 8))
    watching = Watching(Twitch(before, after))
    assert kinds(watching.turn(9)) == ["now Red Game", "now Bleu pâle", "Red Game with a score of 3.0 in 6"]


def test_a_playlist_that_stays_after_its_end_is_no_new_stream():
    """What is left of a stream that has ended may be found for a while: it is not told again."""
    start = time.time() - 20
    watching = Watching(
        Twitch(
            FakeTail(shown(RED, RED, RED, first=start)), FakeTail(shown(RED, RED, first=start + 2), live=True), OFFLINE
        ),
        wait=True,
    )
    assert kinds(watching.turn(9)) == ["now Red Game", "Red Game with a score of 3.0 in 3", "offline"]


def test_a_recording_is_not_waited_for():
    """It is over with its end, also where live streams would be waited for."""
    watching = Watching(Twitch(FakeTail(shown(GREEN, GREEN, GREEN), live=False)), wait=True)
    assert kinds(watching.turn(9)) == ["now Green: the Sequel", "Green: the Sequel with a score of 3.0 in 3"]
    assert watching.watched.over


def test_a_stop_ends_a_turn_at_its_next_frame():
    """Of a long recording nothing more is judged; what was seen has its verdict when it is closed, once."""
    watching = Watching(Twitch(FakeTail(shown(*[RED] * 50), shown(RED))))
    told = watching.told
    watching.watched.turn(lambda event: (told.append(event), watching.stop.set())[0], watching.stop)
    assert len(told) == 1
    watching.watched.close(told.append)
    watching.watched.close(told.append)
    assert kinds(told) == ["Red Game with a score of 1.0 in 1"]
    assert watching.watched.over


def test_unknown_and_what_is_less_sure():
    """What the jury calls unknown, for its confidence as well, is unknown to the window."""
    judge: Any = ByColour(sure=0.1)
    watched = Watched(
        "one",
        Twitch(FakeTail(shown(*[RED] * 12))).open,
        judge,
        lambda: Jury(judge.classes, min_confidence=0.9),
    )
    told: list[Event] = []
    watched.turn(told.append, threading.Event())
    assert kinds(told)[0] == "now unknown"
    [change] = [event for event in told if isinstance(event, GameChanged)]
    assert (change.before, change.after, change.known) == (None, None, False)


def test_what_is_of_one_colour_is_no_game():
    """A network that knows no doubt is sure of black pictures as well: for what a stream shows they say nothing."""
    black = [Frame(0, encode(flat((9, 0, 0), 16, 16), 95)) for _ in range(5)]
    watching = Watching(Twitch(FakeTail(shown(BLUE, BLUE, BLUE), black, shown(BLUE))))
    assert kinds(watching.turn(9)) == ["now Bleu pâle", "Red Game with a score of 5.0 in 9"]
