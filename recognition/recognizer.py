"""The library: everything that the command does, for other programs. The README has an example, which its test runs."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from data.errors import ModelError, StreamError
from recognition.decision.verdict import Jury, Verdict
from recognition.engine.prefetch import ahead
from recognition.engine.signals import undisturbed
from recognition.events import VerdictReached, SourceFailed, FrameClassified, now
from recognition.sources import source as named

if TYPE_CHECKING:
    from config import Settings
    from data.capture.grabber import Grabber
    from data.entities import Frame, Stream
    from data.twitch.helix import Helix
    from model.inference.classifier import Classifier
    from recognition.categories import Categories, CurrentCategories
    from recognition.engine.batching import Batcher, Judge
    from recognition.events import Event

# Of a source: at most so many, an ad waited for so long, the first few from all parts of it or in their order.
Frames = Callable[[str, int, float, bool], Iterator["Frame"]]

log = logging.getLogger(__name__)


class Recognizer:
    """Says what streams show. Several threads may use one at once; `close` ends it, and every wait of it.

    `top`: how many games each answer ranks. `min_confidence`, 0 to 1: an answer below it is unknown.
    """

    def __init__(
        self,
        settings: Settings,
        grabber: Grabber,
        model: Callable[[], Judge],
        *,
        over: threading.Event,
        top: int = 1,
        min_confidence: float = 0.0,
        threads: int = 0,
    ) -> None:
        """`load` makes one. `model` loads what judges, by `threads` a picture; `over`: set, it ends all waiting."""
        self.settings = settings
        self.grabber = grabber
        self._frames: Frames = grabber.frames
        self.over = over
        self._threads = threads
        self._model = model
        self._top = top
        self._min_confidence = min_confidence
        self._classifier: Judge | None = None
        self._lock = threading.Lock()
        self._closing = ExitStack()
        self._closing.callback(grabber.close)

    @classmethod
    def load(
        cls, settings: Settings | None = None, *, top: int = 1, min_confidence: float = 0.0, threads: int = 0
    ) -> Recognizer:
        """With these settings, or those of the environment, `.env` and config.py.

        `threads`: of the network for a picture, 0: one a core. With one it takes less of the cores in all, and where
        many streams are looked at each core judges a picture of its own.
        The model is loaded when it is first needed, while the first frames travel. Raises SettingsError.
        """
        with undisturbed():
            from config import load
            from data import factories

            own = settings or load()
            over = threading.Event()  # ads are waited for in another thread, which would outlive Ctrl-C
            grabber = factories.grabber(own, over.wait)
        model = partial(_classifier, own, threads)
        return cls(own, grabber, model, over=over, top=top, min_confidence=min_confidence, threads=threads)

    def close(self) -> None:
        """End what waits, and close the connections; safe to call twice."""
        self.over.set()
        self._closing.close()

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def classifier(self) -> Judge:
        """The model in MODEL_PATH. Raises ModelError."""
        with self._lock:
            self._classifier = self._classifier or self._model()
            return self._classifier

    def batcher(self) -> Batcher:
        """What judges for many threads, which the caller closes. Raises ModelError."""
        from model.inference.classifier import cores
        from recognition.engine.batching import Batcher

        return Batcher(self.classifier, workers=cores() // self._threads or 1 if self._threads else 1)

    def jury(self) -> Jury:
        """Whoever has judged frames hears their logits with it, one jury for each stream. Raises ModelError."""
        return Jury(self.classifier.classes, self._top, self._min_confidence)

    def categories(self, sources: Iterable[str]) -> Categories:
        """What the streamers of these sources say they show. Raises SettingsError: the credentials are incomplete."""
        from recognition.categories import Categories

        return Categories(self.helix(), sources)

    def current_categories(self, sources: Iterable[str]) -> CurrentCategories:
        """The same, asked anew every minute until `close`."""
        from recognition.categories import CurrentCategories

        return CurrentCategories(self.helix(), sources, self.over)

    def helix(self) -> Helix:
        """A client of the API, closed with the recogniser. Raises SettingsError: the credentials are incomplete."""
        from data import factories
        from data.http import session as web

        settings = self.settings
        session = web.new_session(settings.timeout_s, settings.twitch_standin, deadline_s=settings.deadline_s)
        self._closing.enter_context(session)
        return factories.helix(settings, session, self.over.wait)

    def survey(
        self,
        sources: Iterable[str | Stream],
        at_most: int | None = None,
        sure: float = 1.0,
        *,
        preview: bool = False,
        at_once: int | None = None,
    ) -> Generator[VerdictReached | SourceFailed, None, None]:
        """What many sources show, each as soon as it is known; one that fails stops no other.

        `sources` may be streams as Helix lists them, and are drawn as they are needed. `preview`: where a login's
        preview picture leaves no doubt, the stream itself is not looked at. `at_once`: so many are looked at side by
        side; PARALLEL_STREAMS, if nothing is said. Raises ModelError, and in the end the DirectoryError that broke
        `sources` off.
        """
        from recognition.engine import survey

        count = at_once or self.settings.parallel_streams
        return survey.survey(self, sources, at_most=at_most, sure=sure, preview=preview, at_once=count)

    def watch(
        self, sources: Iterable[str], *, wait: bool = False, stop: threading.Event | None = None
    ) -> Generator[Event, None, None]:
        """Follow streams side by side, each to its end: frames, changes of what they show, verdicts, failures.

        Of each FRAME_INTERVAL_S seconds of a stream a frame; 0: of each segment. `wait`: for streams that are not live
        yet or have ended, as long as it takes. `stop`, once set, ends it with the verdicts so far. Raises ModelError.
        """
        from recognition.engine import watcher

        return watcher.watch(self, sources, wait=wait, stop=stop or threading.Event())

    def judging_by(self, judge: Judge, frames: Frames | None = None, sure: float = 0.0) -> Recognizer:
        """The same with this judge, which the caller closes.

        `frames`: what gives a source's frames, instead of the grabber. `sure`: `min_confidence`, if none is set.
        """
        other = copy.copy(self)
        other._classifier = judge
        other._frames = frames or self._frames
        other._min_confidence = self._min_confidence or sure
        return other

    def recognize(self, source: str, at_most: int | None = None, sure: float = 1.0) -> Verdict:
        """What `source` shows now. Raises as `events` does."""
        *_, last = self.events(source, at_most, sure)
        assert isinstance(last, VerdictReached)
        return last.verdict

    def frames(self, source: str, at_most: int | None = None, sure: float = 1.0) -> Iterator[FrameClassified]:
        """The same frame by frame, each as soon as it has come."""
        return (event for event in self.events(source, at_most, sure) if isinstance(event, FrameClassified))

    def events(self, source: str, at_most: int | None = None, sure: float = 1.0) -> Iterator[FrameClassified | VerdictReached]:
        """What `source` shows now: its frames as they come, `at_most` of them, or FRAMES_PER_STREAM; then the verdict.

        `sure`: below 1, it stops once the verdict is that of all of these frames with such a probability; they come
        from all parts of what there is, then, and not in their order.
        Raises ModelError, and where there was no frame to judge the StreamError that says why; one that comes later
        ends the stream, and the verdict stands.
        """
        from data.video.decoder import decode

        source, count = named(source), at_most or self.settings.frames_per_stream
        early = False
        with ExitStack() as stack:
            with undisturbed():
                grabbed = self._frames(source, count, self.settings.ad_wait_s, sure < 1)
                frames = stack.enter_context(ahead(grabbed))
                classifier, jury = self.classifier, self.jury()  # while the first frame travels
            for frame in _till_failure(frames):
                judged = classifier.judge(decode(frame.jpeg)[None])
                prediction = jury.hear(judged.logits[0], bool(judged.known[0]))
                yield FrameClassified(source, now(), frame.number, prediction, frame.jpeg)
                if early := sure < 1 and frame.number < count and jury.doubt(count) <= 1 - sure:
                    break
            yield VerdictReached(source, now(), jury.verdict(), early=early)


def _till_failure(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frames; an error is raised when it comes before the first one, and otherwise told and the end of them."""
    heard = False
    try:
        for frame in frames:
            yield frame
            heard = True
    except StreamError as error:
        if not heard:
            raise
        log.warning("%s; the verdict is of the frames so far", error)


def _classifier(settings: Settings, threads: int) -> Classifier:
    """The model in MODEL_PATH, which takes so many threads for a picture; 0: one a core. Raises ModelError."""
    from model.inference.classifier import Classifier, file_of

    classifier = Classifier.load(settings.model_path, threads, file_of(settings.model_path, settings.int8))
    if classifier.img_size != settings.img_size:
        raise ModelError(f"IMG_SIZE: the model takes images of {classifier.img_size} pixels, so set it to that")
    return classifier
