"""recognition.engine.batching: each thread gets its own result; pending images become one batch."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from model.inference.calibration import Calibration, ScoredLogits
from recognition.engine.batching import Batcher

_SIZE = 4


class Echo:
    """A classifier whose logits are an image's first pixel. It records its batches and waits for `hold`."""

    classes = ()
    img_size = _SIZE
    calibration = Calibration()

    def __init__(self, hold: threading.Event | None = None) -> None:
        self.batches: list[int] = []
        self.started = threading.Event()
        self._hold = hold

    def predict(self, images: np.ndarray) -> ScoredLogits:
        self.started.set()
        if self._hold:
            assert self._hold.wait(30)
        self.batches.append(len(images))
        logits = images[:, 0, 0, :].astype(np.float64)
        return ScoredLogits(logits, logits[:, 0], logits[:, 0] >= 100)


class Broken:
    """A classifier that fails for bright images."""

    classes = ()
    img_size = _SIZE
    calibration = Calibration()

    def predict(self, images: np.ndarray) -> ScoredLogits:
        if images.max() > 200:
            raise MemoryError("too bright")
        return ScoredLogits(np.zeros((len(images), 2)), np.zeros(len(images)), np.ones(len(images), bool))


def image(level: int) -> np.ndarray:
    return np.full((1, _SIZE, _SIZE, 3), level, np.uint8)


def test_each_thread_gets_the_result_of_its_image():
    """Two hundred images from sixteen threads: each result belongs to the submitted image."""
    batches: list[tuple[int, float]] = []  # (images, seconds)
    with Batcher(Echo(), on_batch=lambda *batch: batches.append(batch)) as batcher, ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda level: batcher.predict(image(level)), range(200)))
    assert [result.logits.tolist() for result in results] == [[[level] * 3] for level in range(200)]
    assert [result.known.tolist() for result in results] == [[level >= 100] for level in range(200)]
    assert sum(images for images, _ in batches) == 200


def test_images_pending_during_an_inference_form_one_batch():
    """The first image is a batch of one; the nine that arrive meanwhile form batches of at most eight."""
    hold = threading.Event()
    echo = Echo(hold)
    batches: list[tuple[int, float]] = []  # (images, seconds)

    def report(images: int, seconds: float) -> None:
        batches.append((images, seconds))

    with Batcher(echo, max_batch=8, on_batch=report) as batcher, ThreadPoolExecutor(10) as pool:
        first = pool.submit(batcher.predict, image(0))
        assert echo.started.wait(30)
        others = [pool.submit(batcher.predict, image(level)) for level in range(1, 10)]
        while batcher._requests.qsize() < len(others):  # they are submitted by threads
            time.sleep(0.001)
        hold.set()
        assert [float(future.result().scores[0]) for future in [first, *others]] == list(map(float, range(10)))
    assert echo.batches == [1, 8, 1]
    assert [images for images, _ in batches] == [1, 8, 1]
    assert min(seconds for _, seconds in batches) > 0


def test_several_workers_run_concurrently():
    """Two workers classify two batches at the same time; each result still belongs to its image."""
    barrier = threading.Barrier(2, timeout=30)

    class Rendezvous(Echo):
        def predict(self, images: np.ndarray) -> ScoredLogits:
            if images.max() < 2:  # the first two wait for each other
                barrier.wait()
            return super().predict(images)

    rendezvous = Rendezvous()
    with Batcher(rendezvous, max_batch=1, workers=2) as batcher, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda level: batcher.predict(image(level)), range(100)))
    assert [float(result.scores[0]) for result in results] == list(map(float, range(100)))
    assert rendezvous.batches == [1] * 100


def test_classifier_error_is_raised_in_the_calling_thread():
    """Only the callers of the failed batch get the error; the batcher continues."""
    with Batcher(Broken()) as batcher:
        with pytest.raises(MemoryError, match="too bright"):
            batcher.predict(image(250))
        assert batcher.predict(image(5)).known.tolist() == [True]


@pytest.mark.parametrize("images", [np.zeros((1, _SIZE, _SIZE, 3)), np.zeros((2, _SIZE, _SIZE, 3), np.uint8)])
def test_wrong_shape_or_dtype_raises_value_error(images):
    """The image never gets into a batch, where it would make other callers fail."""
    with Batcher(Echo()) as batcher, pytest.raises(ValueError, match="images must be uint8"):
        batcher.predict(images)


def test_close_finishes_pending_requests():
    """A waiting caller gets its result; a later call raises; a second close does nothing."""
    hold = threading.Event()
    echo = Echo(hold)
    batcher = Batcher(echo)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(batcher.predict, image(7))
        assert echo.started.wait(30)
        closing = pool.submit(batcher.close)
        hold.set()
        assert waiting.result().scores.tolist() == [7.0]
        closing.result()
    batcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.predict(image(1))
