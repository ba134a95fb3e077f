"""Recognition for visitors: what a source or some frames show, a few at a time, each within a bounded time."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from data.entities import Frame
from data.errors import StreamUnavailable, ToolkitError
from recognition.events import FrameClassified, VerdictReached, as_json
from recognition.recognizer import Recognizer

MAX_FRAMES = 30
_MAX_SOURCES = 4  # at a time
_FRAMES_S, _ANSWER_S = 40.0, 75.0  # after these seconds no further frame is taken, and an answer is given up
_AD_WAIT_S = 20.0

_EXAMPLE: Any = {
    "events": [
        {
            "schema": 1,
            "event": "verdict",
            "source": "some_login",
            "time": "2026-11-26T12:00:00.000Z",
            "known": True,
            "game": {"id": 27471, "name": "Minecraft"},
            "closest": {"id": 27471, "name": "Minecraft"},
            "confidence": 0.93,
            "top": [{"id": 27471, "name": "Minecraft", "confidence": 0.93}],
            "score": 13.95,
            "frames": 15,
            "unknown_frames": 0,
            "early": False,
            "preview": False,
            "category": None,
            "mismatch": None,
        }
    ],
    "pictures": [],
}


class Recognition(BaseModel):
    """The answer to what something shows."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    events: list[dict[str, Any]] = Field(description="frames, then the verdict, as docs/events.schema.json says")
    pictures: list[str] = Field(description="of each frame, in the same order: JPEG, base64")


class TooManyRecognitions(ToolkitError):
    """Other sources are being recognised; the same request may succeed later."""


class SourceQueue:
    """Recognises sources, each in a thread of its own, which may outlive the answer. `close` ends it."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(_MAX_SOURCES)
        self._pool = ThreadPoolExecutor(_MAX_SOURCES, thread_name_prefix="recognition")
        self._stop = threading.Event()

    def close(self) -> None:
        """Take no further frame."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def recognise(self, load: Callable[[], Recognizer], source: str, frames: int) -> Recognition:
        """Return what a source shows. Raises TooManyRecognitions, ModelError, StreamError."""
        if not self._free.acquire(blocking=False):
            raise TooManyRecognitions("Other sources are being recognised; try again in some seconds.")
        try:
            result = self._pool.submit(self._recognise, load, source, frames)
        except RuntimeError:  # closed
            self._free.release()
            raise TooManyRecognitions("The server is about to end.") from None
        result.add_done_callback(self._release)
        try:
            return result.result(_ANSWER_S)
        except FutureTimeout:
            result.cancel()
            raise StreamUnavailable(f"{source}: no answer within {_ANSWER_S:.0f} s") from None

    def _release(self, _: Future[Recognition]) -> None:
        self._free.release()

    def _recognise(self, load: Callable[[], Recognizer], source: str, frames: int) -> Recognition:
        recognizer = load()
        end = time.monotonic() + _FRAMES_S

        def wait(seconds: float) -> bool:
            return self._stop.wait(min(seconds, max(0.0, end - time.monotonic()))) or time.monotonic() >= end

        def provide(name: str, count: int, ad_wait_s: float, spread_first: bool) -> Iterator[Frame]:
            ad_wait_s = min(ad_wait_s, _AD_WAIT_S)
            for frame in recognizer.grabber.frames(name, count, ad_wait_s, spread_first, sleep=wait):
                yield frame
                if self._stop.is_set() or time.monotonic() >= end:
                    return

        return _answer(recognizer.with_classifier(recognizer.classifier, provide).events(source, frames))


def recognise_frames(recognizer: Recognizer, name: str, jpegs: Sequence[bytes]) -> Recognition:
    """Return what some frames show together. `name`: the source of the events. Raises ModelError, StreamError."""
    frames = [Frame(number, jpeg) for number, jpeg in enumerate(jpegs, 1)]
    of_frames = recognizer.with_classifier(recognizer.classifier, lambda *_: iter(frames))
    return _answer(of_frames.events(name, len(frames)))


def _answer(events: Iterator[FrameClassified | VerdictReached]) -> Recognition:
    found = list(events)
    jpegs = [event.jpeg for event in found if isinstance(event, FrameClassified)]
    return Recognition(
        events=[as_json(event) for event in found], pictures=[base64.b64encode(jpeg).decode() for jpeg in jpegs]
    )
