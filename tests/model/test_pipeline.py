"""Pictures as other streamers might have shown them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from model.augmentation import pipeline
from model.augmentation.pipeline import NAMES, Augmentation

SIZE = 96
# Smooth, so that what is pasted on it, or lost of it, can be told: a gradient by channel, and a checkered field.
RAMP = np.linspace(40, 200, SIZE)
IMAGE = np.stack([np.tile(RAMP, (SIZE, 1)), np.tile(RAMP[:, None], (1, SIZE)), np.full((SIZE, SIZE), 120)], -1)
IMAGE[40:56, 40:56] = np.where(np.indices((16, 16)).sum(0)[..., None] % 2, 250, 10)
IMAGES = np.stack([IMAGE.astype(np.uint8)] * 8)
PLACES = np.arange(8)


def changed(images: np.ndarray = IMAGES, places: np.ndarray = PLACES, **shares: float) -> np.ndarray:
    augmentation = Augmentation(**{name: value for name, value in shares.items() if name != "seed"}, seed=7)

    @tf.function  # as tf.data runs it
    def graph(batch, where):
        return pipeline.batch(batch, where, augmentation)

    return graph(tf.constant(images), tf.constant(places)).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_each_change_is_made_and_can_be_turned_off(name):
    """With a share of 1 every picture differs, from the others too, and with 0 none; type and size stay."""
    made = changed(**{name: 1.0})
    assert made.dtype == np.uint8
    assert made.shape == IMAGES.shape
    assert all((picture != IMAGE).any() for picture in made)
    assert len({picture.tobytes() for picture in made}) > 4
    assert np.array_equal(changed(**{name: 0.0}), IMAGES)


def test_a_share_is_that_of_the_pictures():
    """Of 400 pictures about 120 carry what is laid over 30 %."""
    images = np.zeros((400, 16, 16, 3), np.uint8)
    made = changed(images, np.arange(400), banner=0.3)
    assert 90 < sum(picture.any() for picture in made) < 150


@pytest.mark.parametrize("name", ["webcam", "chat", "alert", "banner"])
def test_what_is_laid_over_leaves_most_of_the_picture_as_it_was(name):
    """A camera, chat, an alert or a banner covers something, a third at most."""
    different = (changed(**{name: 1.0}) != IMAGES).any(-1).mean(axis=(1, 2))
    assert (different > 0.01).all()
    assert (different < 0.34).all()


def test_another_scene_leaves_the_rim():
    """A twentieth along each edge, where a display may lie, stays to the bit; most of the middle is another."""
    different = (changed(scene=1.0) != IMAGES).any(-1)
    rim = SIZE // 20 - 1
    inner = np.zeros((SIZE, SIZE), bool)
    inner[rim:-rim, rim:-rim] = True
    assert not different[:, ~inner].any()
    assert (different[:, 30:66, 30:66].mean(axis=(1, 2)) > 0.5).all()


def test_a_camera_shows_parts_of_other_pictures():
    """Beside one of pure red, blue pictures get some red: more than a texture has."""
    blue, red = (np.broadcast_to(np.array(color, np.uint8), (SIZE, SIZE, 3)) for color in ([0, 0, 255], [255, 0, 0]))
    made = changed(np.stack([red, blue] * 8), np.arange(16), webcam=1.0)[1::2]
    pure = [(picture == [255, 0, 0]).all(-1).sum() > 100 for picture in made]
    assert any(pure)
    assert not all(pure)


def test_the_same_seed_and_place_give_the_same_picture():
    """Alone or in a batch, and not that of another place: what two processes that share a batch rely on."""
    every = dict.fromkeys(NAMES, 0.5) | {"webcam": 0.0, "scene": 0.0}  # they show others of the batch
    batch = changed(**every)
    assert np.array_equal(batch, changed(**every))
    assert np.array_equal(changed(IMAGES[3:4], PLACES[3:4], **every)[0], batch[3])
    assert not np.array_equal(changed(places=PLACES + 8, **every), batch)


def test_nothing_is_mirrored():
    """The left of a picture stays left: a display reads from one side."""
    halves = np.zeros((64, 64, 64, 3), np.uint8)
    halves[:, :, :32] = 200
    made = changed(halves, np.arange(64), crop=1.0, color=1.0, blur=1.0, jpeg=1.0)
    assert (made[:, :, :20].mean(axis=(1, 2, 3)) > made[:, :, -20:].mean(axis=(1, 2, 3))).all()


def test_a_model_of_no_changes_is_false():
    """What decides whether a backbone has to see each picture again."""
    assert not Augmentation(seed=3)
    assert Augmentation(jpeg=0.1)
