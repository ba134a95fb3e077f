"""Recognizer: the public library. The command `recognition.recognize` is made of it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from data import factories, startup
from data.entities import Stream
from data.errors import translate_unexpected
from recognition.connections import Connections
from recognition.decision.segmentation import LOOK_EVERY_S, Chapter, OnLook
from recognition.decision.verdict import Verdict, VerdictAccumulator
from recognition.engine.background import in_background
from recognition.engine.signals import signals_deferred
from recognition.engine.single_source import FrameProvider, classify_source
from recognition.events import Event, FrameClassified, Result, VerdictReached
from recognition.model_loading import load_classifier
from recognition.sources import normalise, unique

if TYPE_CHECKING:
    from config import Settings
    from data.capture.grabber import Grabber
    from recognition.engine.batching import Batcher, ImageClassifier, OnBatch
    from recognition.engine.survey import SurveyWorker
    from recognition.engine.watcher import Watcher


class Recognizer(Connections):
    """Recognises the game of live streams, recordings and video files. Thread-safe; `load` builds one.

    Args:
        settings: the toolkit's settings.
        grabber: source of the frames; `close` closes it.
        load_model: returns the classifier; called once, when it is first needed.
        stop: ends every wait when it is set; `close` sets it.
        top: how many games each ranking holds.
        min_confidence: answers of a lower confidence are unknown, 0 to 1.
        threads: threads of one inference; 0: one per core.
        inferences: inferences at a time of a survey or watch; 0: as many as use all cores.

    Raises:
        SettingsError: (`load`) a setting is invalid.
        ModelError: (first use) the model is missing or does not fit the settings.
        StreamError: (`recognize`, `frames`, `events`) the source gave no frame; its subclass says why.

    Example::

        with Recognizer.load(top=3) as recognizer:
            print(recognizer.recognize("some_login").game.name)
            print(*recognizer.survey(["some_login", "other_login"]))
    """

    def __init__(
        self,
        settings: Settings,
        grabber: Grabber,
        load_model: Callable[[], ImageClassifier],
        *,
        stop: threading.Event,
        top: int = 1,
        min_confidence: float = 0.0,
        threads: int = 0,
        inferences: int = 0,
    ) -> None:
        super().__init__(settings, grabber, stop)
        self._frames: FrameProvider = grabber.frames
        self._load_model, self._threads, self._top, self._min_confidence = load_model, threads, top, min_confidence
        self._classifier: ImageClassifier | None = None
        self._inferences = inferences
        self._lock = threading.Lock()  # guards `_classifier`

    @classmethod
    def load(
        cls,
        settings: Settings | None = None,
        *,
        top: int = 1,
        min_confidence: float = 0.0,
        threads: int = 0,
        inferences: int = 0,
    ) -> Recognizer:
        """Build a recogniser; default settings: the environment, `.env` and config.py. Raises SettingsError.

        With `threads=1`, each core runs an inference of its own: the best choice for many streams. Another thread loads
        the model from now on; `classifier` raises its errors.
        """
        with signals_deferred(), startup.collection_paused():  # these imports load C libraries and start threads
            from config import load

            own = settings or load()
            load_model = in_background(partial(load_classifier, own, threads))  # ONNX Runtime releases the GIL
            stop = threading.Event()  # ad waits run in worker threads, which Ctrl-C does not interrupt
            grabber = factories.make_grabber(own, stop.wait)
        options = partial(cls, top=top, min_confidence=min_confidence, threads=threads, inferences=inferences)
        return options(own, grabber, load_model, stop=stop)

    @property
    def classifier(self) -> ImageClassifier:
        """Return the model in MODEL_PATH; wait for it at the first access. Raises ModelError."""
        with self._lock:
            self._classifier = self._classifier or self._load_model()
            return self._classifier

    def new_accumulator(self) -> VerdictAccumulator:
        """Return an accumulator for the frames of one stream. Raises ModelError."""
        classes, calibration = self.classifier.classes, self.classifier.calibration
        return VerdictAccumulator(classes, self._top, self._min_confidence, calibration.stream_threshold)

    def _batcher(self, on_batch: OnBatch | None = None) -> Batcher:
        """Return a classifier for many threads; the caller closes it. Raises ModelError."""
        from recognition.engine.batching import Batcher, worker_count

        return Batcher(self.classifier, workers=self._inferences or worker_count(self._threads), on_batch=on_batch)

    def with_classifier(
        self, classifier: ImageClassifier, frames: FrameProvider | None = None, default_min_confidence: float = 0.0
    ) -> Recognizer:
        """Return a copy with this classifier, which the caller closes, another source of frames, and a default."""
        other = copy.copy(self)  # shallow: it shares the connections
        other._classifier, other._frames = classifier, frames or self._frames
        other._min_confidence = self._min_confidence or default_min_confidence
        return other

    def recognize(self, source: str, max_frames: int | None = None, certainty: float = 1.0) -> Verdict:
        """Return what `source` shows now. Arguments and errors are those of `events`."""
        events = self.events(source, max_frames, certainty)
        return next(event.verdict for event in events if isinstance(event, VerdictReached))

    def frames(self, source: str, max_frames: int | None = None, certainty: float = 1.0) -> Iterator[FrameClassified]:
        """Yield each frame of `source` as soon as it is classified. Arguments and errors are those of `events`."""
        return (event for event in self.events(source, max_frames, certainty) if isinstance(event, FrameClassified))

    def events(
        self, source: str, max_frames: int | None = None, certainty: float = 1.0
    ) -> Iterator[FrameClassified | VerdictReached]:
        """Yield the frames of `source` as they are classified, then its verdict.

        max_frames: default FRAMES_PER_STREAM. certainty: below 1, frames come from all parts of the source, not in
            temporal order; they end when the verdict of all frames will be the same with this probability.
        Raises ModelError, and a StreamError if there is no frame. A later StreamError only ends the frames.
        """
        source, count = normalise(source), max_frames or self.settings.frames_per_stream
        frames = self._frames(source, count, self.settings.ad_wait_s, certainty < 1)
        yield from classify_source(
            source, frames, lambda: self.classifier, self.new_accumulator, max_frames=count, certainty=certainty
        )

    def chapters(
        self, source: str, look_every_s: float = LOOK_EVERY_S, precision_s: float = 1.0, on_look: OnLook | None = None
    ) -> list[Chapter]:
        """Return when which game is played in a VOD, a clip or a video file. Raises ModelError, StreamError.

        look_every_s: a shorter visit may be missed. precision_s: of the cuts. on_look: reports looks done and planned.
        """
        from recognition.engine.chapter_search import ChapterSearch

        with translate_unexpected(source), self.grabber.open_recording(normalise(source)) as reader:
            search = ChapterSearch(reader, self.classifier, self.new_accumulator, look_every_s, precision_s)
            return search.chapters(on_look)

    def survey(
        self,
        sources: Iterable[str | Stream],
        max_frames: int | None = None,
        certainty: float = 1.0,
        *,
        preview: bool = False,
        parallel: int | None = None,
    ) -> Generator[Result, None, None]:
        """Recognise many sources concurrently; yield one result each, in the order in which they finish.

        sources: drawn lazily; a Stream is an item of a Helix listing. max_frames, certainty: as in `events`.
        preview: classify a login's preview image first, and the stream only if that leaves it unknown.
        parallel: streams at a time; default PARALLEL_STREAMS. Raises ModelError; last, a DirectoryError of sources.
        """
        from recognition.engine.survey import SurveyTask, results

        with self.open_survey(parallel) as worker, worker.pool() as pool:
            yield from results(pool, (SurveyTask(source, max_frames, certainty, preview) for source in sources))

    @contextmanager
    def open_survey(self, parallel: int | None = None) -> Iterator[SurveyWorker]:
        """Yield what recognises the sources of a survey in threads; parallel: as there. Raises ModelError."""
        from recognition.engine.survey import PREVIEW_CONFIDENCE, SurveyWorker, WorkSlots

        with self._batcher() as classifier, factories.make_preview_client(self.settings) as client:
            slots = WorkSlots(parallel or self.settings.parallel_streams, self.stop.wait)
            stream = self.with_classifier(classifier, partial(self.grabber.frames, sleep=slots.wait))
            image = self.with_classifier(classifier, lambda s, *_: map(client.fetch, [s]), PREVIEW_CONFIDENCE)
            yield SurveyWorker(stream.events, image.events, slots)

    def watch(
        self,
        sources: Iterable[str],
        *,
        wait: bool = False,
        stop: threading.Event | None = None,
        on_batch: OnBatch | None = None,
    ) -> Generator[Event, None, None]:
        """Follow streams concurrently, each to its end: yield frames, changes of game, verdicts and failures.

        Each stream gives one frame per FRAME_INTERVAL_S seconds; 0: one per segment. Raises ModelError.
        wait: for streams that are not live yet or have ended. stop: once set, the watch ends with the verdicts so far.
        on_batch: called by worker threads after each inference, with its images and seconds.
        """
        with self.open_watch(sources, wait=wait, stop=stop, on_batch=on_batch) as watcher:
            yield from watcher.events()

    @contextmanager
    def open_watch(
        self,
        sources: Iterable[str] = (),
        *,
        wait: bool = False,
        stop: threading.Event | None = None,
        on_batch: OnBatch | None = None,
        endless: bool = False,
    ) -> Iterator[Watcher]:
        """Yield the watcher of `watch`, which takes more sources. endless: go on without any until `stop` is set."""
        from recognition.engine.watched_stream import WatchedStream
        from recognition.engine.watcher import Watcher

        with self._batcher(on_batch) as classifier:
            new = partial(WatchedStream, open_follower=self.grabber.open_follower, classifier=classifier, wait=wait)
            new_stream = partial(new, new_accumulator=self.new_accumulator)
            streams, stop = map(new_stream, unique(sources)), stop or threading.Event()
            yield Watcher(streams, stop, new_stream=new_stream, endless=endless)
