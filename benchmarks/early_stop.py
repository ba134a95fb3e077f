"""Early stopping: the number of frames that a verdict needs, and how often it differs from that of all frames.

The fifteen frames of each channel's playlist are grabbed once. Streams of 13 frames are cut out of them, one from each
frame on. The recogniser classifies each stream in full and with early stopping, on equal frames, with the model in
MODEL_PATH. `ours` uses the command's default certainty; `original` uses all frames. `held_out`: the channels that are
kept out of the demo's dataset. `switch`: streams that switch to another game after one to twelve frames.
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

_OTHERS = (0.9, 0.95, 0.999)  # further certainties
_WINDOW = 15
_FURTHER_ON = 5  # channels; they are sorted by game, and no game has more of them


class Grabbed:
    """A fake grabber that yields given JPEGs."""

    def __init__(self, jpegs: Sequence[bytes]) -> None:
        self._jpegs = jpegs

    def frames(self, source: str, max_frames: int, ad_wait_s: float, spread_first: bool) -> Iterator[Frame]:
        """Yield the first `max_frames` frames, in the order in which a grabber yields them."""
        del source, ad_wait_s
        taken = self._jpegs[:max_frames]
        return (Frame(number, jpeg) for number, jpeg in enumerate(bit_reversed(taken) if spread_first else taken, 1))

    def close(self) -> None:
        """Do nothing."""


class Remembering:
    """A classifier that remembers its results."""

    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier
        self._judged: dict[bytes, ScoredLogits] = {}
        self.classes, self.calibration = classifier.classes, classifier.calibration

    def predict(self, images: np.ndarray) -> ScoredLogits:
        """Return the remembered result for this image, or compute it."""
        key = images.tobytes()
        if key not in self._judged:
            self._judged[key] = self._classifier.predict(images)
        return self._judged[key]


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code; `argv` is empty."""
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
    """Return the login and the frames of each channel that gives fifteen frames."""
    with factories.make_grabber(settings) as grabber:
        for channel in standin.world.channels:
            try:
                jpegs = [frame.jpeg for frame in grabber.frames(channel.login, _WINDOW)]
            except StreamError:
                continue
            if len(jpegs) == _WINDOW:
                yield channel.login, jpegs


def _steady(windows: Sequence[list[bytes]]) -> list[Grabbed]:
    """Yield a stream from each frame of each playlist on; clips play in a loop."""
    return [Grabbed([*window[start:], *window[:start]]) for window in windows for start in range(_WINDOW)]


def _switching(windows: Sequence[list[bytes]]) -> list[Grabbed]:
    """Yield streams that switch from each channel to one of another game, after each number of frames."""
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
    """Return the game's id, or 0 for unknown, whatever the closest game is."""
    return verdict.game.id if verdict.known else 0


if __name__ == "__main__":
    sys.exit(main([]))
