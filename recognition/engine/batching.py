"""Batches: many threads hand in one picture each, and a few have the network judge what came meanwhile.

However many there are that ask, no more of the network's runs go on at once than the machine has cores for.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data.entities import Game
from model.inference.calibration import Judged

# Pictures at once. On a CPU more are no quicker: of MobileNetV2, 8.4 ms each alone and four together, 9.6 ms of 32,
# whose layers do not fit a core's cache any more.
_MOST = 4


class Judge(Protocol):
    """What is needed of a `model.inference.classifier.Classifier`."""

    classes: tuple[Game, ...]
    img_size: int

    def judge(self, images: np.ndarray) -> Judged: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What was done so far: pictures, in how many batches, and the seconds that the network took for them."""

    images: int = 0
    batches: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Asked:
    image: np.ndarray
    answer: Future[Judged]


class Batcher:
    """Judges pictures for any number of threads. Each waits for its answer, so no more are held than threads ask.

    `done`: the work so far. Closing it answers all that was asked before; it is a context manager.
    """

    def __init__(self, classifier: Judge, most: int = _MOST, workers: int = 1) -> None:
        """Start the threads. `most`: pictures in a batch at most. `workers`: threads that judge, each its own batch.

        With several of them the classifier is used by several threads at once, as model.inference.classifier's may be.
        """
        self._classifier = classifier
        self._most = most
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of `done`; and nothing is asked after the end was
        self._closed = False
        self.done = Work()
        self._threads = [threading.Thread(target=self._work, name="batcher", daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def judge(self, image: np.ndarray) -> Judged:
        """One picture, uint8 (img_size, img_size, 3), RGB, judged: arrays of length 1.

        Raises ValueError for another shape, RuntimeError after `close`, and what the classifier raises.
        """
        size = self._classifier.img_size
        if image.dtype != np.uint8 or image.shape != (size, size, 3):
            raise ValueError(f"an image must be uint8 ({size}, {size}, 3), not {image.dtype} {image.shape}")
        asked = _Asked(image, Future())
        with self._lock:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._asked.put(asked)
        return asked.answer.result()

    def close(self) -> None:
        """Answer what was asked, then end the threads; safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while batch := self._next():
            start = time.perf_counter()
            try:
                judged = self._classifier.judge(np.stack([asked.image for asked in batch]))
            except Exception as error:  # noqa: BLE001 - raised where each of them is waited for
                for asked in batch:
                    asked.answer.set_exception(error)
                continue
            self._note(len(batch), time.perf_counter() - start)
            for index, asked in enumerate(batch):
                asked.answer.set_result(_one(judged, index))

    def _note(self, images: int, seconds: float) -> None:
        with self._lock:
            before = self.done
            self.done = Work(before.images + images, before.batches + 1, before.seconds + seconds)

    def _next(self) -> list[_Asked]:
        """What has come, in its order, at least one; nothing when it is over."""
        batch: list[_Asked] = []
        while len(batch) < self._most:
            try:
                asked = self._asked.get(block=not batch)
            except queue.Empty:
                break
            if asked is None:
                self._asked.put(None)  # for the other threads; what came before it is judged first
                break
            batch.append(asked)
        return batch


def _one(judged: Judged, index: int) -> Judged:
    """One of the pictures."""
    own = slice(index, index + 1)
    return Judged(judged.logits[own], judged.scores[own], judged.known[own])


class Batched:
    """A batcher in place of the classifier that it works with, for whoever judges one picture after the other."""

    def __init__(self, classifier: Judge, batcher: Batcher) -> None:
        self.classes = classifier.classes
        self.img_size = classifier.img_size
        self._batcher = batcher

    def judge(self, images: np.ndarray) -> Judged:
        """One picture, uint8 (1, img_size, img_size, 3), RGB. Raises as `Batcher.judge` does."""
        [image] = images
        return self._batcher.judge(image)
