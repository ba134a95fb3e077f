"""Image dataset."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image

from data.entities import StoredFrame
from data.errors import ModelError
from data.video.images import decode_jpeg
from model.augmentation.pipeline import Augmentation
from model.datasets import image_files
from model.datasets.frame_cache import CacheLimits
from model.datasets.sampler import EpochSampler
from model.training.hardware import tensorflow_errors
from tests.model.conftest import BLUE, GAMES, GREEN, RED, SIZE, picture
from tests.model.lazily import ImageDataset, feature_batches, image_dataset
from tests.sample_images import resize_by_area


@pytest.fixture
def dataset(painted) -> ImageDataset:
    """Return twelve frames of three games."""
    frames = [frame for game in GAMES for frame in painted.paint(game, "ann")]
    return ImageDataset(painted.root, frames, GAMES, SIZE, batch_size=5)


def gathered(dataset) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(dataset.as_numpy_iterator())
    return np.concatenate([pixels for pixels, _ in pairs]), np.concatenate([labels for _, labels in pairs])


def test_pixels_equal_those_that_recognition_sees(dataset):
    """uint8 RGB, bit for bit what OpenCV decodes."""
    pixels, labels = gathered(dataset.batches())
    expected = [decode_jpeg((dataset.root / frame.path).read_bytes()) for frame in dataset.frames]
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.stack(expected))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_frames_of_another_size_are_resized_by_area(painted):
    """96 pixels become 32, within rounding as OpenCV's area averaging does it."""
    frames = painted.paint(RED, "ann", 2, size=96)
    pixels, _ = gathered(ImageDataset(painted.root, frames, GAMES, SIZE).batches())
    decoded = [decode_jpeg((painted.root / frame.path).read_bytes()) for frame in frames]
    expected = np.stack([resize_by_area(image, SIZE) for image in decoded])
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.fixture(params=[(2**30, 0), (0, 2**30), (0, 0)], ids=["memory", "disk", "files"])
def maybe_cached(request, dataset, tmp_path) -> ImageDataset:
    """Return the same frames, cached in memory, on disk or not at all."""
    memory, disk = request.param
    return dataset.with_cache(CacheLimits(memory, disk, tmp_path))


def as_bytes(images: np.ndarray) -> list[bytes]:
    """Return the pixels of each image, which compare faster than arrays."""
    return [image.tobytes() for image in images]


def epochs(source: ImageDataset, count: int, seed: int = 1, **options) -> list[list[bytes]]:
    """Return the pixels of the images of the first epochs."""
    sampler = EpochSampler(source.frames, source.batch_size, seed, balance="none")
    batches = source.training_batches(sampler, **options).take(count * sampler.steps).as_numpy_iterator()
    pictures = np.concatenate([batch[0] for batch in batches]).reshape(count, 12, -1)
    return [as_bytes(epoch) for epoch in pictures]


def test_cache_does_not_change_the_pixels(dataset, maybe_cached):
    """A cache in memory, one on disk and none give what the files contain."""
    for ours, theirs in zip(gathered(maybe_cached.batches()), gathered(dataset.batches()), strict=True):
        assert np.array_equal(ours, theirs)


def test_every_epoch_has_all_frames_in_another_order(dataset, maybe_cached):
    """The seed determines the orders, also when a training run begins with a later epoch."""
    first, second = epochs(maybe_cached, 2)
    assert first != second
    assert sorted(first) == sorted(second) == sorted(as_bytes(gathered(dataset.batches())[0]))
    assert epochs(maybe_cached, 2) == [first, second]
    assert epochs(maybe_cached, 1, first_epoch=1) == [second]
    assert epochs(maybe_cached, 2, seed=2) != [first, second]


def test_augmentation_differs_by_epoch_and_repeats_by_seed(maybe_cached):
    """Two epochs have no image in common; another run has the same ones, cached or not."""
    augmentation = Augmentation(color=1.0, seed=4)
    first, second = epochs(maybe_cached, 2, augmentation=augmentation)
    assert not set(first) & set(second)
    assert epochs(maybe_cached, 1, first_epoch=1, augmentation=augmentation) == [second]


def test_weights_follow_the_labels(dataset):
    """The third value is the weight of the class, for images and for features."""
    weights, sampler = np.array([1.0, 2.0, 4.0], np.float32), EpochSampler(dataset.frames, 5, 1)
    for batches in (
        dataset.training_batches(sampler, weights=weights),
        feature_batches(np.eye(12, dtype=np.float32).__getitem__, dataset.labels, sampler, 0, weights),
    ):
        _, labels, weighed = next(batches.as_numpy_iterator())
        assert weighed.tolist() == weights[labels].tolist()


def test_undecodable_frames_are_named_and_skipped(painted, caplog):
    """Truncated, empty, not an image, missing: one line each, and the others keep their order."""
    frames = painted.paint(BLUE, "ann", 7)
    whole = (painted.root / frames[0].path).read_bytes()
    for frame, content in zip(frames[1:4], (whole[: len(whole) // 2], b"", b"<html>"), strict=True):
        (painted.root / frame.path).write_bytes(content)
    (painted.root / frames[4].path).unlink()
    assert image_dataset.decodable_frames(painted.root, frames, SIZE) == [frames[0], *frames[5:]]
    assert [f"ann-{n}.jpg" in line for n, line in zip((2, 3, 4, 5), caplog.messages, strict=True)] == [True] * 4


def test_many_undecodable_frames_are_counted(painted, caplog):
    """Ten names are enough to find the cause."""
    frames = painted.paint(GREEN, "ann", 1)
    gone = [StoredFrame(GREEN.id, "ben", number) for number in range(1, 26)]
    assert image_dataset.decodable_frames(painted.root, frames + gone, SIZE) == frames
    assert len(caplog.messages) == 11
    assert "15 more" in caplog.messages[-1]


def test_resized_frames_are_counted_in_one_line(painted, caplog):
    """Frames of another IMG_SIZE, which a training run would otherwise resize unnoticed."""
    frames = painted.paint(RED, "ann", 3) + painted.paint(BLUE, "ben", 2, size=2 * SIZE)
    assert image_dataset.decodable_frames(painted.root, frames, SIZE) == frames
    assert caplog.messages == ["2 of 5 frames are not 32 x 32 pixels and are resized (IMG_SIZE)."]


def turned_jpeg(orientation: int) -> bytes:
    """Return a JPEG, red at the left and blue at the right, with an EXIF orientation."""
    image = Image.new("RGB", (SIZE, SIZE), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, SIZE // 2, SIZE))
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


@pytest.mark.parametrize(("orientation", "red"), [(1, "left"), (3, "right"), (6, "top"), (8, "bottom")])
def test_exif_orientation_counts_in_training_as_in_evaluation(painted, orientation, red):
    """Both see the image as a viewer shows it."""
    (frame,) = painted.paint(RED, "ann", 1)
    path = painted.root / frame.path
    path.write_bytes(turned_jpeg(orientation))
    pixels, _ = gathered(ImageDataset(painted.root, [frame], GAMES, SIZE).batches())
    assert np.array_equal(pixels[0], image_files.read_image(path, SIZE))
    middle, near, far = SIZE // 2, SIZE // 4, 3 * SIZE // 4
    row, column = {"left": (middle, near), "right": (middle, far), "top": (near, middle), "bottom": (far, middle)}[red]
    assert pixels[0, row, column, 0] > 200


def test_frame_that_becomes_unreadable_counts_as_black(dataset, caplog):
    """It was decodable at the start: it costs itself, in one line, not hours of training; a lost disk ends the run."""
    batches = dataset.batches()
    (dataset.root / dataset.frames[3].path).unlink()
    for _ in range(2):
        pixels, _ = gathered(batches)
        assert [bool(image.any()) for image in pixels] == [True] * 3 + [False] + [True] * 8
    assert len(caplog.messages) == 1
    assert "ann-4.jpg became unreadable and counts as a black image" in caplog.messages[0]
    shutil.rmtree(dataset.root)
    with (
        pytest.raises(ModelError, match=r"more than 10 frames became unreadable.* Do that\."),
        tensorflow_errors("Do that."),
    ):
        gathered(batches)


def test_head_returns_the_first_images(dataset):
    """As many as requested, or as there are."""
    assert dataset.first_images(3).shape == (3, SIZE, SIZE, 3)
    assert dataset.first_images(100).shape == (12, SIZE, SIZE, 3)
    assert np.abs(dataset.first_images(1)[0].astype(int) - picture(RED, int.from_bytes(b"ann1", "big"))).mean() < 30
