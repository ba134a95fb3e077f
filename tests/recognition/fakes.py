"""Fakes: a grabber and a classifier without network access, and a recogniser built from them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from config import Settings
from data.entities import Frame, Game
from data.video.images import encode_jpeg
from model.inference.calibration import Calibration, ScoredLogits
from recognition import Recognizer
from recognition.events import FrameClassified, VerdictReached
from tests.sample_images import flat


class ColourClassifier:
    """Predicts the game of the brightest colour channel. Its logit is `logit`, all others are 0."""

    classes = (Game(1, "Red Game"), Game(2, "Green: the Sequel"), Game(3, "Bleu pâle"))
    img_size = 16

    def __init__(self, logit: float = 2.0, calibration: Calibration | None = None) -> None:
        self._logit = logit
        self.calibration = calibration or Calibration()
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, images: np.ndarray) -> ScoredLogits:
        assert images.dtype == np.uint8
        self.shapes.append(images.shape)
        means = images.mean(axis=(1, 2))  # (B, 3)
        logits = self._logit * (means == means.max(axis=1, keepdims=True)).astype(np.float32)
        return self.calibration.score(logits, logits)


def frames(*colours: tuple[int, int, int], then: Exception | None = None) -> Iterable[Frame]:
    """Yield one frame of each colour, then raise `then`."""
    for number, colour in enumerate(colours, start=1):
        yield Frame(number, encode_jpeg(flat(colour, 16, 16), 95))
    if then:
        raise then


class FakeGrabber:
    """A grabber that gives the same frames for any source."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = frames

    def frames(self, source: str, max_frames: int, ad_wait_s: float, spread_first: bool) -> Iterator[Frame]:
        return islice(self._frames, max_frames)

    def close(self) -> None:
        """Do nothing."""


def recognizer(frames: Iterable[Frame], classifier: ColourClassifier, **options: Any) -> Recognizer:
    """Return a recogniser of these frames. `options` are those of Recognizer."""
    grabber: Any = FakeGrabber(frames)
    model: Any = classifier
    return Recognizer(Settings(), grabber, lambda: model, stop=threading.Event(), **options)


def events(
    frames: Iterable[Frame], classifier: ColourClassifier, **options: Any
) -> Iterator[FrameClassified | VerdictReached]:
    """Return the events of such a recogniser."""
    return recognizer(frames, classifier, **options).events("x")
