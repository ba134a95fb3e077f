"""recognition.engine.survey: concurrent sources, one result each; and previews first."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data import factories
from data.entities import Game, Stream
from data.errors import (
    DirectoryUnavailable,
    ModelError,
    SourceNotFound,
    StreamError,
    StreamOffline,
    StreamUnavailable,
    UndecodableVideo,
    WorkerLost,
)
from data.pool.pool import Finished
from model.inference.calibration import ScoredLogits
from model.inference.classifier import Classifier
from recognition import Recognizer
from recognition.decision.verdict import Prediction, VerdictAccumulator
from recognition.engine.survey import SurveyTask, SurveyWorker, WorkSlots
from recognition.engine.survey import results as survey_results
from recognition.events import FrameClassified, Result, SourceFailed, VerdictReached, now
from tests.data.conftest import settings
from tests.recognition.commands import BRIGHT, DARK
from tests.standin import RandomFaults, Standin, World
from tests.standin.preview import HOST

GAMES = (Game(1, "Chess"), Game(2, "Tetris"))
PARALLEL = 3


def verdict_of(source: str) -> VerdictReached:
    accumulator = VerdictAccumulator(GAMES)
    accumulator.add_frame(np.array([9.0, 0.0]))
    return VerdictReached(source, now(), accumulator.verdict())


def recognise(source: str) -> Iterator[FrameClassified | VerdictReached]:
    """Yield a frame and its verdict; fail before or after the frame if the name says "offline" or "broken"."""
    if source.startswith("offline"):
        raise StreamOffline(source)
    yield FrameClassified(source, now(), 1, Prediction(GAMES[0], 1.0))
    if source.startswith("broken"):
        raise UndecodableVideo(source)
    yield verdict_of(source)


def stream(login: str, game: Game | None) -> Stream:
    return Stream(login, game.id if game else 0, "", "en", 1, game.name if game else "")


def survey(
    recognise: Callable[[str], Iterator[FrameClassified | VerdictReached]], slots: WorkSlots | int = PARALLEL
) -> Callable[[Iterable[str | Stream]], Iterator[Result]]:
    """Return what yields one result for each of its sources, from threads."""
    slots = slots if isinstance(slots, WorkSlots) else WorkSlots(slots, time.sleep)

    def results_of(sources: Iterable[str | Stream]) -> Iterator[Result]:
        worker = SurveyWorker(lambda source, **_: recognise(source), recognise, slots)
        with worker.pool() as pool:
            yield from survey_results(pool, map(SurveyTask, sources))

    return results_of


def test_each_source_has_its_result():
    """Two hundred sources, of which a third fails immediately and a third after a frame: one result each."""
    names = [f"{name}{number}" for name in ("fine", "offline", "broken") for number in range(67)]
    results = list(survey(recognise)(names))
    assert sorted(result.source for result in results) == sorted(names)
    answered = {result.source for result in results if isinstance(result, VerdictReached)}
    assert answered == {name for name in names if name.startswith("fine")}
    reasons = {type(r.error) for r in results if isinstance(r, SourceFailed)}
    assert reasons == {StreamOffline, UndecodableVideo}


def test_result_has_the_category_of_a_listed_stream():
    """The category of the listing is added to the result, with a mismatch if the ids differ; it may be missing."""
    listed = [stream("one", GAMES[0]), stream("two", GAMES[1]), stream("three", None), "four"]
    found = {r.source: r for r in survey(recognise)(listed) if isinstance(r, VerdictReached)}
    assert {name: (r.category, r.mismatch) for name, r in found.items()} == {
        "one": (GAMES[0], False),
        "two": (GAMES[1], True),
        "three": (None, None),
        "four": (None, None),
    }


def test_slots_limit_concurrent_sources_and_sources_are_drawn_lazily():
    """Exactly PARALLEL sources run at a time, and a bounded number is drawn in advance."""
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
        yield verdict_of(source)

    def names() -> Iterator[str]:
        nonlocal drawn
        for number in range(200):
            drawn += 1
            assert drawn - done <= 9 * PARALLEL
            yield f"n{number}"

    for _ in survey(counted)(names()):
        done += 1
    assert (most, done) == (PARALLEL, 200)


def test_waiting_source_gives_up_its_slot():
    """Sixteen sources that wait for two seconds each, with two slots: they wait together and work in turn."""
    slots, lock, busy, most = WorkSlots(2, time.sleep), threading.Lock(), 0, 0

    def patient(source: str) -> Iterator[VerdictReached]:
        nonlocal busy, most
        for _ in range(2):
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.01)
            with lock:
                busy -= 1
            slots.wait(1)
        yield verdict_of(source)

    start = time.monotonic()
    assert len(list(survey(patient, slots)(f"n{number}" for number in range(16)))) == 16
    assert most == 2
    assert time.monotonic() - start < 12  # one after the other they would take sixteen


def test_listing_error_is_raised_after_the_results():
    """The results of the sources before the error come first."""

    def names() -> Iterator[str]:
        yield from ("one", "two")
        raise DirectoryUnavailable("down")

    results = survey(recognise)(names())
    assert {next(results).source, next(results).source} == {"one", "two"}
    with pytest.raises(DirectoryUnavailable, match="down"):
        next(results)


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), RecursionError(), UnicodeError("\x1b[31m")])
def test_unexpected_error_costs_its_source_only(error):
    """Whatever a source causes is a failure "internal" of that source; the others have their results."""

    def faulty(source: str) -> Iterator[FrameClassified | VerdictReached]:
        if source == "bad":
            raise error
        yield from recognise(source)

    results = {result.source: result for result in survey(faulty)(["one", "bad", "two"])}
    assert [type(results[name]) for name in ("one", "bad", "two")] == [VerdictReached, SourceFailed, VerdictReached]
    bad = results["bad"]
    assert isinstance(bad, SourceFailed)
    assert (bad.error.reason, bad.error.exit_code) == ("internal", 1)
    assert str(bad.error).startswith(f"bad: unexpected {type(error).__name__}")


class Unsteady:
    """A pool whose workers fail the first `failures` times that a source is tried, and are lost with "poison"."""

    def __init__(self, failures: int) -> None:
        self.tried: list[str] = []
        self._failures, self._tasks = failures, deque[SurveyTask]()

    free_slots = property(lambda self: 2 - len(self._tasks))

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def submit(self, task: SurveyTask, avoid: str = "") -> None:
        assert avoid == ("node" if task.name in self.tried else "")
        self._tasks.append(task)
        self.tried.append(task.name)

    def finished(self, timeout_s: float | None = None) -> list[Finished[SurveyTask, Result]]:
        if timeout_s == 0 or not self._tasks:
            return []
        task = self._tasks.popleft()
        if task.name == "poison":
            return [Finished(task, None, WorkerLost("3 workers were lost"))]
        failed = self.tried.count(task.name) <= self._failures
        result = SourceFailed(task.name, now(), StreamUnavailable("down")) if failed else verdict_of(task.name)
        return [Finished(task, result, node="node")]


@pytest.mark.parametrize(("failures", "kind"), [(0, VerdictReached), (1, VerdictReached), (2, SourceFailed)])
def test_source_that_failed_on_a_node_is_tried_once_more(failures, kind):
    """On a cluster, a failure that may be the node's is repeated once; a source that ends workers has a failure."""
    pool, names = Unsteady(failures), [*"abc", "poison"]
    results = {r.source: r for r in survey_results(pool, map(SurveyTask, names), retry=True)}
    assert sorted(results) == sorted(names)
    assert {type(results[name]) for name in "abc"} == {kind}
    assert pool.tried.count("a") == min(failures, 1) + 1
    poison = results["poison"]
    assert isinstance(poison, SourceFailed)
    assert (poison.error.reason, str(poison.error)) == ("internal", "poison: 3 workers were lost")


def test_results_are_stored_together_before_the_first_of_them_is_yielded():
    """What ended at the same time is one group; each result is in one group, and yielded after it."""
    stored: list[str] = []
    groups: list[int] = []

    def store(results: list[Result]) -> None:
        groups.append(len(results))
        stored.extend(result.source for result in results)

    class AllAtOnce(Unsteady):
        def finished(self, timeout_s: float | None = None) -> list[Finished[SurveyTask, Result]]:
            return [] if timeout_s == 0 else super().finished() + super().finished()

    tasks, seen = map(SurveyTask, "abcde"), []
    for result in survey_results(AllAtOnce(0), tasks, store=store):
        seen.append(result.source)
        assert result.source in stored
    assert (seen, stored, groups) == ([*"abcde"], [*"abcde"], [2, 2, 1])


def test_error_of_the_survey_is_raised_after_the_results_that_came_with_it():
    """Results that ended together with an error that concerns all sources are stored and yielded first."""
    stored: list[Result] = []

    class LastFails(Unsteady):
        def finished(self, timeout_s: float | None = None) -> list[Finished[SurveyTask, Result]]:
            if timeout_s == 0:
                return []
            first, *others = super().finished() + super().finished()
            return [Finished(ended.task, None, ModelError("no model")) for ended in others] + [first]

    found = survey_results(LastFails(0), map(SurveyTask, "ab"), store=stored.extend)
    assert [next(found)] == stored
    assert stored[0].source == "a"
    with pytest.raises(ModelError):
        next(found)


def test_model_error_ends_the_survey():
    """An error that concerns every source is raised."""

    def faulty(source: str) -> Iterator[VerdictReached]:
        raise ModelError("no model")

    with pytest.raises(ModelError):
        list(survey(faulty)(["one", "two"]))


def test_closing_the_results_ends_sources_in_flight():
    """Sources in flight end at their next frame; the others never start."""
    started, ended = [], threading.Semaphore(0)

    def endless(source: str) -> Iterator[FrameClassified | VerdictReached]:
        started.append(source)
        if source == "first":
            yield verdict_of(source)
            return
        try:
            while True:
                time.sleep(0.005)
                yield FrameClassified(source, now(), 1, Prediction(GAMES[0], 1.0))
        finally:
            ended.release()

    results = survey(endless, 2)(["first", "second", "third", "fourth", "fifth"])
    assert next(results).source == "first"
    results.close()
    running = len(started) - 1
    assert all(ended.acquire(timeout=10) for _ in range(running))
    assert len(started) <= 3  # the first, and one in each slot; threads take free slots in any order
    time.sleep(0.1)
    assert len(started) == 1 + running


# --- with the stand-in ----------------------------------------------------------------------------


class Doubtful:
    """A classifier whose frames are unknown, or whose logits are limited to `max_logit`."""

    def __init__(self, classifier: Classifier, known: bool, max_logit: float = 1.0) -> None:
        self._classifier, self._known, self._max_logit = classifier, known, max_logit
        self.classes, self.img_size, self.calibration = classifier.classes, classifier.img_size, classifier.calibration

    def predict(self, images: np.ndarray) -> ScoredLogits:
        scored = self._classifier.predict(images)
        logits = scored.logits.clip(-self._max_logit, self._max_logit)
        return replace(scored, logits=logits, known=scored.known & self._known)


@pytest.fixture
def standin(world):
    """Run the stand-in with a dark channel, a bright one, and an offline one."""
    with Standin(world.only({"dcss_minotaur_berserker", "etr_bumpy_ride", "already_over"})) as running:
        yield running
    assert not running.unknown


MakeRecognizer = Callable[..., Recognizer]


@pytest.fixture
def make_recognizer(standin, model_path) -> Iterator[MakeRecognizer]:
    """Return a function that builds recognisers for the stand-in; its first argument wraps the classifier."""
    own = settings(TWITCH_STANDIN=standin.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="3")
    opened: list[Recognizer] = []

    def make(wrap: Callable[[Any], Any] = lambda classifier: classifier, **options: Any) -> Recognizer:
        stop = threading.Event()
        classifier = wrap(Classifier.load(model_path))
        opened.append(Recognizer(own, factories.make_grabber(own, stop.wait), lambda: classifier, stop=stop, **options))
        return opened[-1]

    yield make
    for recognizer in opened:
        recognizer.close()


LOGINS = ("dcss_minotaur_berserker", "etr_bumpy_ride")


def summary(results: Iterable[Result]) -> dict[str, tuple[Game | type[StreamError], int, bool]]:
    """Return by source: the game or the error's class, the number of frames, and whether it is from the preview."""
    return {
        r.source: (r.verdict.game, r.verdict.frames, r.from_preview)
        if isinstance(r, VerdictReached)
        else (type(r.error), 0, False)
        for r in results
    }


def test_survey_of_logins_addresses_and_missing_sources(make_recognizer):
    """Each source has the result that it would have alone."""
    url = "https://www.twitch.tv/etr_bumpy_ride"
    assert summary(make_recognizer().survey([*LOGINS, url, "already_over", "no such file.mp4"])) == {
        LOGINS[0]: (DARK, 3, False),
        LOGINS[1]: (BRIGHT, 3, False),
        url: (BRIGHT, 3, False),
        "already_over": (StreamOffline, 0, False),
        "no such file.mp4": (SourceNotFound, 0, False),
    }


def test_prerolls_of_many_streams_are_waited_for_together(world, model_path):
    """Eight pre-rolls of four seconds, one slot: the survey waits for all of them at the same time."""
    dark = world.channel("dcss_minotaur_berserker")
    channels = tuple(replace(dark, login=f"n{number}", behaviour="preroll") for number in range(8))
    start = time.monotonic()
    with Standin(World(channels), preroll_s=4.0) as standin:
        own = settings(TWITCH_STANDIN=standin.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="1")
        with Recognizer.load(own, threads=1) as recognizer:
            results = summary(recognizer.survey((channel.login for channel in channels), parallel=1))
    assert results == {channel.login: (DARK, 1, False) for channel in channels}
    assert time.monotonic() - start < 8 * 4 / 2


def test_survey_with_random_faults_gives_one_result_per_source(world, model_path):
    """Two fifths of all requests fail, also those of previews: each source still has exactly one result."""
    clip = world.channel("dcss_minotaur_berserker").file  # one: the stand-in transcodes each
    channels = tuple(replace(channel, file=clip) for channel in world.channels[::4])
    logins = [channel.login for channel in channels]
    with Standin(World(channels), preroll_s=1.0, random_faults=RandomFaults(0.4, seed=1)) as standin:
        own = settings(TWITCH_STANDIN=standin.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="2", AD_WAIT_S="3")
        with Recognizer.load(own, threads=1) as recognizer:
            results = summary(recognizer.survey(logins, preview=True))
        assert sum(standin.fault_counts.values()) > 5  # usually twice as many
    assert sorted(results) == sorted(logins)


@pytest.mark.parametrize("threads", [0, 1])
def test_results_do_not_depend_on_the_number_of_workers(make_recognizer, threads):
    """One inference worker, or one per core: the results are the same."""
    results = summary(make_recognizer(threads=threads).survey(LOGINS * 3, 2, parallel=4))
    assert results == {LOGINS[0]: (DARK, 2, False), LOGINS[1]: (BRIGHT, 2, False)}


def test_survey_stops_early(make_recognizer):
    """A few of fifteen frames suffice, and the event says that it stopped early."""
    results = list(make_recognizer().survey(LOGINS, 15, 0.9))
    assert all(isinstance(r, VerdictReached) and r.stopped_early and r.verdict.frames < 8 for r in results)


def test_confident_preview_needs_no_stream(make_recognizer, standin):
    """One request per channel, to the host of the previews only: no token, no playlist, no segment."""
    before = len(standin.requests)
    assert summary(make_recognizer().survey(LOGINS, preview=True)) == {
        LOGINS[0]: (DARK, 1, True),
        LOGINS[1]: (BRIGHT, 1, True),
    }
    assert [request.host for request in standin.requests[before:]] == [HOST, HOST]


@pytest.mark.parametrize(
    ("wrap", "options", "from_preview"),
    [
        (lambda c: Doubtful(c, known=False), {}, False),  # unknown
        (lambda c: Doubtful(c, known=True, max_logit=0.5), {}, False),  # 73 %: below PREVIEW_CONFIDENCE
        (lambda c: Doubtful(c, known=True, max_logit=0.5), {"min_confidence": 0.7}, True),
        (lambda c: Doubtful(c, known=True, max_logit=2.0), {}, True),  # 98 %
        (lambda c: Doubtful(c, known=True, max_logit=2.0), {"min_confidence": 0.99}, False),
    ],
)
def test_uncertain_preview_falls_back_to_the_stream(make_recognizer, wrap, options, from_preview):
    """The stream is classified if its preview is unknown or below the minimum confidence, by default 90 %."""
    results = summary(make_recognizer(wrap, **options).survey(LOGINS, preview=True))
    expected = (1, True) if from_preview else (3, False)
    assert {source: result[1:] for source, result in results.items()} == dict.fromkeys(LOGINS, expected)


def test_missing_preview_falls_back_to_the_stream(make_recognizer, standin):
    """A stream that has just begun has no preview; an error of the preview's host says nothing about the stream."""
    standin.fail(HOST, 503, times=1)
    standin.fail(HOST, 404, times=1)
    results = summary(make_recognizer().survey([*LOGINS, "already_over"], preview=True, parallel=1))
    assert results == {
        LOGINS[0]: (DARK, 3, False),
        LOGINS[1]: (BRIGHT, 3, False),
        "already_over": (StreamOffline, 0, False),
    }


def test_file_is_classified_without_a_preview(make_recognizer, standin, world):
    """A source that is not a Twitch channel is classified directly, without a request."""
    before = len(standin.requests)
    file = str(world.channel("etr_bumpy_ride").file)
    assert summary(make_recognizer().survey([file], preview=True)) == {file: (BRIGHT, 3, False)}
    assert len(standin.requests) == before
