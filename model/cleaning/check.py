"""Check of a dataset (stub)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.entities import Game, StoredFrame
from model.cleaning.findings import CheckResult


def check(
    frames: Sequence[StoredFrame],
    features: np.ndarray,
    games: Sequence[Game],
    *,
    negatives: np.ndarray | None = None,
    thumbnails: np.ndarray | None = None,
) -> CheckResult:
    """Return the findings. features: float (n, d). negatives: features of screens without a game. (Stub.)"""
    raise NotImplementedError
