"""Feature cache of a frozen backbone."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import StoredFrame
from data.errors import SettingsError
from model.augmentation.pipeline import Augmentation
from model.datasets.frame_cache import CacheLimits
from tests.model.conftest import BLUE, RED, SIZE
from tests.model.lazily import FeatureCache, HeadTrainingSet, ImageDataset

GAMES = (RED, BLUE)
AUGMENTATION = Augmentation(color=1.0, seed=3)


@pytest.fixture
def dataset(painted) -> ImageDataset:
    """Return twelve frames of two games."""
    frames = [frame for game in GAMES for frame in painted.paint(game, f"ann{game.id}", 6)]
    return ImageDataset(painted.root, frames, GAMES, SIZE, batch_size=4)


class CountingBackbone:
    """A backbone that averages the pixels and counts the images that it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def predict(self, batches, **_options):
        """Return the mean colour, float32 (n, 3)."""
        means = [images.mean(axis=(1, 2)) for images, _labels in batches.as_numpy_iterator()]
        self.seen += sum(map(len, means))
        return np.concatenate(means).astype(np.float32)


def no_log(_line: str) -> None:
    """Discard progress lines."""


def test_backbone_sees_each_view_of_a_frame_once(dataset):
    """Originals, views and synthetic negatives are computed once, whatever the order of later requests."""
    cache, backbone = (
        FeatureCache(dataset, no_log, augmentation=AUGMENTATION, views=2, synthetic_negatives=True),
        CountingBackbone(),
    )
    first = cache.training_set(dataset.frames[:8], backbone)
    seen = backbone.seen
    assert seen == len(first.rows) > 3 * 8
    again = cache.training_set(dataset.frames[7::-1], backbone)
    assert backbone.seen == seen
    assert sorted(again.rows.tolist()) == sorted(first.rows.tolist())
    cache.training_set(dataset.frames, backbone)
    assert backbone.seen > seen


def test_values_belong_to_the_requested_frames(dataset):
    """The computation shuffles frames, the results do not; views differ from their originals."""
    cache, backbone = FeatureCache(dataset, no_log, augmentation=AUGMENTATION, views=1), CountingBackbone()
    training_set = cache.training_set(dataset.frames, backbone)
    values = cache.values(training_set.rows)
    originals = np.stack([image.mean(axis=(0, 1)) for image in dataset.first_images(12)])
    assert np.allclose(values[:12], originals, rtol=1e-3)
    assert list(training_set.frames) == [*dataset.frames] * 2
    assert (np.abs(values[12:] - originals).max(axis=1) > 0.5).sum() >= 10
    assert np.array_equal(cache.original_rows(dataset.frames, backbone), training_set.rows[:12])


def test_without_augmentation_there_are_no_views(dataset):
    """AUGMENT=false caches the originals only."""
    cache, backbone = FeatureCache(dataset, no_log, views=3), CountingBackbone()
    assert len(cache.training_set(dataset.frames, backbone).rows) == backbone.seen == 12


def test_all_synthetic_negatives_weigh_half_as_much_as_all_games(dataset):
    """Balanced over games, where synthetic negatives are one game more, and unbalanced."""
    frames = [*dataset.frames, *(StoredFrame(0, frame.login, frame.number) for frame in dataset.frames[:3])]
    training_set = HeadTrainingSet(np.arange(15), frames)
    assert training_set.labels(GAMES).tolist() == [0] * 6 + [1] * 6 + [2] * 3
    assert training_set.class_weights(np.ones(2), "games").tolist() == [1, 1, 0.5 * 2]
    assert training_set.class_weights(np.ones(2), "none").tolist() == [1, 1, pytest.approx(0.5 * 12 / 3)]
    assert HeadTrainingSet(np.arange(12), dataset.frames).class_weights(np.array([2.0, 3.0]), "games").tolist() == [
        2,
        3,
        0,
    ]


def test_features_beyond_the_limits_name_the_setting(dataset, tmp_path):
    """Neither memory nor disk suffices."""
    cache = FeatureCache(dataset, no_log, limits=CacheLimits(10, 10, tmp_path))
    with pytest.raises(SettingsError, match=r"^CACHE_DISK_GB"):
        cache.original_rows(dataset.frames, CountingBackbone())
