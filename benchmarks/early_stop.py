"""How many frames an answer takes once it may stop early, and how often it then is another than that of all frames.

Of each channel of the stand-in the live window is grabbed once, fifteen frames; streams of 13 frames are cut out of
it from each of its frames on, as if one had come at that time. The recogniser answers each of them in full and with an
early stop, on the very same frames, with the model in MODEL_PATH. `ours` is what the command's own certainty takes;
`original` looks at all frames. `held_out`: the channels that are kept out of the demo's dataset; `switch`: streams that
go over to another game while they are looked at, after one frame to twelve.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import _grabbing
from config import load
from data import factories
from data.entities import Frame
from data.errors import StreamError
from data.video.sampling import bit_reversed
from model.inference.calibration import ScoredLogits
from recognition import Recognizer
from recognition.decision.verdict import Verdict
from recognition.modes.single import DEFAULT_CERTAINTY
from tests.standin import CLIPS, Standin, World

_OTHERS = (0.9, 0.95, 0.999)  # what else one may ask for
_WINDOW = 15
_FURTHER_ON = 5  # channels, which are listed by their games: no game has more


class Grabbed:
    """A grabber of frames that are there already, as JPEGs."""

    def __init__(self, jpegs: Sequence[bytes]) -> None:
        self._jpegs = jpegs

    def frames(self, source: str, max_frames: int, ad_wait_s: float, spread_first: bool) -> Iterator[Frame]:
        """The first of them, in the order in which a grabber gives them."""
        del source, ad_wait_s
        taken = self._jpegs[:max_frames]
        return (Frame(number, jpeg) for number, jpeg in enumerate(bit_reversed(taken) if spread_first else taken, 1))

    def close(self) -> None:
        """There is nothing to close."""


class Remembering:
    """A classifier that judges each picture once."""

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier
        self._judged: dict[bytes, ScoredLogits] = {}
        self.classes = classifier.classes

    def predict(self, images: np.ndarray) -> ScoredLogits:
        """What it said of this picture before, or says now."""
        key = images.tobytes()
        if key not in self._judged:
            self._judged[key] = self._classifier.predict(images)
        return self._judged[key]


def main(argv: list[str]) -> int:
    """Measure and print; `argv` is empty."""
    del argv
    with Standin(World.load(CLIPS), preroll_s=0) as standin:
        settings = load().model_copy(update={"twitch_standin": standin.url})
        windows = dict(_windows(standin, settings))
    with Recognizer.load(settings) as recognizer:
        classifier: Any = Remembering(recognizer.classifier)
    held_out = [window for login, window in windows.items() if login in standin.world.held_out]
    groups = {
        "": _steady([*windows.values()]),
        "held_out_": _steady(held_out),
        "switch_": _switching([*windows.values()]),
    }
    more: dict[str, float] = {f"{name}streams": len(streams) for name, streams in groups.items()}
    for name, streams in groups.items():
        whole = [_answer(settings, stream, classifier, 1.0) for stream in streams]
        for sure in (DEFAULT_CERTAINTY, *_OTHERS):
            early = [_answer(settings, stream, classifier, sure) for stream in streams]
            differ = [_said(one) != _said(other) for one, other in zip(early, whole, strict=True)]
            more[f"{name}frames_{sure}"] = round(float(np.mean([verdict.frames for verdict in early])), 2)
            more[f"{name}differ_{sure}"] = round(float(np.mean(differ)), 4)
    return _grabbing.report("early_stop", more[f"frames_{DEFAULT_CERTAINTY}"], _grabbing.FRAMES, "frames", **more)


def _windows(standin: Standin, settings: Any) -> Iterator[tuple[str, list[bytes]]]:
    """The login and the frames of each channel that gives a whole window."""
    with factories.make_grabber(settings) as grabber:
        for channel in standin.world.channels:
            try:
                jpegs = [frame.jpeg for frame in grabber.frames(channel.login, _WINDOW)]
            except StreamError:
                continue
            if len(jpegs) == _WINDOW:
                yield channel.login, jpegs


def _steady(windows: Sequence[list[bytes]]) -> list[Grabbed]:
    """Streams of each window from each of its frames on: the clips are shown over and over."""
    return [Grabbed([*window[start:], *window[:start]]) for window in windows for start in range(_WINDOW)]


def _switching(windows: Sequence[list[bytes]]) -> list[Grabbed]:
    """Streams that go over from each channel to one of another game, after each number of frames."""
    others = [*windows[_FURTHER_ON:], *windows[:_FURTHER_ON]]
    return [
        Grabbed([*one[:count], *other[count:]])
        for one, other in zip(windows, others, strict=True)
        for count in range(1, _grabbing.FRAMES)
    ]


def _answer(settings: Any, grabbed: Any, classifier: Any, sure: float) -> Verdict:
    recognizer = Recognizer(settings, grabbed, lambda: classifier, stop=threading.Event())
    return recognizer.recognize("stream", _grabbing.FRAMES, sure)


def _said(verdict: Verdict) -> int:
    """The game's id, or 0 for unknown: of unknown streams the closest game does not matter."""
    return verdict.game.id if verdict.known else 0


if __name__ == "__main__":
    sys.exit(main([]))
