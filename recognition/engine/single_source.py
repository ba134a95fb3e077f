"""Single-source loop: classify the frames of one source, then give the verdict.

the first frame is prefetched while the model loads
for each frame:
    classify it, add it to the verdict, emit it
    stop if the remaining frames would hardly change the verdict
emit the verdict
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from data.entities import Frame
from data.errors import StreamError, UndecodableVideo, translate_unexpected
from recognition.decision.verdict import VerdictAccumulator
from recognition.engine.best_frame import BestFrame
from recognition.engine.signals import signals_deferred
from recognition.events import FrameClassified, VerdictReached, now

if TYPE_CHECKING:
    from recognition.engine.batching import ImageClassifier

log = logging.getLogger(__name__)
_T = TypeVar("_T")

# (source, max_frames, ad_wait_s, spread_first) → frames, as data.capture.grabber.Grabber.frames gives them
FrameProvider = Callable[[str, int, float, bool], Iterator[Frame]]


def classify_source(
    source: str,
    frames: Iterable[Frame],
    load_classifier: Callable[[], ImageClassifier],
    new_accumulator: Callable[[], VerdictAccumulator],
    *,
    max_frames: int,
    certainty: float = 1.0,
) -> Iterator[FrameClassified | VerdictReached]:
    """Yield each frame as soon as it is classified, then the verdict.

    frames: at most `max_frames`; they are taken by another thread, one ahead.
    load_classifier, new_accumulator: called in this order while the first frame is downloaded.
    certainty: below 1, stop when the verdict of all `max_frames` frames will be the same with this probability.
    Raises what `load_classifier` raises, and a StreamError before the first frame. A later one ends the frames.
    """
    stopped_early, best = False, BestFrame()
    with ExitStack() as stack:
        with signals_deferred():  # numpy and ONNX Runtime start threads, which must not take signals
            fetched = stack.enter_context(prefetch(frames))
            import_module("data.video.decoder")  # loads FFmpeg while the first request of `frames` is under way
            from data.video.images import decode_jpeg

            classifier, accumulator = load_classifier(), new_accumulator()
        for frame in _until_error(source, fetched):
            with translate_unexpected(source):
                scored = classifier.predict(decode_jpeg(frame.jpeg)[None])  # (1, H, W, 3)
                prediction = accumulator.add_scored(scored)
            best.add(frame.jpeg, prediction, accumulator.leader)
            yield FrameClassified(source, now(), frame.number, prediction, frame.jpeg)
            if certainty < 1 and frame.number < max_frames:
                stopped_early = accumulator.probability_of_change(max_frames) <= 1 - certainty
                if stopped_early:
                    break
        if accumulator.is_empty:
            raise UndecodableVideo(f"{source}: no picture could be decoded")
        yield VerdictReached(source, now(), accumulator.verdict(), stopped_early=stopped_early, jpeg=best.jpeg)


def _until_error(source: str, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames until an error, as a StreamError; raise it if there was no frame before it, else log it."""
    has_frames = False
    try:
        with translate_unexpected(source):
            for frame in frames:
                yield frame
                has_frames = True
    except StreamError as error:
        if not has_frames:
            raise
        log.warning("%s; the verdict is based on the frames so far", error)


@contextmanager
def prefetch(items: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """Yield an iterator over `items` that is one item ahead of its consumer; the first item starts immediately.

    An error of an item is raised where the consumer would get that item. After the block no further item starts. An
    item that is still being computed delays the interpreter's exit.
    """
    source, end = iter(items), object()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    pending = pool.submit(next, source, end)

    def results() -> Iterator[_T]:
        nonlocal pending
        while (item := pending.result()) is not end:
            pending = pool.submit(next, source, end)  # before the yield: it runs while the consumer works
            yield item  # type: ignore[misc]

    try:
        yield results()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
