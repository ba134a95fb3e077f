"""Synthetic negatives."""

from __future__ import annotations

import numpy as np
import pytest

from model.augmentation.synthetic_negatives import synthetic_batch

SIZE = 60
IMAGES = np.random.default_rng(5).integers(0, 256, (64, SIZE, SIZE, 3), dtype=np.uint8)


def negatives(images: np.ndarray = IMAGES, first: int = 0, seed: int = 1) -> np.ndarray:
    return synthetic_batch(images, np.arange(first, first + len(images)), seed)


def test_synthetic_batch_has_many_kinds():
    """All of them differ from each other and from the frames they may be made of; some are calm, some busy."""
    batch = negatives()
    assert (batch.shape, batch.dtype) == (IMAGES.shape, np.uint8)
    assert len({negative.tobytes() for negative in batch}) == len(batch)
    assert all((negative != image).mean() > 0.5 for negative, image in zip(batch, IMAGES, strict=True))
    busy = np.abs(np.diff(batch.astype(int), axis=2)).mean(axis=(1, 2, 3))
    assert (busy < 5).sum() >= 5
    assert (busy > 30).sum() >= 3


@pytest.mark.parametrize("size", [32, 101, 1080])
def test_synthetic_batch_keeps_every_allowed_image_size(size):
    """IMG_SIZE is 32 to 1080; the frames are left as they were."""
    images = np.random.default_rng(1).integers(0, 256, (12, size, size, 3), np.uint8)
    original = images.copy()
    assert negatives(images).shape == images.shape
    assert np.array_equal(images, original)


def test_synthetic_batch_depends_on_seed_and_sample_ids():
    """Equal ones give equal images, others other images: features that are computed in parts rely on that."""
    assert np.array_equal(negatives(), negatives())
    assert not np.array_equal(negatives(first=64), negatives())
    assert not np.array_equal(negatives(seed=2), negatives())
