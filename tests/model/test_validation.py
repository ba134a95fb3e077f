"""What the trained model says of pictures that are none of its games'."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.video.decoder import decode, encode
from model.inference.classifier import Classifier
from tests.model.conftest import GAMES, SIZE, picture


def seen(*images: np.ndarray) -> np.ndarray:
    """The pictures after JPEG, as every frame comes: noise that never went through it is another kind of picture."""
    return np.stack([decode(encode(image, 95)) for image in images])


def black() -> np.ndarray:
    return np.zeros((SIZE, SIZE, 3), np.uint8)


def starting_soon() -> np.ndarray:
    """Words on a dark plate."""
    screen = np.full((240, 240, 3), 25, np.uint8)
    cv2.putText(screen, "STARTING", (20, 110), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (235, 235, 235), 4)
    cv2.putText(screen, "SOON", (70, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (235, 235, 235), 4)
    return cv2.resize(screen, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def desktop() -> np.ndarray:
    """A window and a bar on a plain ground."""
    screen = np.full((SIZE, SIZE, 3), (60, 60, 64), np.uint8)
    screen[5:24, 6:26] = 245
    screen[5:8, 6:26] = 120
    screen[-3:] = 30
    return screen


def another_game(seed: int) -> np.ndarray:
    """Noise as of the three, with two bright channels instead of one."""
    image = np.random.default_rng(seed).integers(0, 120, (SIZE, SIZE, 3), dtype=np.uint8)
    image[:, :, [0, 2]] += 110
    return image


@pytest.mark.parametrize("screen", [black, starting_soon, desktop], ids=lambda screen: screen.__name__)
def test_screens_without_a_game_are_unknown(trained, screen):
    """No picture like them was in the dataset."""
    assert not Classifier.load(trained.path).judge(seen(screen())).known.any()


def test_a_game_that_was_not_trained_on_is_unknown(trained):
    """Most of its frames, whereas most frames of the games that were are known: new ones, of no streamer seen."""
    classifier = Classifier.load(trained.path)
    strange = seen(*(another_game(seed) for seed in range(40)))
    familiar = seen(*(picture(game, 7_000 + seed) for game in GAMES for seed in range(20)))
    assert (~classifier.judge(strange).known).mean() > 0.5
    assert classifier.judge(familiar).known.mean() > 0.8
