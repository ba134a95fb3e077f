"""The augmentation pipeline: frames as other streams might show them."""

from __future__ import annotations

import numpy as np
import pytest

from model.augmentation.pipeline import TRANSFORM_NAMES, Augmentation, augment_batch

SIZE = 96
# Smooth, so that what a transform draws or loses is visible: a gradient by channel, and a checkered field.
RAMP = np.linspace(40, 200, SIZE)
IMAGE = np.stack([np.tile(RAMP, (SIZE, 1)), np.tile(RAMP[:, None], (1, SIZE)), np.full((SIZE, SIZE), 120)], -1)
IMAGE[40:56, 40:56] = np.where(np.indices((16, 16)).sum(0)[..., None] % 2, 250, 10)
IMAGES = np.stack([IMAGE.astype(np.uint8)] * 8)  # (8, 96, 96, 3)
SAMPLE_IDS = np.arange(8)
WITHOUT_OTHERS = dict.fromkeys(TRANSFORM_NAMES, 0.5) | {"webcam": 0.0, "center": 0.0}  # these two show other images


def augmented(
    images: np.ndarray = IMAGES, sample_ids: np.ndarray = SAMPLE_IDS, seed: int = 7, **probabilities: float
) -> np.ndarray:
    return augment_batch(images, sample_ids, Augmentation(**probabilities, seed=seed))


@pytest.mark.parametrize("name", TRANSFORM_NAMES)
def test_transform_with_probability_1_changes_every_image_and_with_0_none(name):
    """With 1, all images differ from the original and most from each other; dtype and shape stay."""
    images = augmented(**{name: 1.0})
    assert images.dtype == np.uint8
    assert images.shape == IMAGES.shape
    assert all((image != IMAGE).any() for image in images)
    assert len({image.tobytes() for image in images}) > 4
    assert np.array_equal(augmented(**{name: 0.0}), IMAGES)


@pytest.mark.parametrize("size", [32, 100, 1080])
@pytest.mark.parametrize("name", TRANSFORM_NAMES)
def test_transform_keeps_every_allowed_image_size(name, size):
    """IMG_SIZE is 32 to 1080; the input is left as it was."""
    images = np.random.default_rng(1).integers(0, 256, (3, size, size, 3), np.uint8)
    original = images.copy()
    assert augmented(images, np.arange(3), **{name: 1.0}).shape == images.shape
    assert np.array_equal(images, original)


def test_transform_with_probability_applies_to_that_fraction_of_the_images():
    """Of 400 images about 120 carry a banner of 30 %."""
    images = np.zeros((400, 16, 16, 3), np.uint8)
    with_banner = augmented(images, np.arange(400), banner=0.3)
    assert 90 < sum(image.any() for image in with_banner) < 150


@pytest.mark.parametrize("name", ["webcam", "chat", "alert", "banner"])
def test_overlay_leaves_two_thirds_of_the_image(name):
    """A webcam, chat, an alert or a banner covers something, a third at most."""
    different = (augmented(**{name: 1.0}) != IMAGES).any(-1).mean(axis=(1, 2))
    assert (different > 0.01).all()
    assert (different < 0.34).all()


def test_center_leaves_the_rim():
    """A twentieth along each edge, where a HUD may lie, stays to the bit; most of the middle changes."""
    different = (augmented(center=1.0) != IMAGES).any(-1)
    rim = SIZE // 20 - 1
    inner = np.zeros((SIZE, SIZE), bool)
    inner[rim:-rim, rim:-rim] = True
    assert not different[:, ~inner].any()
    assert (different[:, 30:66, 30:66].mean(axis=(1, 2)) > 0.5).all()


def test_webcam_shows_parts_of_other_images():
    """Beside a pure red image, some blue images get pure red, which no texture has."""
    blue, red = (np.broadcast_to(np.array(color, np.uint8), (SIZE, SIZE, 3)) for color in ([0, 0, 255], [255, 0, 0]))
    images = augmented(np.stack([red, blue] * 8), np.arange(16), webcam=1.0)[1::2]
    pure = [(image == [255, 0, 0]).all(-1).sum() > 100 for image in images]
    assert any(pure)
    assert not all(pure)


def test_random_numbers_depend_on_seed_and_sample_id_only():
    """Alone, in a batch or in another order an image comes out the same: two processes share a batch."""
    batch = augmented(**WITHOUT_OTHERS)
    assert np.array_equal(batch, augmented(**WITHOUT_OTHERS))
    assert np.array_equal(augmented(IMAGES[3:4], SAMPLE_IDS[3:4], **WITHOUT_OTHERS)[0], batch[3])
    assert np.array_equal(augmented(sample_ids=SAMPLE_IDS[::-1], **WITHOUT_OTHERS)[::-1], batch)
    assert not np.array_equal(augmented(sample_ids=SAMPLE_IDS + 8, **WITHOUT_OTHERS), batch)
    assert not np.array_equal(augmented(seed=8, **WITHOUT_OTHERS), batch)


def test_transform_draws_its_own_random_numbers():
    """Another transform, switched on, changes nothing about where the banner lies."""
    banner = (augmented(banner=1.0) != IMAGES).any(-1)
    both = (augmented(banner=1.0, alert=1.0) != IMAGES).any(-1)
    assert both[banner].mean() > 0.99


def test_no_transform_mirrors_the_image():
    """The left of an image stays left, because a HUD is not symmetric."""
    halves = np.zeros((64, 64, 64, 3), np.uint8)
    halves[:, :, :32] = 200
    images = augmented(halves, np.arange(64), crop=1.0, color=1.0, blur=1.0, jpeg=1.0)
    assert (images[:, :, :20].mean(axis=(1, 2, 3)) > images[:, :, -20:].mean(axis=(1, 2, 3))).all()


def test_augmentation_with_zero_probabilities_is_false():
    """Its truth decides whether a backbone has to see each frame again."""
    assert not Augmentation(seed=3)
    assert Augmentation(jpeg=0.1)
