"""The folder's pictures as datasets."""

from __future__ import annotations

import numpy as np
import pytest

from data import video
from data.entities import StoredFrame
from model import images
from model.images import Images
from tests.footage import by_area
from tests.model.conftest import BLUE, GAMES, GREEN, RED, SIZE, picture


@pytest.fixture
def side(painted) -> Images:
    """Twelve frames of three games."""
    frames = [frame for game in GAMES for frame in painted.paint(game, "ann")]
    return Images(painted.root, frames, GAMES, SIZE, batch_size=5)


def gathered(dataset) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(dataset.as_numpy_iterator())
    return np.concatenate([pixels for pixels, _ in pairs]), np.concatenate([labels for _, labels in pairs])


def test_pixels_are_what_recognition_sees(side):
    """To the bit what OpenCV decodes, RGB, uint8: the model is asked about the pixels it was trained on."""
    pixels, labels = gathered(side.in_order())
    expected = [video.decode((side.root / frame.path).read_bytes()) for frame in side.frames]
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.stack(expected))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_other_sizes_are_scaled_by_area(painted):
    """A dataset of 240 pixels trains a model of 32: within rounding what area averaging in OpenCV gives."""
    frames = painted.paint(RED, "ann", 2, size=96)
    pixels, _ = gathered(Images(painted.root, frames, GAMES, SIZE).in_order())
    decoded = [video.decode((painted.root / frame.path).read_bytes()) for frame in frames]
    expected = np.stack([by_area(image, SIZE) for image in decoded])
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("cache_bytes", [images.CACHE_BYTES, 0])
def test_every_epoch_has_all_frames_in_a_new_order(side, cache_bytes):
    """Kept in memory or read again; and the same seed gives the same orders."""

    def epochs(seed):
        source = Images(side.root, side.frames, GAMES, SIZE, batch_size=12, cache_bytes=cache_bytes, shuffle_buffer=3)
        shuffled = source.shuffled(seed)
        return [gathered(shuffled)[0].reshape(12, -1).tolist() for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert sorted(first) == sorted(second) == sorted(gathered(side.in_order())[0].reshape(12, -1).tolist())
    assert epochs(1) == [first, second]
    assert epochs(2) != [first, second]


def test_unreadable_images_are_named_and_left_out(painted, caplog):
    """Cut off, empty, not an image, gone: one line each, and the others stay in order."""
    frames = painted.paint(BLUE, "ann", 7)
    whole = (painted.root / frames[0].path).read_bytes()
    for frame, content in zip(frames[1:4], (whole[: len(whole) // 2], b"", b"<html>"), strict=True):
        (painted.root / frame.path).write_bytes(content)
    (painted.root / frames[4].path).unlink()
    assert images.readable(painted.root, frames) == [frames[0], *frames[5:]]
    assert [f"ann-{n}.jpg" in line for n, line in zip((2, 3, 4, 5), caplog.messages, strict=True)] == [True] * 4


def test_many_unreadable_images_are_counted(painted, caplog):
    """Ten names are enough to find the cause."""
    frames = painted.paint(GREEN, "ann", 1)
    gone = [StoredFrame(GREEN.id, "ben", number) for number in range(1, 26)]
    assert images.readable(painted.root, frames + gone) == frames
    assert len(caplog.messages) == 11
    assert "15 more" in caplog.messages[-1]


def test_the_first_frames_of_a_side(side):
    """As many as asked for, or as there are."""
    assert side.first(3).shape == (3, SIZE, SIZE, 3)
    assert side.first(100).shape == (12, SIZE, SIZE, 3)
    assert np.abs(side.first(1)[0].astype(int) - picture(RED, int.from_bytes(b"ann1", "big"))).mean() < 30
