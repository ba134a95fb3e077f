"""What a head learns from: features made once."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from data.entities import StoredFrame
from data.errors import SettingsError
from model.augmentation.pipeline import Augmentation
from model.datasets.frame_cache import CacheLimits
from model.datasets.image_dataset import ImageDataset
from model.training.feature_cache import FeatureCache, HeadTrainingSet
from tests.model.conftest import BLUE, RED, SIZE

GAMES = (RED, BLUE)
CHANGES = Augmentation(color=1.0, seed=3)


@pytest.fixture
def pictures(painted) -> ImageDataset:
    """Twelve frames of two games."""
    frames = [frame for game in GAMES for frame in painted.paint(game, f"ann{game.id}", 6)]
    return ImageDataset(painted.root, frames, GAMES, SIZE, batch_size=4)


class Counting(keras.Model):
    """A backbone that averages, and remembers how many pictures it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def predict(self, batches, **_options):
        """The mean colour, float32 (n, 3)."""
        made = [images.mean(axis=(1, 2)) for images, _labels in batches.as_numpy_iterator()]
        self.seen += sum(map(len, made))
        return np.concatenate(made).astype(np.float32)


def silent(_line: str) -> None:
    """What `tell` is where nobody listens."""


def test_each_picture_is_seen_once(pictures):
    """As it is, in each view, and as a screen where it gives one; whoever asks again, in whatever order."""
    features, backbone = FeatureCache(pictures, silent, augmentation=CHANGES, views=2, screens=True), Counting()
    first = features.training_set(pictures.frames[:8], backbone)
    seen = backbone.seen
    assert seen == len(first.rows) > 3 * 8
    again = features.training_set(pictures.frames[7::-1], backbone)
    assert backbone.seen == seen
    assert sorted(again.rows.tolist()) == sorted(first.rows.tolist())
    features.training_set(pictures.frames, backbone)
    assert backbone.seen > seen


def test_values_are_those_of_the_frames_asked_for(pictures):
    """However they are mixed while they are made; and views differ from what they are of."""
    features, backbone = FeatureCache(pictures, silent, augmentation=CHANGES, views=1), Counting()
    learned = features.training_set(pictures.frames, backbone)
    values = features.values(learned.rows)
    plain = np.stack([image.mean(axis=(0, 1)) for image in pictures.head(12)])
    assert np.allclose(values[:12], plain, rtol=1e-3)
    assert list(learned.frames) == [*pictures.frames] * 2
    assert (np.abs(values[12:] - plain).max(axis=1) > 0.5).sum() >= 10
    assert np.array_equal(features.original_rows(pictures.frames, backbone), learned.rows[:12])


def test_without_changes_there_are_no_views(pictures):
    """AUGMENT=false: the frames as they are, and no more."""
    features, backbone = FeatureCache(pictures, silent, views=3), Counting()
    assert len(features.training_set(pictures.frames, backbone).rows) == backbone.seen == 12


def test_screens_weigh_half_of_all_else(pictures):
    """In what is drawn evenly by game, where they are one game more, and in what is drawn as it comes."""
    frames = [*pictures.frames, *(StoredFrame(0, frame.login, frame.number) for frame in pictures.frames[:3])]
    learned = HeadTrainingSet(np.arange(15), frames)
    assert learned.labels(GAMES).tolist() == [0] * 6 + [1] * 6 + [2] * 3
    assert learned.weights(np.ones(2), "games").tolist() == [1, 1, 0.5 * 2]
    assert learned.weights(np.ones(2), "none").tolist() == [1, 1, pytest.approx(0.5 * 12 / 3)]
    assert HeadTrainingSet(np.arange(12), pictures.frames).weights(np.array([2.0, 3.0]), "games").tolist() == [2, 3, 0]


def test_features_that_do_not_fit_name_the_setting(pictures, tmp_path):
    """Neither memory nor disk is given."""
    features = FeatureCache(pictures, silent, limits=CacheLimits(10, 10, tmp_path))
    with pytest.raises(SettingsError, match=r"^CACHE_DISK_GB"):
        features.original_rows(pictures.frames, Counting())
