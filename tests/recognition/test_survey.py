"""recognition.engine.survey: side by side, one answer each, whatever a source does; and previews first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data import factories
from data.entities import Game, Stream
from data.errors import DirectoryUnavailable, UndecodableVideo, StreamError, StreamOffline, SourceNotFound
from model.inference.calibration import Judged
from model.inference.classifier import Classifier
from recognition import Recognizer
from recognition.decision.verdict import Jury, Prediction
from recognition.engine.slots import Places
from recognition.engine.survey import Survey
from recognition.events import VerdictReached, SourceFailed, FrameClassified, now
from tests.data.conftest import settings
from tests.recognition.commands import BRIGHT, DARK
from tests.standin import Standin, Weather, World
from tests.standin.preview import HOST

GAMES = (Game(1, "Chess"), Game(2, "Tetris"))
AT_ONCE = 3


def answer(source: str) -> VerdictReached:
    jury = Jury(GAMES)
    jury.hear(np.array([9.0, 0.0]))
    return VerdictReached(source, now(), jury.verdict())


def look(source: str) -> Iterator[FrameClassified | VerdictReached]:
    """A source that gives a frame and its verdict, or what its name says."""
    if source.startswith("offline"):
        raise StreamOffline(source)
    yield FrameClassified(source, now(), 1, Prediction(GAMES[0], 1.0))
    if source.startswith("broken"):
        raise UndecodableVideo(source)
    yield answer(source)


def stream(login: str, game: Game | None) -> Stream:
    return Stream(login, game.id if game else 0, "", "en", 1, game.name if game else "")


def surveying(look: Callable[[str], Iterable[FrameClassified | VerdictReached]], at_once: int = AT_ONCE) -> Survey:
    return Survey(look, Places(at_once, time.sleep), at_once)


def test_each_source_has_its_result():
    """Two hundred sources, a third of which fail at once and a third later: one result each."""
    names = [f"{kind}{number}" for kind in ("fine", "offline", "broken") for number in range(67)]
    results = list(surveying(look).results(names))
    assert sorted(result.source for result in results) == sorted(names)
    answered = {result.source for result in results if isinstance(result, VerdictReached)}
    assert answered == {name for name in names if name.startswith("fine")}
    reasons = {type(r.error) for r in results if isinstance(r, SourceFailed)}
    assert reasons == {StreamOffline, UndecodableVideo}


def test_streams_bring_their_category():
    """What Helix lists stands beside the answer, as a mismatch where the ids differ; a stream may have set none."""
    listed = [stream("one", GAMES[0]), stream("two", GAMES[1]), stream("three", None), "four"]
    found = {r.source: r for r in surveying(look).results(listed) if isinstance(r, VerdictReached)}
    assert {name: (r.category, r.mismatch) for name, r in found.items()} == {
        "one": (GAMES[0], False),
        "two": (GAMES[1], True),
        "three": (None, None),
        "four": (None, None),
    }


def test_side_by_side_and_no_more():
    """So many are looked at at once as may be; sources are drawn as threads need them, whatever their number."""
    lock = threading.Lock()
    busy, most, drawn, done = 0, 0, 0, 0

    def counted(source: str) -> Iterator[VerdictReached]:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.01)
        with lock:
            busy -= 1
        yield answer(source)

    def names() -> Iterator[str]:
        nonlocal drawn
        for number in range(200):
            drawn += 1
            assert drawn - done <= 9 * AT_ONCE
            yield f"n{number}"

    for _ in surveying(counted).results(names()):
        done += 1
    assert (most, done) == (AT_ONCE, 200)


def test_who_waits_leaves_its_place():
    """Sixteen sources that wait for half a second each, with two places: they wait together, and work in turn."""
    places, lock, busy, most = Places(2, time.sleep), threading.Lock(), 0, 0

    def patient(source: str) -> Iterator[VerdictReached]:
        nonlocal busy, most
        for _ in range(2):
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.01)
            with lock:
                busy -= 1
            places.wait(0.25)
        yield answer(source)

    start = time.monotonic()
    assert len(list(Survey(patient, places, 2).results(f"n{number}" for number in range(16)))) == 16
    assert most == 2
    assert time.monotonic() - start < 3  # in turn they would take four


def test_a_listing_that_breaks_off():
    """What is in the making comes first, then the error of the listing."""

    def names() -> Iterator[str]:
        yield from ("one", "two")
        raise DirectoryUnavailable("down")

    results = surveying(look).results(names())
    assert {next(results).source, next(results).source} == {"one", "two"}
    with pytest.raises(DirectoryUnavailable, match="down"):
        next(results)


def test_what_nobody_expects_is_not_hidden():
    """An error that is not a stream's own ends the survey."""

    def faulty(source: str) -> Iterator[VerdictReached]:
        raise ZeroDivisionError(source)

    with pytest.raises(ZeroDivisionError, match="one"):
        list(surveying(faulty).results(["one"]))


def test_leaving_early_ends_those_in_the_making():
    """They end at their next frame; those that had not begun never do."""
    begun, ended = [], threading.Semaphore(0)

    def endless(source: str) -> Iterator[FrameClassified | VerdictReached]:
        begun.append(source)
        if source == "first":
            yield answer(source)
            return
        try:
            while True:
                time.sleep(0.005)
                yield FrameClassified(source, now(), 1, Prediction(GAMES[0], 1.0))
        finally:
            ended.release()

    results = surveying(endless, 2).results(["first", "second", "third", "fourth", "fifth"])
    assert next(results).source == "first"
    results.close()
    running = len(begun) - 1
    assert all(ended.acquire(timeout=10) for _ in range(running))
    assert set(begun) <= {"first", "second", "third"}
    time.sleep(0.1)
    assert len(begun) == 1 + running


# --- with the stand-in ----------------------------------------------------------------------------


class Doubtful:
    """A classifier that takes what another says for unknown, or is less sure of it."""

    def __init__(self, classifier: Classifier, known: bool, sure: float = 1.0) -> None:
        self._classifier, self._known, self._sure = classifier, known, sure
        self.classes, self.img_size = classifier.classes, classifier.img_size

    def judge(self, images: np.ndarray) -> Judged:
        judged = self._classifier.judge(images)
        return replace(judged, logits=judged.logits.clip(-self._sure, self._sure), known=judged.known & self._known)


@pytest.fixture
def twitch(world):
    """A dark channel, a bright one, and one that is not live."""
    with Standin(world.only({"dcss_minotaur_berserker", "etr_bumpy_ride", "already_over"})) as running:
        yield running
    assert not running.unknown


Made = Callable[..., Recognizer]


@pytest.fixture
def made(twitch, model_path) -> Iterator[Made]:
    """Makes recognisers of the stand-in's channels; `judge` changes what judges."""
    own = settings(TWITCH_STANDIN=twitch.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="3")
    opened: list[Recognizer] = []

    def make(judge: Callable[[Any], Any] = lambda classifier: classifier, **wanted: Any) -> Recognizer:
        over = threading.Event()
        classifier = judge(Classifier.load(model_path))
        opened.append(Recognizer(own, factories.grabber(own, over.wait), lambda: classifier, over=over, **wanted))
        return opened[-1]

    yield make
    for recognizer in opened:
        recognizer.close()


LOGINS = ("dcss_minotaur_berserker", "etr_bumpy_ride")


def said(results: Iterable[VerdictReached | SourceFailed]) -> dict[str, tuple[Game | type[StreamError], int, bool]]:
    """By source: the game, or the error's class; how many frames; and whether the preview alone was looked at."""
    return {
        r.source: (r.verdict.game, r.verdict.frames, r.preview)
        if isinstance(r, VerdictReached)
        else (type(r.error), 0, False)
        for r in results
    }


def test_real_streams(made):
    """Logins, addresses and what is not live: each as the recogniser answers it alone."""
    url = "https://www.twitch.tv/etr_bumpy_ride"
    assert said(made().survey([*LOGINS, url, "already_over", "no such file.mp4"])) == {
        LOGINS[0]: (DARK, 3, False),
        LOGINS[1]: (BRIGHT, 3, False),
        url: (BRIGHT, 3, False),
        "already_over": (StreamOffline, 0, False),
        "no such file.mp4": (SourceNotFound, 0, False),
    }


def test_streams_that_begin_with_an_ad(world, model_path):
    """Eight pre-rolls of four seconds, one place: all are waited for at the same time."""
    dark = world.channel("dcss_minotaur_berserker")
    channels = tuple(replace(dark, login=f"n{number}", behaviour="preroll") for number in range(8))
    start = time.monotonic()
    with Standin(World(channels), preroll_s=4.0) as standin:
        own = settings(TWITCH_STANDIN=standin.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="1")
        with Recognizer.load(own, threads=1) as recognizer:
            results = said(recognizer.survey((channel.login for channel in channels), at_once=1))
    assert results == {channel.login: (DARK, 1, False) for channel in channels}
    assert time.monotonic() - start < 8 * 4 / 2


def test_in_bad_weather(world, model_path):
    """A fifth of all requests meets a fault, previews' too: every source has its result, and nothing else comes."""
    logins = [channel.login for channel in world.channels]
    with Standin(world, preroll_s=1.0, weather=Weather(0.2, seed=1)) as standin:
        own = settings(TWITCH_STANDIN=standin.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="2", AD_WAIT_S="3")
        with Recognizer.load(own, threads=1) as recognizer:
            results = said(recognizer.survey(logins, preview=True))
        assert sum(standin.faults_met.values()) > 10
    assert sorted(results) == sorted(logins)


@pytest.mark.parametrize("threads", [0, 1])
def test_many_cores(made, threads):
    """One thread that judges for all, or one a core: the answers are the same."""
    answers = said(made(threads=threads).survey(LOGINS * 3, 2, at_once=4))
    assert answers == {LOGINS[0]: (DARK, 2, False), LOGINS[1]: (BRIGHT, 2, False)}


def test_an_early_stop(made):
    """Three frames of fifteen are enough for these, and the event says so."""
    results = list(made().survey(LOGINS, 15, 0.9))
    assert all(isinstance(r, VerdictReached) and r.early and r.verdict.frames < 8 for r in results)


def test_previews_that_leave_no_doubt(made, twitch):
    """One request a channel, to no host but that of the previews: no token, no playlist, no segment."""
    before = len(twitch.requests)
    assert said(made().survey(LOGINS, preview=True)) == {LOGINS[0]: (DARK, 1, True), LOGINS[1]: (BRIGHT, 1, True)}
    assert [request.host for request in twitch.requests[before:]] == [HOST, HOST]


@pytest.mark.parametrize(
    ("judge", "wanted", "by_preview"),
    [
        (lambda c: Doubtful(c, known=False), {}, False),  # unknown
        (lambda c: Doubtful(c, known=True, sure=0.5), {}, False),  # 73 %: less than what is asked of a preview
        (lambda c: Doubtful(c, known=True, sure=0.5), {"min_confidence": 0.7}, True),
        (lambda c: Doubtful(c, known=True, sure=2.0), {}, True),  # 98 %
        (lambda c: Doubtful(c, known=True, sure=2.0), {"min_confidence": 0.99}, False),
    ],
)
def test_previews_that_leave_doubt(made, judge, wanted, by_preview):
    """The stream itself is looked at where the preview is unknown, or less sure than was asked for, or than 90 %."""
    results = said(made(judge, **wanted).survey(LOGINS, preview=True))
    expected = (1, True) if by_preview else (3, False)
    assert {source: result[1:] for source, result in results.items()} == dict.fromkeys(LOGINS, expected)


def test_without_a_preview_the_stream_is_looked_at(made, twitch):
    """One that has just begun has none yet; and what fails there says nothing of the stream."""
    twitch.fail(HOST, 503, times=1)
    twitch.fail(HOST, 404, times=1)
    results = said(made().survey([*LOGINS, "already_over"], preview=True, at_once=1))
    assert results == {
        LOGINS[0]: (DARK, 3, False),
        LOGINS[1]: (BRIGHT, 3, False),
        "already_over": (StreamOffline, 0, False),
    }


def test_files_have_no_preview(made, twitch, world):
    """What is no channel of Twitch is looked at as ever, without a request."""
    before = len(twitch.requests)
    file = str(world.channel("etr_bumpy_ride").file)
    assert said(made().survey([file], preview=True)) == {file: (BRIGHT, 3, False)}
    assert len(twitch.requests) == before
