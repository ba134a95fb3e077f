"""Features of a check: what is left out, and what is not stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from data.entities import StoredFrame
from data.errors import ModelError
from data.storage.features import FeatureStore
from model.training.frame_features import StoredFeatures, to_float16


def test_frames_deleted_while_features_are_computed_are_left_out(tmp_path: Path):
    """A frame without a vector or a thumbnail would be compared as a point of zeros."""
    frames = [StoredFrame(7, "ann", n, hashlib.sha256(bytes([n])).digest()) for n in (1, 2, 3)]
    hashes = [frame.sha256 for frame in frames]
    vectors, thumbnails = FeatureStore(tmp_path / "vectors"), FeatureStore(tmp_path / "thumbnails")
    vectors.add(hashes[:2], np.ones((2, 4), np.float16))
    thumbnails.add(hashes[1:], np.ones((2, 9), np.uint8))
    assert StoredFeatures(frames, vectors, thumbnails, {}).present() == [frames[1]]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6], ids=["NaN", "infinite", "too large"])
def test_features_that_are_not_finite_are_an_error(value: float):
    """Weights of a diverged training are named as the cause, before anything is stored."""
    with pytest.raises(ModelError, match="INITIAL_WEIGHTS"):
        to_float16(np.array([[1, value]], np.float32))
