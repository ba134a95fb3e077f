"""Near-duplicates: frames that repeat another frame, in its stream or elsewhere. numpy only.

Equal files have equal hashes. Files that differ show the same picture if no cell of their thumbnails moves, once both
have the same brightness and contrast: the rule of the frame filter, made independent of an altered exposure.

Candidates are frames of one cell: cells are the regions around some frames, in a projection of the thumbnails. Two
sets of cells are searched, since two copies may lie on either side of a border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_LEVELS = 3, 8  # limits of the tolerance, of 255; encoding a still image again changes no cell by more than 3
_CONTRAST_FRACTION = 1 / 8  # tolerance as a fraction of the contrast
_CONTRAST_QUANTILES = 0.03, 0.97  # of the levels, for a small logo or a clock on either side
_FLAT_LEVELS = 3.0  # standard deviation of a frame that is one colour: its texture is noise
_PROJECTED = 32  # dimensions of the search
_NEAR = 0.12  # distance of copies there, of unit vectors: copies have 0.03
_CELLS = 4096  # at most
_PER_CELL = 16  # frames on average
_CROWDED = 512  # frames of a cell: the maximum number of pictures that are distinguished there
_SETS = 2
_CHUNK = 4096  # frames


def find(thumbnails: np.ndarray, hashes: Sequence[bytes], order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each frame the frame that it repeats, or -1, and whether their files are equal: int64 and bool (n,).

    thumbnails: grey, uint8 (n, cells). hashes: of the files, b"" if unknown. order: the rank of each frame, int (n,);
    of equal frames the one of the lowest rank is kept.
    """
    count = len(hashes)
    parents, first = np.arange(count), dict[bytes, int]()
    ranked = np.argsort(order, kind="stable")
    for row in ranked.tolist():
        if hashes[row]:
            parents[row] = first.setdefault(hashes[row], row)
    is_exact = parents != np.arange(count)
    points = _projected(thumbnails, np.arange(count))
    textured = np.linalg.norm(points, axis=1) > 0.5
    for number in range(_SETS):
        rows = ranked[(textured & (parents == np.arange(count)))[ranked]]
        for members in _cells(points[rows], number):
            for kept, repeated in _groups(thumbnails, points, rows[members]):
                parents[repeated] = kept
    for _ in range(_SETS + 1):  # a frame may repeat one that repeats another
        parents = parents[parents]
    return np.where(parents == np.arange(count), -1, parents), is_exact


def _groups(thumbnails: np.ndarray, points: np.ndarray, members: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frames of a cell, in the order of `members`, each with later ones that show the same picture."""
    if len(members) <= _CROWDED:
        near = _squared_distances(points[members], points[members]) < _NEAR**2
        if near.sum() == len(members):  # each is near itself only
            return
    for _ in range(_CROWDED):
        if len(members) < 2:
            return
        kept, members = members[0], members[1:]
        same = _squared_distances(points[[kept]], points[members])[0] < _NEAR**2
        same[same] = _is_same(thumbnails[kept], thumbnails[members[same]])
        if same.any():
            yield int(kept), members[same]
            members = members[~same]


def _projected(thumbnails: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the normalised thumbnails projected on random axes, float32 (rows, _PROJECTED); 0 for flat ones."""
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((thumbnails.shape[1], _PROJECTED)))[0]
    scale = (thumbnails.shape[1] / _PROJECTED) ** 0.5
    points = np.zeros((len(rows), _PROJECTED), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = thumbnails[rows[start : start + _CHUNK]].astype(np.float32)
        part -= part.mean(axis=1, keepdims=True)
        deviation = part.std(axis=1, keepdims=True)
        unit = part / np.maximum(deviation, 1e-6) / thumbnails.shape[1] ** 0.5
        points[start : start + _CHUNK] = (deviation > _FLAT_LEVELS) * scale * (unit @ axes.astype(np.float32))
    return points


def _cells(points: np.ndarray, number: int) -> Iterator[np.ndarray]:
    """Yield the positions of the points of each cell with two or more, around random points."""
    if len(points) < 2:
        return
    count = min(_CELLS, max(1, len(points) // _PER_CELL))
    centers = points[np.random.default_rng(number).permutation(len(points))[:count]]
    cell = np.empty(len(points), np.int64)
    for start in range(0, len(points), _CHUNK):
        cell[start : start + _CHUNK] = _squared_distances(points[start : start + _CHUNK], centers).argmin(axis=1)
    order = np.argsort(cell, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        if len(members) > 1:
            yield members


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1) - 2 * left @ right.T


def _is_same(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each of `others` whether no cell differs after the best change of brightness and contrast, (m,)."""
    left, right = one.astype(np.float32)[None], others.astype(np.float32)  # (1, cells), (m, cells)
    left, right = left - left.mean(), right - right.mean(axis=1, keepdims=True)
    # Brought to the contrast of the richer one: an altered exposure loses levels.
    gains = (left * right).sum(axis=1) / np.maximum((right * right).sum(axis=1), 1e-6)  # (m,)
    gains = np.where((right * right).sum(axis=1) > (left * left).sum(), 1 / np.maximum(gains, 1e-6), gains)
    richer = (right * right).sum(axis=1, keepdims=True) > (left * left).sum()
    differences = np.where(richer, right - gains[:, None] * left, left - gains[:, None] * right)
    low, high = np.quantile(np.where(richer, right, left), _CONTRAST_QUANTILES, axis=1)
    tolerances = np.clip((high - low) * _CONTRAST_FRACTION, *_LEVELS)
    return (np.abs(differences).max(axis=1, initial=0) <= tolerances) & (gains > 0)
