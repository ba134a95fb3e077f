"""Dynamic batching: many threads submit one image each; a few worker threads classify those that are pending.

The number of concurrent inferences depends on the number of workers only, not on the number of callers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np

from data.entities import Game
from model.inference.calibration import Calibration, ScoredLogits

# On a CPU, larger batches are not faster: MobileNetV2 takes 8.4 ms per image both alone and in a batch of 4, but 9.6 ms
# in a batch of 32, whose activations exceed a core's cache.
_MAX_BATCH = 4


def worker_count(threads: int) -> int:
    """Return how many workers use all cores with inferences of `threads` threads; 0: an inference uses all cores."""
    from model.inference.classifier import available_cores  # it loads ONNX Runtime

    return available_cores() // threads or 1 if threads else 1


class ImageClassifier(Protocol):
    """The part of model.inference.classifier.Classifier that recognition needs."""

    classes: tuple[Game, ...]
    img_size: int
    calibration: Calibration

    def predict(self, images: np.ndarray) -> ScoredLogits: ...


OnBatch = Callable[[int, float], None]  # (images, seconds of inference)


class _Request(NamedTuple):
    images: np.ndarray  # (1, H, W, 3)
    result: Future[ScoredLogits]


class Batcher:
    """An ImageClassifier for any number of threads. A context manager.

    Each caller waits for its result, so the queue holds at most one image per calling thread.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        *,
        max_batch: int = _MAX_BATCH,
        workers: int = 1,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Start `workers` threads, which classify batches of at most `max_batch` images and report them to `on_batch`.

        With several workers, `classifier` and `on_batch` must be thread-safe.
        """
        self.classes, self.img_size, self.calibration = classifier.classes, classifier.img_size, classifier.calibration
        self._classifier = classifier
        self._max_batch = max_batch
        self._on_batch = on_batch
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()  # None: the end
        self._lock = threading.Lock()  # no request comes after the end
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name="batcher", daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def predict(self, images: np.ndarray) -> ScoredLogits:
        """Classify one image, uint8 (1, img_size, img_size, 3), RGB; return arrays of length 1.

        Raises ValueError for another shape or dtype, RuntimeError after `close`, and what the classifier raises.
        """
        # Checked before it gets into a batch, where it would make the other callers fail.
        if images.dtype != np.uint8 or images.shape != (1, self.img_size, self.img_size, 3):
            shape = f"(1, {self.img_size}, {self.img_size}, 3)"
            raise ValueError(f"images must be uint8 {shape}, not {images.dtype} {images.shape}")
        request = _Request(images, Future())
        with self._lock:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._requests.put(request)
        return request.result.result()

    def close(self) -> None:
        """Finish all pending requests, then stop the workers. A second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._requests.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                images = np.concatenate([request.images for request in batch])  # (B, H, W, 3)
                start = time.perf_counter()
                scored = self._classifier.predict(images)
                if self._on_batch:
                    self._on_batch(len(batch), time.perf_counter() - start)
            except Exception as error:  # noqa: BLE001 - raised in each thread that waits for this batch
                for request in batch:
                    request.result.set_exception(error)
                continue
            for index, request in enumerate(batch):
                request.result.set_result(scored.take(slice(index, index + 1)))  # a slice keeps the batch dimension

    def _next_batch(self) -> list[_Request]:
        """Wait for the first request and take those that are pending, in order; empty after `close`."""
        batch: list[_Request] = []
        while len(batch) < self._max_batch:
            try:
                request = self._requests.get(block=not batch)
            except queue.Empty:
                break
            if request is None:
                self._requests.put(None)  # for the other workers; this batch was requested before the end
                break
            batch.append(request)
        return batch
