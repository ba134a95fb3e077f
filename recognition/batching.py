"""Batches: many threads hand in one picture each, and one thread has the network judge all that came meanwhile.

A network is quicker at many pictures together than at each by itself, and sessions that run side by side take the
cores from one another.
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
from model.calibration import Judged

_MOST = 32  # pictures at once, as model.classifier


class Judge(Protocol):
    """What is needed of a `model.classifier.Classifier`."""

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

    def __init__(self, classifier: Judge, most: int = _MOST) -> None:
        """Start the thread. `most`: pictures in a batch at most. The classifier is used by that thread alone."""
        self._classifier = classifier
        self._most = most
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # nothing is asked after the end was
        self._closed = False
        self.done = Work()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

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
        """Answer what was asked, then end the thread; safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._asked.put(None)
        self._thread.join()

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
            seconds = self.done.seconds + time.perf_counter() - start
            self.done = Work(self.done.images + len(batch), self.done.batches + 1, seconds)
            for index, asked in enumerate(batch):
                asked.answer.set_result(_one(judged, index))

    def _next(self) -> list[_Asked]:
        """What has come, in its order, at least one; nothing when it is over."""
        batch: list[_Asked] = []
        while len(batch) < self._most:
            try:
                asked = self._asked.get(block=not batch)
            except queue.Empty:
                break
            if asked is None:
                self._asked.put(None)  # the last one: what came before it is judged first
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
