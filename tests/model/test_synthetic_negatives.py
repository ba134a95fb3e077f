"""Screens that show no game."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import tensorflow as tf

from model.augmentation import synthetic_negatives

SIZE = 60
IMAGES = np.random.default_rng(5).integers(0, 256, (64, SIZE, SIZE, 3), dtype=np.uint8)


def made(images: np.ndarray = IMAGES, first: int = 0, seed: int = 1) -> np.ndarray:
    return graph(seed)(tf.constant(images), tf.range(first, first + len(images), dtype=tf.int64)).numpy()


@cache
def graph(seed: int) -> Callable[..., tf.Tensor]:
    """The function as tf.data runs it."""
    return tf.function(lambda batch, places: synthetic_negatives.batch(batch, places, seed), autograph=False)


def test_screens_are_of_many_kinds():
    """All differ from each other and from the pictures they may be made of; some are calm, some busy."""
    some = made()
    assert (some.shape, some.dtype) == (IMAGES.shape, np.uint8)
    assert len({screen.tobytes() for screen in some}) == len(some)
    assert all((screen != image).mean() > 0.5 for screen, image in zip(some, IMAGES, strict=True))
    busy = np.abs(np.diff(some.astype(int), axis=2)).mean(axis=(1, 2, 3))
    assert (busy < 5).sum() >= 5
    assert (busy > 30).sum() >= 3


def test_screens_follow_their_seed_and_place():
    """The same again from the same, others from others: what features that are made part by part rely on."""
    assert np.array_equal(made(), made())
    assert not np.array_equal(made(first=64), made())
    assert not np.array_equal(made(seed=2), made())
