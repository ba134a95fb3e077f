"""Survey, measured in a process of its own, on at most two cores.

    python -m benchmarks._surveyor all|early|preview|int8|original STANDIN < logins

Uses the model in MODEL_PATH; `int8` uses its 8-bit form. Prints JSON:

    answers            by login: the game's id, 0 for unknown, null after a failure
    frames             number of classified frames
    wall_s, cpu_s      seconds, without the imports and the loading of the model
    inference_s        the network's part of cpu_s
    memory_mb          peak memory
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from config import Settings
    from model.inference.calibration import ScoredLogits
    from recognition.engine.batching import ImageClassifier

FRAMES = 13  # of a playlist of 15 segments, of which the oldest may expire during the run
_CORES = 2

Answer = tuple[str, int | None, int]  # login, game, frames


def main() -> int:
    """Run the survey, measure it, print the result, and return the exit code."""
    way, standin = sys.argv[1:]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    from config import load

    settings = load().model_copy(update={"twitch_standin": standin, "int8": str(way == "int8").lower()})
    survey = _Original(settings) if way == "original" else _Ours(settings, way)
    logins = sys.stdin.read().split()
    wall, cpu = time.perf_counter(), time.process_time()
    answers = list(survey.answers(logins))
    result = {
        "answers": {login: game for login, game, _ in answers},
        "frames": sum(frames for *_, frames in answers),
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "inference_s": survey.inference_s,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    print(json.dumps(result))
    return 0


class Timed:
    """A classifier that counts its CPU seconds in the calling threads."""

    def __init__(self, classifier: ImageClassifier) -> None:
        self._classifier = classifier
        self._lock = threading.Lock()
        self.classes, self.img_size, self.calibration = classifier.classes, classifier.img_size, classifier.calibration
        self.seconds = 0.0

    def predict(self, images: np.ndarray) -> ScoredLogits:
        """Return the classifier's result and count its CPU time."""
        start = time.thread_time()
        scored = self._classifier.predict(images)
        with self._lock:
            self.seconds += time.thread_time() - start
        return scored


class _Ours:
    """The toolkit's library. `way`: all frames, early stopping, or previews first."""

    def __init__(self, settings: Settings, way: str) -> None:
        from recognition import Recognizer
        from recognition.modes.single import DEFAULT_CERTAINTY

        self._recognizer = Recognizer.load(settings, threads=1)
        self._timed = Timed(self._recognizer.classifier)
        certainty = DEFAULT_CERTAINTY if way == "early" else 1.0
        self._how: dict[str, Any] = {"preview": way == "preview", "certainty": certainty}

    def answers(self, logins: Iterable[str]) -> Iterator[Answer]:
        """Yield the answers of a concurrent survey, as they come."""
        from recognition.events import SourceFailed

        with self._recognizer as recognizer:
            for result in recognizer.with_classifier(self._timed).survey(logins, FRAMES, **self._how):
                if isinstance(result, SourceFailed):
                    yield result.source, None, 0
                else:
                    verdict = result.verdict
                    yield result.source, verdict.game.id if verdict.known else 0, verdict.frames

    @property
    def inference_s(self) -> float:
        """CPU seconds of the network. With one thread per inference, it runs in the calling thread."""
        return self._timed.seconds


class _Original:
    """The original's steps for one stream after the other in one process. The original started TensorFlow for each."""

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from benchmarks import _original
        from model.inference import classes

        self._classes = classes.read_classes(settings.model_path / classes.CLASSES_FILE)
        self._model = _original.network(settings.model_path)
        self._standin = settings.twitch_standin
        self._session = _original.new_streamlink(self._standin)
        self.inference_s = 0.0

    def answers(self, logins: Iterable[str]) -> Iterator[Answer]:
        """Yield the answers in turn: download the whole playlist, then predict each frame."""
        from benchmarks import _original
        from data.video.images import decode_jpeg
        from recognition.decision.verdict import VerdictAccumulator

        for login in logins:
            accumulator = VerdictAccumulator(self._classes)
            jpegs = list(islice(_original.frames(self._session, self._standin, login), FRAMES))
            start = time.process_time()
            for jpeg in jpegs:
                accumulator.add_frame(self._model.predict(decode_jpeg(jpeg)[None], verbose=0)[0])
            self.inference_s += time.process_time() - start
            yield login, accumulator.verdict().game.id, len(jpegs)


if __name__ == "__main__":
    sys.exit(main())
