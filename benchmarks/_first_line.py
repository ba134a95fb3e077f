"""Parts of the time to the first line, measured one after the other in a process of its own.

    python -m benchmarks._first_line STARTED LOGIN

STARTED: epoch seconds at which the process was started. Prints JSON: seconds by part. The command runs some parts
concurrently; here they run in turn, so that each can be measured.
"""

from __future__ import annotations

import time

_BEGUN = time.time()

import json  # noqa: E402 - the clock is read before anything is imported
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

if TYPE_CHECKING:
    from data.readers import Readable


class Fetched:
    """A file-like object that measures how long its reader waits."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.seconds = 0.0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        start = time.perf_counter()
        try:
            return self._file.read(size)
        finally:
            self.seconds += time.perf_counter() - start


def main() -> int:
    """Run each part, measure it, print the seconds, and return the exit code."""
    started, login = float(sys.argv[1]), sys.argv[2]
    parts = {"interpreter": _BEGUN - started}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        parts[name] = parts.get(name, 0.0) + time.perf_counter() - start

    with timed("imports"):
        import config
        from data.capture.source_resolver import SourceResolver
        from data.hls.rendition import Rendition
        from data.video.decoder import first_frame
        from data.video.images import decode_jpeg
        from model.inference.classifier import Classifier
        from recognition import Recognizer  # noqa: F401 - loads what the command loads
        from recognition.decision.verdict import VerdictAccumulator
    with timed("settings"):
        settings = config.load()
    with timed("model"):
        classifier = Classifier.load(settings.model_path)
    sources = SourceResolver(
        img_size=settings.img_size,
        quality=settings.quality,
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline_s,
        standin=settings.twitch_standin,
        pool_size=16,
    )
    with timed("twitch"):
        found = sources.open(login)
        assert isinstance(found, Rendition)
        segments = [segment for segment in found.playlist().segments if not segment.ad]
    with timed("decode"), found.open_segment(segments[0]) as file:
        fetched = Fetched(file)
        jpeg = first_frame(fetched, settings.img_size, settings.jpeg_quality)
    parts |= {"segment": fetched.seconds, "decode": parts["decode"] - fetched.seconds}
    with timed("inference"):
        scored = classifier.predict(decode_jpeg(jpeg)[None])
        VerdictAccumulator(classifier.classes).add_frame(scored.logits[0]).to_line(1)
    sources.close()
    print(json.dumps(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
