"""The folder's pictures as datasets."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import StoredFrame
from data.video.images import decode_jpeg
from model.augmentation.pipeline import Augmentation
from model.datasets import image_dataset
from model.datasets.frame_cache import CacheLimits
from model.datasets.image_dataset import ImageDataset, feature_batches
from model.datasets.sampler import EpochSampler
from tests.model.conftest import BLUE, GAMES, GREEN, RED, SIZE, picture
from tests.sample_images import by_area


@pytest.fixture
def side(painted) -> ImageDataset:
    """Twelve frames of three games."""
    frames = [frame for game in GAMES for frame in painted.paint(game, "ann")]
    return ImageDataset(painted.root, frames, GAMES, SIZE, batch_size=5)


def gathered(dataset) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(dataset.as_numpy_iterator())
    return np.concatenate([pixels for pixels, _ in pairs]), np.concatenate([labels for _, labels in pairs])


def test_pixels_are_what_recognition_sees(side):
    """To the bit what OpenCV decodes, RGB, uint8: the model is asked about the pixels it was trained on."""
    pixels, labels = gathered(side.batches())
    expected = [decode_jpeg((side.root / frame.path).read_bytes()) for frame in side.frames]
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.stack(expected))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_other_sizes_are_scaled_by_area(painted):
    """A dataset of 240 pixels trains a model of 32: within rounding what area averaging in OpenCV gives."""
    frames = painted.paint(RED, "ann", 2, size=96)
    pixels, _ = gathered(ImageDataset(painted.root, frames, GAMES, SIZE).batches())
    decoded = [decode_jpeg((painted.root / frame.path).read_bytes()) for frame in frames]
    expected = np.stack([by_area(image, SIZE) for image in decoded])
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.fixture(params=[(2**30, 0), (0, 2**30), (0, 0)], ids=["memory", "disk", "files"])
def kept(request, side, tmp_path) -> ImageDataset:
    """The same, decoded beforehand or not."""
    memory, disk = request.param
    return side.with_cache(CacheLimits(memory, disk, tmp_path))


def epochs(source: ImageDataset, count: int, seed: int = 1, **options) -> list[list]:
    """The first epochs of a shuffled side, as lists of pictures."""
    order = EpochSampler(source.frames, source.batch_size, seed, balance="none")
    batches = source.training_batches(order, **options).take(count * order.steps).as_numpy_iterator()
    pictures = np.concatenate([batch[0] for batch in batches]).reshape(count, 12, -1)
    return [epoch.tolist() for epoch in pictures]


def test_kept_or_not_the_pixels_are_the_same(side, kept):
    """A cache in memory, one on disk and none give what the files hold."""
    for ours, theirs in zip(gathered(kept.batches()), gathered(side.batches()), strict=True):
        assert np.array_equal(ours, theirs)


def test_every_epoch_has_all_frames_in_a_new_order(side, kept):
    """The same seed gives the same orders, another one others; a training that begins later gets the later ones."""
    first, second = epochs(kept, 2)
    assert first != second
    assert sorted(first) == sorted(second) == sorted(gathered(side.batches())[0].reshape(12, -1).tolist())
    assert epochs(kept, 2) == [first, second]
    assert epochs(kept, 1, first_epoch=1) == [second]
    assert epochs(kept, 2, seed=2) != [first, second]


def test_changed_pictures_are_changed_anew_and_yet_the_same_again(kept):
    """Two epochs have no picture in common; another run has the same ones, from wherever they are read."""
    augmentation = Augmentation(color=1.0, seed=4)
    first, second = epochs(kept, 2, augmentation=augmentation)
    assert not {tuple(p) for p in first} & {tuple(p) for p in second}
    assert epochs(kept, 1, first_epoch=1, augmentation=augmentation) == [second]


def test_weights_go_with_the_labels(side):
    """Each picture's third value is its class's weight; of arrays as of pictures."""
    weights, order = np.array([1.0, 2.0, 4.0], np.float32), EpochSampler(side.frames, 5, 1)
    for batches in (
        side.training_batches(order, weights=weights),
        feature_batches(np.eye(12, dtype=np.float32).__getitem__, side.labels, order, 0, weights),
    ):
        _, labels, weighed = next(batches.as_numpy_iterator())
        assert weighed.tolist() == weights[labels].tolist()


def test_unreadable_images_are_named_and_left_out(painted, caplog):
    """Cut off, empty, not an image, gone: one line each, and the others stay in order."""
    frames = painted.paint(BLUE, "ann", 7)
    whole = (painted.root / frames[0].path).read_bytes()
    for frame, content in zip(frames[1:4], (whole[: len(whole) // 2], b"", b"<html>"), strict=True):
        (painted.root / frame.path).write_bytes(content)
    (painted.root / frames[4].path).unlink()
    assert image_dataset.decodable_frames(painted.root, frames) == [frames[0], *frames[5:]]
    assert [f"ann-{n}.jpg" in line for n, line in zip((2, 3, 4, 5), caplog.messages, strict=True)] == [True] * 4


def test_many_unreadable_images_are_counted(painted, caplog):
    """Ten names are enough to find the cause."""
    frames = painted.paint(GREEN, "ann", 1)
    gone = [StoredFrame(GREEN.id, "ben", number) for number in range(1, 26)]
    assert image_dataset.decodable_frames(painted.root, frames + gone) == frames
    assert len(caplog.messages) == 11
    assert "15 more" in caplog.messages[-1]


def test_the_first_frames_of_a_side(side):
    """As many as asked for, or as there are."""
    assert side.head(3).shape == (3, SIZE, SIZE, 3)
    assert side.head(100).shape == (12, SIZE, SIZE, 3)
    assert np.abs(side.head(1)[0].astype(int) - picture(RED, int.from_bytes(b"ann1", "big"))).mean() < 30
