"""Change detector on an hour of each game: false changes, and frames until a switch is reported.

    python -m benchmarks.watch_steadiness [--minutes 60] [--seed N]

The model in MODEL_PATH classifies frames of the clips that the demo's dataset does not contain, drawn at random and
augmented by model.augmentation.pipeline. Once a minute comes a loading screen of one to five frames, dark or of one
colour, often with a bar. There is no stream and no server. Prints one JSON object:

    hours, frames            of all games together
    wrong, unknown           fraction of the game's frames that are classified as another game, or as unknown
    screens                  their number, and the fraction that is unknown
    false                    reported changes to another game or to unknown without a switch
    switches                 from one game to another: number, found, and frames until the report (one in two seconds):
                             median, worst, and the fraction that took at most three, four and five frames
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import config
from data.entities import Game
from data.filters.frame_filter import is_flat
from data.video.images import decode_jpeg, encode_jpeg
from data.video.recording import sample_recording
from model.augmentation.pipeline import Augmentation, augment_batch
from model.inference.classifier import ONNX_FILE, Classifier
from model.inference.probabilities import softmax
from recognition.decision.change_detector import ChangeDetector
from tests.standin import CLIPS, World
from tests.standin.world import Channel

_LOOKS = {"webcam": 0.3, "chat": 0.2, "alert": 0.2, "banner": 0.15, "blur": 0.3, "jpeg": 0.3, "color": 0.3}
_BATCH = 50
_MINUTE = 30  # frames
_LONGEST = 5  # frames of a loading screen
_COLOURS = (0, 0, 0), (18, 18, 24), (120, 30, 160), (240, 240, 240)
_FOUND = 15  # frames in which a switch should be found
_SWITCHES = 500


@dataclass(frozen=True)
class Hour:
    """Predictions for a game's frames in order: probabilities (n, classes), known (n,), screens (n,)."""

    game: int
    probabilities: np.ndarray
    known: np.ndarray
    screens: np.ndarray

    def wrong(self, classes: tuple[Game, ...]) -> np.ndarray:
        """Return which of the game's frames are classified as another game, bool (n,)."""
        ids = np.array([game.id for game in classes])
        return self.known & ~self.screens & (ids[self.probabilities.argmax(axis=1)] != self.game)


def main(argv: list[str] | None = None) -> int:
    """Classify, detect changes, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Watch made-up hours of games.")
    parser.add_argument("--minutes", type=int, default=60, help="of each game (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all chances (%(default)s)")
    args = parser.parse_args(argv)
    folder = config.load().model_path
    if not (folder / ONNX_FILE).is_file():
        parser.error(f"MODEL_PATH: {folder / ONNX_FILE} is missing")
    classifier, world = Classifier.load(folder), World.load(CLIPS)
    channels = [channel for channel in world.channels if channel.login in world.held_out]
    count = -(-args.minutes * _MINUTE // _BATCH) * _BATCH  # whole batches
    hours = [_hour(classifier, channel, count, args.seed + number) for number, channel in enumerate(channels)]
    print(json.dumps({"name": "watch_steadiness", **_summary(hours, classifier.classes, args.seed)}), flush=True)
    return 0


def _hour(classifier: Classifier, channel: Channel, count: int, seed: int) -> Hour:
    """Return the model's predictions for `count` frames of a channel's clip."""
    chance = random.Random(seed)
    with channel.file.open("rb") as file:
        images = [
            decode_jpeg(jpeg) for jpeg in sample_recording(file, 0.1, None, classifier.img_size, 95, spread_first=False)
        ]
    screens = _screens(count, chance)
    looks = Augmentation(**_LOOKS, seed=seed)
    probabilities, known = [], []
    for start in range(0, count, _BATCH):
        places = np.arange(start, start + _BATCH)
        pictures = augment_batch(np.stack([chance.choice(images) for _ in places]), places, looks)
        for index in np.flatnonzero(screens[places]):
            pictures[index] = _screen(classifier.img_size, chance)
        judged = classifier.predict(pictures)
        probabilities.append(softmax(judged.logits))
        known.append(judged.known & [not is_flat(encode_jpeg(picture, 95)) for picture in pictures])
    return Hour(channel.game_id, np.concatenate(probabilities), np.concatenate(known), screens)


def _screens(count: int, chance: random.Random) -> np.ndarray:
    """Return which frames are loading screens, bool (count,)."""
    screens = np.zeros(count, bool)
    for minute in range(0, count, _MINUTE):
        start = minute + chance.randrange(_MINUTE - _LONGEST - 1)
        screens[start : start + chance.randint(1, _LONGEST)] = True
    return screens


def _screen(size: int, chance: random.Random) -> np.ndarray:
    """Return a loading screen, uint8 (size, size, 3)."""
    picture = np.full((size, size, 3), chance.choice(_COLOURS), np.uint8)
    if chance.random() < 1 / 2:
        picture[size * 8 // 10 : size * 8 // 10 + 8, size // 4 : chance.randint(size // 3, size * 3 // 4)] = 160
    return picture


def _summary(hours: list[Hour], classes: tuple[Game, ...], seed: int) -> dict[str, Any]:
    screens, known = (np.concatenate([getattr(hour, name) for hour in hours]) for name in ("screens", "known"))
    frames = len(known)
    false = [(change, hour.game) for hour in hours for change in _false(hour, classes)]
    delays = sorted(_delays(hours, classes, random.Random(seed)))
    found = [delay for delay in delays if delay <= _FOUND]
    return {
        "hours": round(frames / 60 / _MINUTE, 1),
        "frames": frames,
        "wrong": round(float(sum(hour.wrong(classes).sum() for hour in hours) / (~screens).sum()), 4),
        "unknown": round(float((~known[~screens]).mean()), 4),
        "screens": {"shown": int(screens.sum()), "unknown": round(float((~known[screens]).mean()), 4)},
        "false": {
            "to another game": sum(change is not None for change, _ in false),
            "to unknown": sum(change is None for change, _ in false),
        },
        "switches": {
            "made": len(delays),
            "found": len(found),
            "frames": {"median": statistics.median(delays), "worst": found[-1]},
            **{f"within {n}": round(sum(delay <= n for delay in delays) / len(delays), 3) for n in (3, 4, 5)},
        },
    }


def _false(hour: Hour, classes: tuple[Game, ...]) -> Iterator[Game | None]:
    """Return the wrong game of each false change."""
    window = ChangeDetector(classes)
    for probabilities, known in zip(hour.probabilities, hour.known, strict=True):
        if window.add_frame(probabilities, bool(known)) and (window.game is None or window.game.id != hour.game):
            yield window.game


def _delays(hours: list[Hour], classes: tuple[Game, ...], chance: random.Random) -> Iterator[int]:
    """Return the frames until the report for a switch between each two games; more than _FOUND if there is none."""
    pairs = list(itertools.permutations(hours, 2))
    for before, after in chance.choices(pairs, k=_SWITCHES):
        window, start = ChangeDetector(classes), chance.randrange(len(after.known) - _FOUND)
        for probabilities, known in zip(before.probabilities[:30], before.known[:30], strict=True):
            window.add_frame(probabilities, bool(known))
        here = slice(start, start + _FOUND)
        yield 1 + next(
            (
                number
                for number, (probabilities, known) in enumerate(
                    zip(after.probabilities[here], after.known[here], strict=True)
                )
                if window.add_frame(probabilities, bool(known)) and window.game and window.game.id == after.game
            ),
            _FOUND,
        )


if __name__ == "__main__":
    sys.exit(main())
