"""How many frames an answer takes once it may stop early, and how often it then is another than that of all frames.

Of each channel of the stand-in the live window is grabbed once, fifteen frames; streams of 13 frames are cut out of
it from each of its frames on, as if one had come at that time. The recogniser answers each of them in full and with an
early stop, on the very same frames, with the model in MODEL_PATH. `ours` is what the command's own certainty takes;
`held_out`: the same for the channels that are kept out of the demo's dataset; `original` looks at all frames.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from benchmarks import _grabbing
from config import load
from data import wiring
from data.entities import Frame
from data.errors import StreamError
from model.calibration import Judged
from recognition import Recognizer
from recognition.answering import SURE
from recognition.verdict import Verdict
from tests.standin import CLIPS, Standin, World

_OTHERS = (0.9, 0.95, 0.999)  # what else one may ask for
_WINDOW = 15


class Grabbed:
    """A grabber of frames that are there already."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames

    def frames(self, source: str, at_most: int, ad_wait_s: float) -> Iterator[Frame]:
        """The first of them."""
        del source, ad_wait_s
        return islice(self._frames, at_most)

    def close(self) -> None:
        """There is nothing to close."""


class Remembering:
    """A classifier that judges each picture once."""

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier
        self._judged: dict[bytes, Judged] = {}
        self.classes = classifier.classes

    def judge(self, images: np.ndarray) -> Judged:
        """What it said of this picture before, or says now."""
        key = images.tobytes()
        if key not in self._judged:
            self._judged[key] = self._classifier.judge(images)
        return self._judged[key]


def main(argv: list[str]) -> int:
    """Measure and print; `argv` is empty."""
    del argv
    with Standin(World.load(CLIPS), preroll_s=0) as standin:
        settings = load().model_copy(update={"twitch_standin": standin.url})
        windows = dict(_windows(standin, settings))
    with Recognizer.load(settings) as recognizer:
        classifier: Any = Remembering(recognizer.classifier)
    streams = [Grabbed(_from(window, start)) for window in windows.values() for start in range(len(window))]
    held_out = np.repeat([login in standin.world.held_out for login in windows], _WINDOW)
    whole = [_answer(settings, stream, classifier, 1.0) for stream in streams]
    more: dict[str, float] = {"streams": len(streams)}
    for sure in (SURE, *_OTHERS):
        early = [_answer(settings, stream, classifier, sure) for stream in streams]
        frames = np.array([len(verdict.predictions) for verdict in early])
        differ = np.array([_said(one) != _said(other) for one, other in zip(early, whole, strict=True)])
        more |= {f"frames_{sure}": round(frames.mean(), 2), f"differ_{sure}": round(differ.mean(), 4)}
        more |= {f"held_out_frames_{sure}": round(frames[held_out].mean(), 2)}
        more |= {f"held_out_differ_{sure}": round(differ[held_out].mean(), 4)}
    return _grabbing.report("early_stop", more[f"frames_{SURE}"], _grabbing.FRAMES, "frames", **more)


def _windows(standin: Standin, settings: Any) -> Iterator[tuple[str, list[Frame]]]:
    """The login and the frames of each channel that gives a whole window."""
    with wiring.grabber(settings) as grabber:
        for channel in standin.world.channels:
            try:
                frames = list(grabber.frames(channel.login, _WINDOW))
            except StreamError:
                continue
            if len(frames) == _WINDOW:
                yield channel.login, frames


def _from(window: Sequence[Frame], start: int) -> list[Frame]:
    """A stream that begins there; the clips are shown over and over."""
    turned: Iterable[Frame] = [*window[start:], *window[:start]]
    return [Frame(number, frame.jpeg) for number, frame in enumerate(turned, 1)]


def _answer(settings: Any, grabbed: Any, classifier: Any, sure: float) -> Verdict:
    recognizer = Recognizer(settings, grabbed, lambda: classifier, over=threading.Event())
    return recognizer.recognize("stream", _grabbing.FRAMES, sure)


def _said(verdict: Verdict) -> int:
    """The game's id, or 0 for unknown: of unknown streams the closest game does not matter."""
    return verdict.game.id if verdict.known else 0


if __name__ == "__main__":
    sys.exit(main([]))
