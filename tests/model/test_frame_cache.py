"""Decoded frames that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import StoredFrame
from model.datasets.frame_cache import CacheLimits, build_cache

FRAMES = [StoredFrame(1, "ann", number) for number in range(1, 7)]
PIXELS = np.random.default_rng(3).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("limits", [(PIXELS.nbytes, 0), (0, PIXELS.nbytes)], ids=["memory", "disk"])
def test_what_was_decoded_is_given_back(tmp_path, limits):
    """By frame, in any order; and no file has a name on the disk, so that a kill leaves none."""
    cache = build_cache(FRAMES, 8, [PIXELS[:4], PIXELS[4:]], CacheLimits(*limits, tmp_path))
    assert cache is not None
    rows = cache.rows([FRAMES[5], FRAMES[0]])
    assert np.array_equal(cache.take(rows), PIXELS[[5, 0]])
    assert not list(tmp_path.iterdir())


def test_what_exceeds_both_limits_is_not_even_decoded(tmp_path):
    """The batches are never asked for."""

    def batches():
        raise AssertionError
        yield PIXELS

    assert build_cache(FRAMES, 8, batches(), CacheLimits(PIXELS.nbytes - 1, PIXELS.nbytes - 1, tmp_path)) is None
