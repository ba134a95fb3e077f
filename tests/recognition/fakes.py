"""A grabber and a classifier that need no network and no network of neurons, and a recogniser made of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from config import Settings
from data.entities import Frame, Game
from data.errors import StreamError
from data.video.decoder import encode
from model.inference.calibration import Calibration, Judged
from recognition import Recognizer
from recognition.events import VerdictReached, FrameClassified
from tests.footage import flat


class ByColour:
    """A classifier that is as sure as its `sure` says of the game of the brightest channel."""

    classes = (Game(1, "Red Game"), Game(2, "Green: the Sequel"), Game(3, "Bleu pâle"))
    img_size = 16

    def __init__(self, sure: float = 2.0, calibration: Calibration | None = None) -> None:
        self._sure = sure
        self._calibration = calibration or Calibration()
        self.shapes: list[tuple[int, ...]] = []

    def judge(self, images: np.ndarray) -> Judged:
        assert images.dtype == np.uint8
        self.shapes.append(images.shape)
        means = images.mean(axis=(1, 2))
        logits = self._sure * (means == means.max(axis=1, keepdims=True)).astype(np.float32)
        return self._calibration.judge(logits, logits)


def frames(*colours: tuple[int, int, int], then: StreamError | None = None) -> Iterable[Frame]:
    """A grab of frames of these colours, which `then` fails."""
    for number, colour in enumerate(colours, start=1):
        yield Frame(number, encode(flat(colour, 16, 16), 95))
    if then:
        raise then


class Grabbed:
    """A grabber of one grab, made before."""

    def __init__(self, made: Iterable[Frame]) -> None:
        self._made = made

    def frames(self, source: str, at_most: int, ad_wait_s: float, scatter: bool) -> Iterator[Frame]:
        return islice(self._made, at_most)

    def close(self) -> None:
        """There is nothing to close."""


def recognizer(made: Iterable[Frame], classifier: ByColour, **wanted: Any) -> Recognizer:
    """A recogniser of this grab; the fakes stand for a Grabber and a Classifier."""
    grabber: Any = Grabbed(made)
    model: Any = classifier
    return Recognizer(Settings(), grabber, lambda: model, over=threading.Event(), **wanted)


def events(made: Iterable[Frame], classifier: ByColour, **wanted: Any) -> Iterator[FrameClassified | VerdictReached]:
    """What such a recogniser says of it."""
    return recognizer(made, classifier, **wanted).events("x")
