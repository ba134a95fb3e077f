"""Unknown detection of a trained model: negatives, and games outside its classes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data.video.images import decode_jpeg, encode_jpeg
from model.inference.classifier import Classifier
from tests.model.conftest import GAMES, SIZE, picture


def compressed(*images: np.ndarray) -> np.ndarray:
    """Return the images after JPEG compression, as all frames are; uncompressed noise would be another domain."""
    return np.stack([decode_jpeg(encode_jpeg(image, 95)) for image in images])


def black() -> np.ndarray:
    return np.zeros((SIZE, SIZE, 3), np.uint8)


def starting_soon() -> np.ndarray:
    """Draw text on a dark background."""
    screen = np.full((240, 240, 3), 25, np.uint8)
    cv2.putText(screen, "STARTING", (20, 110), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (235, 235, 235), 4)
    cv2.putText(screen, "SOON", (70, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (235, 235, 235), 4)
    return cv2.resize(screen, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def desktop() -> np.ndarray:
    """Draw a window and a task bar on a plain background."""
    screen = np.full((SIZE, SIZE, 3), (60, 60, 64), np.uint8)
    screen[5:24, 6:26] = 245
    screen[5:8, 6:26] = 120
    screen[-3:] = 30
    return screen


def another_game(seed: int) -> np.ndarray:
    """Return noise like that of the trained games, with two bright channels instead of one."""
    image = np.random.default_rng(seed).integers(0, 120, (SIZE, SIZE, 3), dtype=np.uint8)
    image[:, :, [0, 2]] += 110
    return image


@pytest.mark.parametrize("screen", [black, starting_soon, desktop], ids=lambda screen: screen.__name__)
def test_negatives_are_unknown(trained, screen):
    """The dataset held no such image."""
    assert not Classifier.load(trained.path).predict(compressed(screen())).known.any()


def test_untrained_game_is_mostly_unknown(trained):
    """Most of its frames are unknown, while most new frames of trained games are known."""
    classifier = Classifier.load(trained.path)
    unknown = compressed(*(another_game(seed) for seed in range(40)))
    known = compressed(*(picture(game, 7_000 + seed) for game in GAMES for seed in range(20)))
    assert (~classifier.predict(unknown).known).mean() > 0.5
    assert classifier.predict(known).known.mean() > 0.8
