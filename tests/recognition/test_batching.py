"""recognition.engine.batching: each thread gets the answer to its own picture; batches fill while the network works."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from model.inference.calibration import Judged
from recognition.engine.batching import Batcher

_SIZE = 4


class Echo:
    """A classifier whose logits are a picture's first pixel; it notes its batches, and may wait before the first."""

    img_size = _SIZE

    def __init__(self, hold: threading.Event | None = None) -> None:
        self.batches: list[int] = []
        self.begun = threading.Event()
        self._hold = hold

    def judge(self, images: np.ndarray) -> Judged:
        self.begun.set()
        if self._hold:
            assert self._hold.wait(30)
        self.batches.append(len(images))
        logits = images[:, 0, 0, :].astype(np.float64)
        return Judged(logits, logits[:, 0], logits[:, 0] >= 100)


class Broken:
    """A classifier that fails at bright pictures."""

    img_size = _SIZE

    def judge(self, images: np.ndarray) -> Judged:
        if images.max() > 200:
            raise MemoryError("too bright")
        return Judged(np.zeros((len(images), 2)), np.zeros(len(images)), np.ones(len(images), bool))


def picture(level: int) -> np.ndarray:
    return np.full((_SIZE, _SIZE, 3), level, np.uint8)


def test_each_gets_its_own_answer():
    """Two hundred pictures of sixteen threads: every answer is that of the picture that was handed in."""
    with Batcher(Echo()) as batcher, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda level: batcher.judge(picture(level)), range(200)))
    assert [answer.logits.tolist() for answer in answers] == [[[level] * 3] for level in range(200)]
    assert [answer.known.tolist() for answer in answers] == [[level >= 100] for level in range(200)]
    assert batcher.done.images == 200


def test_what_comes_while_the_network_works_is_one_batch():
    """The first picture goes alone; the nine that come meanwhile go together, in batches of eight at most."""
    hold = threading.Event()
    echo = Echo(hold)
    with Batcher(echo, most=8) as batcher, ThreadPoolExecutor(10) as pool:
        first = pool.submit(batcher.judge, picture(0))
        assert echo.begun.wait(30)
        others = [pool.submit(batcher.judge, picture(level)) for level in range(1, 10)]
        while batcher._asked.qsize() < len(others):  # they are handed in by threads
            time.sleep(0.001)
        hold.set()
        assert [float(future.result().scores[0]) for future in [first, *others]] == list(map(float, range(10)))
    assert echo.batches == [1, 8, 1]
    assert (batcher.done.images, batcher.done.batches) == (10, 3)
    assert batcher.done.seconds > 0


def test_several_threads_judge():
    """As many batches are judged at once as there are workers; each answer is still its picture's own."""
    both = threading.Barrier(2, timeout=30)

    class Meeting(Echo):
        def judge(self, images: np.ndarray) -> Judged:
            if images.max() < 2:  # the first two come at the same time
                both.wait()
            return super().judge(images)

    with Batcher(Meeting(), most=1, workers=2) as batcher, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda level: batcher.judge(picture(level)), range(100)))
    assert [float(answer.scores[0]) for answer in answers] == list(map(float, range(100)))
    assert (batcher.done.images, batcher.done.batches) == (100, 100)


def test_an_error_reaches_those_whose_batch_it_was():
    """It is raised where the answer is waited for, and the batcher goes on."""
    with Batcher(Broken()) as batcher:
        with pytest.raises(MemoryError, match="too bright"):
            batcher.judge(picture(250))
        assert batcher.judge(picture(5)).known.tolist() == [True]


@pytest.mark.parametrize("image", [np.zeros((_SIZE, _SIZE, 3)), np.zeros((1, _SIZE, _SIZE, 3), np.uint8)])
def test_a_picture_of_another_shape_is_refused_alone(image):
    """It never gets into a batch, where it would spoil the others."""
    with Batcher(Echo()) as batcher, pytest.raises(ValueError, match="an image must be uint8"):
        batcher.judge(image)


def test_closing_answers_what_was_asked():
    """Whoever waits gets an answer; whoever comes later is told; closing twice is fine."""
    hold = threading.Event()
    echo = Echo(hold)
    batcher = Batcher(echo)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(batcher.judge, picture(7))
        assert echo.begun.wait(30)
        closing = pool.submit(batcher.close)
        hold.set()
        assert waiting.result().scores.tolist() == [7.0]
        closing.result()
    batcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.judge(picture(1))
