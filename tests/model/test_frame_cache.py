"""Frame cache."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import StoredFrame
from model.datasets.frame_cache import CacheLimits, build_cache

FRAMES = [StoredFrame(1, "ann", number) for number in range(1, 7)]
PIXELS = np.random.default_rng(3).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("limits", [(PIXELS.nbytes, 0), (0, PIXELS.nbytes)], ids=["memory", "disk"])
def test_cache_returns_the_pixels_in_any_order(tmp_path, limits):
    """In memory and on disk. The file has no name, so that a kill leaves none behind."""
    cache = build_cache(FRAMES, 8, [PIXELS[:4], PIXELS[4:]], CacheLimits(*limits, tmp_path))
    assert cache is not None
    rows = cache.rows([FRAMES[5], FRAMES[0]])
    assert np.array_equal(cache.take(rows), PIXELS[[5, 0]])
    assert not list(tmp_path.iterdir())


def test_cache_beyond_both_limits_decodes_nothing(tmp_path):
    """`build_cache` does not read the batches."""

    def batches():
        raise AssertionError
        yield PIXELS

    assert build_cache(FRAMES, 8, batches(), CacheLimits(PIXELS.nbytes - 1, PIXELS.nbytes - 1, tmp_path)) is None
