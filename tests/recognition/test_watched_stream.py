"""recognition.engine.watched_stream: each transition of the state machine, on fake followers and a fake clock."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from data.entities import Frame
from data.errors import SourceNotFound, StreamOffline, StreamUnavailable, UndecodableVideo
from data.video.images import encode_jpeg
from recognition.decision.verdict import VerdictAccumulator
from recognition.engine.watched_stream import WatchedStream
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached
from tests.recognition.fake_followers import FakeFollower, FakeOpener, frames_of
from tests.recognition.fakes import ColourClassifier
from tests.sample_images import BLUE, GREEN, RED, flat

OFFLINE, DOWN = StreamOffline("one is not live"), StreamUnavailable("one: down")
RED_GAME, _, BLUE_GAME = ColourClassifier.classes


class Harness:
    """A watched source, the events and pauses of its polls, and a clock that skips the pauses."""

    def __init__(self, opener: FakeOpener, wait: bool = False) -> None:
        classifier: Any = ColourClassifier(logit=50.0)
        self.now = 0.0
        self.events: list[Event] = []
        self.pauses: list[float] = []
        self.stop = threading.Event()
        self.watched = WatchedStream(
            "one",
            opener.open_follower,
            classifier,
            lambda: VerdictAccumulator(classifier.classes),
            wait=wait,
            clock=lambda: self.now,
        )

    def poll(self, times: int = 1) -> list[Event]:
        """Poll up to `times` times while the source is not finished; return the new events."""
        before = len(self.events)
        for _ in range(times):
            if not self.watched.finished:
                self.pauses.append(self.watched.poll(self.events.append, self.stop))
                self.now += self.pauses[-1]
        return self.events[before:]


def summary(events: list[Event]) -> list[str]:
    """Return a line for each event except frames: the game of a change or verdict, the reason of a failure."""
    lines = []
    for event in events:
        if isinstance(event, GameChanged):
            lines.append(f"now {event.after.name if event.after else 'unknown'}")
        elif isinstance(event, VerdictReached):
            lines.append(f"{event.verdict.to_line()} in {event.verdict.frames}")
        elif isinstance(event, SourceFailed):
            lines.append(event.error.reason)
    return lines


def test_live_stream_gives_frames_changes_and_a_verdict_at_its_end():
    """Frames are numbered over all polls; the end of the stream emits the verdict and finishes the source."""
    opener = FakeOpener(FakeFollower(frames_of(RED, RED, RED), frames_of(RED), frames_of(BLUE, BLUE), frames_of(BLUE)))
    harness = Harness(opener)
    assert summary(harness.poll()) == ["now Red Game"]
    assert summary(harness.poll(2)) == []
    assert harness.pauses == [2.0] * 3
    assert summary(harness.poll(5)) == ["now Bleu pâle", "Red Game with a score of 4.0 in 7"]
    assert harness.watched.finished
    frames = [event for event in harness.events if isinstance(event, FrameClassified)]
    assert [frame.number for frame in frames] == [*range(1, 8)]
    [_, change] = [event for event in harness.events if isinstance(event, GameChanged)]
    assert (change.before, change.after, change.number) == (RED_GAME, BLUE_GAME, 7)
    assert opener.opened == [("one", 4, 2)]


def test_change_and_verdict_have_their_pictures():
    """A change carries the frame that decided it, a verdict the winner's best frame."""
    harness = Harness(FakeOpener(FakeFollower(frames_of(RED, RED, RED), frames_of(RED), frames_of(BLUE, BLUE, BLUE))))
    harness.poll(8)
    red, blue = frames_of(RED, BLUE)
    pictures = [event.jpeg for event in harness.events if isinstance(event, (GameChanged, VerdictReached))]
    assert pictures == [red.jpeg, blue.jpeg, red.jpeg]


def test_frames_have_lag_and_missed_segments():
    """Frames of the first poll and of recordings have no lag; missed segments are counted since the previous frame."""
    live = FakeFollower(frames_of(RED, RED, first=time.time() - 9), frames_of(RED, RED, first=time.time() - 5))
    recorded = FakeFollower(frames_of(RED, first=5.0), frames_of(RED, first=7.0), live=False)
    seen = {}
    for follower in (live, recorded):
        harness = Harness(FakeOpener(follower))
        harness.poll()
        follower.missed_segments = 3
        harness.poll()
        frames = [event for event in harness.events if isinstance(event, FrameClassified)]
        seen[follower] = [
            (None if frame.lag_s is None else round(frame.lag_s), frame.missed_segments) for frame in frames
        ]
    assert seen[live] == [(None, 0), (None, 0), (5, 3), (3, 0)]
    assert seen[recorded] == [(None, 0), (None, 3)]


@pytest.mark.parametrize("error", [OFFLINE, UndecodableVideo("one: encrypted"), SourceNotFound("nobody")])
def test_unavailable_source_without_wait_fails_once_and_finishes(error):
    """Without `wait`, an offline, undecodable or unknown source emits one failure."""
    harness = Harness(FakeOpener(error))
    assert summary(harness.poll(5)) == [error.reason]
    assert harness.watched.finished


def test_offline_stream_with_wait_is_polled_every_minute_until_it_comes():
    """Being offline is reported once; the stream comes, ends with a verdict, and comes again."""
    first, second = FakeFollower(frames_of(RED, RED, RED)), FakeFollower(frames_of(BLUE, BLUE, BLUE))
    opener = FakeOpener(OFFLINE, OFFLINE, OFFLINE, first, OFFLINE, OFFLINE, second, OFFLINE)
    harness = Harness(opener, wait=True)
    assert summary(harness.poll(7)) == [
        "offline",
        "now Red Game",
        "Red Game with a score of 3.0 in 3",
        "offline",
        "now Bleu pâle",
        "Bleu pâle with a score of 3.0 in 3",
    ]
    assert summary(harness.poll(50)) == ["offline"]
    assert set(harness.pauses) == {60.0}
    numbers = [event.number for event in harness.events if isinstance(event, FrameClassified)]
    assert numbers == [*range(1, 7)]
    assert not harness.watched.finished


def test_unknown_login_with_wait_finishes():
    """A misspelled login would be polled for ever."""
    harness = Harness(FakeOpener(SourceNotFound("nobody")), wait=True)
    assert summary(harness.poll(5)) == ["unknown login"]
    assert harness.watched.finished


def test_short_outage_emits_no_event():
    """The stream continues after the outage; the pauses double, with jitter."""
    before, after = FakeFollower(frames_of(RED, RED, RED), DOWN), FakeFollower(frames_of(RED, RED))
    harness = Harness(FakeOpener(before, DOWN, DOWN, DOWN, after))
    assert summary(harness.poll(9)) == ["now Red Game", "Red Game with a score of 5.0 in 5"]
    pauses = harness.pauses[1:5]
    assert all(2 * 2**n <= pause <= 3 * 2**n for n, pause in enumerate(pauses))


@pytest.mark.parametrize("wait", [False, True])
def test_unexpected_error_of_a_live_stream_is_an_outage(wait):
    """What a live stream causes is tried again with growing pauses; the stream goes on when it is sound again."""
    before = FakeFollower(frames_of(RED, RED, RED), TypeError("a date without a zone"))
    opener = FakeOpener(IndexError("demux"), before, AttributeError("stray comma"), FakeFollower(frames_of(RED, RED)))
    harness = Harness(opener, wait=wait)
    assert summary(harness.poll(6)) == ["now Red Game", "Red Game with a score of 5.0 in 5"]
    for pauses in (harness.pauses[:1], harness.pauses[2:4]):
        assert all(2 * 2**n <= pause <= 3 * 2**n for n, pause in enumerate(pauses))


def test_unexpected_error_that_stays_is_reported_and_finishes_without_wait():
    """After 30 s it is reported once, with the reason "internal"; after five minutes the source finishes."""
    harness = Harness(FakeOpener(ValueError("Content-Range")))
    assert summary(harness.poll(100)) == ["internal"]
    assert harness.watched.finished
    assert 300 <= harness.now <= 500


@pytest.mark.parametrize("error", [IndexError("demux"), UndecodableVideo("one: no picture")])
@pytest.mark.parametrize("colours", [(), (RED, RED)])
@pytest.mark.parametrize("wait", [False, True])
def test_error_of_a_recording_finishes_it(error, colours, wait):
    """A recording would fail again: its verdict is that of the frames so far; without one it fails, once."""

    class Recording(FakeFollower):
        def poll(self):
            yield from frames_of(*colours)
            raise error

    harness = Harness(FakeOpener(Recording([], live=False)), wait=wait)
    reason = error.reason if isinstance(error, UndecodableVideo) else "internal"
    assert summary(harness.poll(9)) == (["Red Game with a score of 2.0 in 2"] if colours else [reason])
    assert (harness.watched.finished, len(harness.pauses)) == (True, 1)


def test_recording_that_ends_without_a_frame_has_no_picture():
    """It is not said to be offline."""
    harness = Harness(FakeOpener(FakeFollower([], live=False)), wait=True)
    assert summary(harness.poll(3)) == ["no picture"]
    assert harness.watched.finished


def test_long_outage_is_reported_and_finishes_without_wait():
    """After 30 s the outage is reported once; after five minutes the source finishes, unless `wait` is set."""
    harness = Harness(FakeOpener(FakeFollower(frames_of(RED, RED, RED), DOWN), DOWN))
    assert summary(harness.poll(100)) == ["now Red Game", "unavailable", "Red Game with a score of 3.0 in 3"]
    assert harness.watched.finished
    assert 300 <= harness.now <= 500
    assert max(harness.pauses) <= 90
    waiting = Harness(FakeOpener(FakeFollower(frames_of(RED, RED, RED), DOWN), DOWN), wait=True)
    assert summary(waiting.poll(100)) == ["now Red Game", "unavailable"]
    assert not waiting.watched.finished


def test_stream_that_ends_during_an_outage_has_its_verdict():
    """After the outage the stream is offline: the verdict is that of the frames before it."""
    harness = Harness(FakeOpener(FakeFollower(frames_of(RED, RED, RED), DOWN), DOWN, OFFLINE))
    assert summary(harness.poll(9)) == ["now Red Game", "Red Game with a score of 3.0 in 3"]
    assert harness.watched.finished


def test_reopened_stream_skips_duplicate_frames():
    """The window of a reopened stream begins with frames that came before; they are not counted again."""
    start = time.time() - 20
    before = FakeFollower(frames_of(RED, RED, RED, first=start), DOWN)
    after = FakeFollower(frames_of(RED, RED, BLUE, first=start + 2), frames_of(BLUE, BLUE, first=start + 8))
    harness = Harness(FakeOpener(before, after))
    assert summary(harness.poll(9)) == ["now Red Game", "now Bleu pâle", "Red Game with a score of 3.0 in 6"]


def test_playlist_left_after_the_end_is_not_a_new_stream():
    """The playlist of an ended stream may be served for a while; its frames are not counted again."""
    start = time.time() - 20
    harness = Harness(
        FakeOpener(
            FakeFollower(frames_of(RED, RED, RED, first=start)),
            FakeFollower(frames_of(RED, RED, first=start + 2), live=True),
            OFFLINE,
        ),
        wait=True,
    )
    assert summary(harness.poll(9)) == ["now Red Game", "Red Game with a score of 3.0 in 3", "offline"]


def test_recording_with_wait_finishes_at_its_end():
    """`wait` concerns live streams only."""
    harness = Harness(FakeOpener(FakeFollower(frames_of(GREEN, GREEN, GREEN), live=False)), wait=True)
    assert summary(harness.poll(9)) == ["now Green: the Sequel", "Green: the Sequel with a score of 3.0 in 3"]
    assert harness.watched.finished


def test_stop_ends_a_poll_at_its_next_frame():
    """The remaining frames are skipped; `close` emits the verdict of the frames so far, once."""
    harness = Harness(FakeOpener(FakeFollower(frames_of(*[RED] * 50), frames_of(RED))))
    events = harness.events
    harness.watched.poll(lambda event: (events.append(event), harness.stop.set())[0], harness.stop)
    assert len(events) == 1
    harness.watched.close(events.append)
    harness.watched.close(events.append)
    assert summary(events) == ["Red Game with a score of 1.0 in 1"]
    assert harness.watched.finished


def test_frames_below_min_confidence_are_unknown_to_the_change_detector():
    """A frame that the accumulator marks as unknown votes for unknown, also if only its confidence is too low."""
    classifier: Any = ColourClassifier(logit=0.1)
    watched = WatchedStream(
        "one",
        FakeOpener(FakeFollower(frames_of(*[RED] * 12))).open_follower,
        classifier,
        lambda: VerdictAccumulator(classifier.classes, min_confidence=0.9),
    )
    events: list[Event] = []
    watched.poll(events.append, threading.Event())
    assert summary(events)[0] == "now unknown"
    [change] = [event for event in events if isinstance(event, GameChanged)]
    assert (change.before, change.after, change.known) == (None, None, False)


def test_frames_of_one_colour_cause_no_change():
    """A model may be confident about a black frame; such frames count in the verdict, but never as a change."""
    black = [Frame(0, encode_jpeg(flat((9, 0, 0), 16, 16), 95)) for _ in range(5)]
    harness = Harness(FakeOpener(FakeFollower(frames_of(BLUE, BLUE, BLUE), black, frames_of(BLUE))))
    assert summary(harness.poll(9)) == ["now Bleu pâle", "Red Game with a score of 5.0 in 9"]
