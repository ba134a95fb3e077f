"""Comparison space: features projected on few axes, and whitened by what varies within a stream. numpy only.

Frames of one stream share the game, the HUD and the streamer; what still varies among them is scenery, which should
count little. Whitening needs to know the streams, never the labels, so that wrong labels cannot bend the space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

DIMENSIONS = 128
SAMPLE = 4000  # frames that the axes are computed from
_OVERSAMPLING = 16  # more axes than asked for, which makes those asked for accurate
_POWER_STEPS = 2  # as many as the source recommends for slowly falling singular values
# Limits of the whitening: chosen on planted noise in 44 streams of 14 free games, seeds below 100.
_WINDOW = 16  # frames in a row
_MAX_VARIANCE = 6.0  # of such a row, times the median
_SHRINKAGE = 0.3  # of the covariance towards a sphere: streams are few


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Principal axes of a sample of features."""

    mean: np.ndarray  # float32 (d,)
    axes: np.ndarray  # float32 (d, k)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return the coordinates of features (n, d), float32 (n, k)."""
        return (features.astype(np.float32) - self.mean) @ self.axes


def fit_projection(sample: np.ndarray, dimensions: int = DIMENSIONS) -> Projection:
    """Return the principal axes of `sample`, float (m, d), by a randomised singular value decomposition.

    Source: Halko, Martinsson and Tropp, SIAM Review 53 (2011), algorithm 4.4.
    """
    values = sample.astype(np.float32)
    mean = values.mean(axis=0)
    values -= mean
    k = min(dimensions, *values.shape)
    rng = np.random.default_rng(0)
    basis = values @ rng.standard_normal((values.shape[1], min(k + _OVERSAMPLING, *values.shape)), np.float32)
    for _ in range(_POWER_STEPS):
        basis = values @ (values.T @ np.linalg.qr(basis)[0])
    small = np.linalg.qr(basis)[0].T @ values  # (k + 16, d), whose right singular vectors are the axes
    left = np.linalg.eigh((small @ small.T).astype(np.float64))[1][:, ::-1][:, :k]
    axes = (left.T.astype(np.float32) @ small).T
    return Projection(mean, np.ascontiguousarray(unit_rows(axes.T).T))


def project(
    batches: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]], count: int
) -> tuple[np.ndarray, Projection]:
    """Return the coordinates float32 (count, k) of features that are read twice, batch by batch, and the axes.

    batches: returns (rows, features (m, d)) pairs, together each row once.
    """
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(0).permutation(count)[:SAMPLE]] = True
    projection = fit_projection(np.concatenate([part[chosen[rows]] for rows, part in batches()]))
    coordinates = np.zeros((count, projection.axes.shape[1]), np.float32)
    for rows, part in batches():
        coordinates[rows] = projection.apply(part)
    return coordinates, projection


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """An affine map after which frames of one stream vary alike in all directions."""

    mean: np.ndarray  # (k,)
    matrix: np.ndarray  # (k, k)

    def apply(self, coordinates: np.ndarray) -> np.ndarray:
        """Return the whitened coordinates, float32 (n, k)."""
        return ((coordinates - self.mean) @ self.matrix).astype(np.float32)


def fit_whitening(coordinates: np.ndarray, stream_of_frame: np.ndarray, kept: np.ndarray | None = None) -> Whitening:
    """Return the whitening by the covariance within streams. stream_of_frame: int (n,), sorted, from 0 on.

    Within a few frames in a row, that is, and without the rows that vary most: a streamer who changes the game shall
    not decide what frames of a stream differ by. kept: which frames to use, bool (n,); default: all.
    """
    sizes = np.bincount(stream_of_frame)
    rank = np.arange(len(stream_of_frame)) - (np.cumsum(sizes) - sizes)[stream_of_frame]  # of a frame in its stream
    window = np.cumsum((rank % _WINDOW == 0) | (np.diff(stream_of_frame, prepend=-1) > 0)) - 1  # (n,)
    if kept is not None:
        coordinates, window, stream_of_frame = coordinates[kept], window[kept], stream_of_frame[kept]
    apart = coordinates - group_means(coordinates, window)[window]  # (n, k)
    variances = np.bincount(window, (apart * apart).sum(axis=1)) / np.maximum(np.bincount(window), 1)
    usual = (variances <= _MAX_VARIANCE * np.median(variances))[window]
    covariance = (apart[usual].T @ apart[usual]).astype(np.float64) / usual.sum()
    mean_variance = max(np.trace(covariance) / len(covariance), 1e-12)
    covariance[np.diag_indices_from(covariance)] += _SHRINKAGE * mean_variance
    variances, axes = np.linalg.eigh(covariance)
    center = group_means(coordinates, stream_of_frame)[np.unique(stream_of_frame)].mean(axis=0)
    return Whitening(center, (axes / np.sqrt(variances)).astype(np.float32))


def group_means(values: np.ndarray, groups: np.ndarray, count: int = 0) -> np.ndarray:
    """Return the mean of the rows of each group, float32 (groups, k); groups: int (n,)."""
    order = np.argsort(groups, kind="stable")
    present, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    means = np.zeros((max(count, int(present[-1]) + 1), values.shape[1]), np.float32)
    means[present] = np.add.reduceat(values[order], starts, axis=0) / sizes[:, None]
    return means


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length 1; a row of zeros stays."""
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
