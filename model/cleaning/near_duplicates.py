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
_FLAT_LEVELS = 3.0  # standard deviation of a frame that is one colour: its texture is noise
_PROJECTED = 32  # dimensions of the search
_NEAR = 0.12  # distance of copies there, of unit vectors: copies have 0.03
_CELLS = 4096  # at most
_PER_CELL = 16  # frames on average
_MAX_COMPARED = 2048  # frames of a crowded cell that each of its frames is compared with
_SETS = 2
_CHUNK = 4096  # frames


def find(thumbnails: np.ndarray, hashes: Sequence[bytes], order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each frame the frame that it repeats, or -1, and whether their files are equal: int64 and bool (n,).

    thumbnails: grey, uint8 (n, cells). hashes: of the files, b"" if unknown. order: the rank of each frame, int (n,);
    of equal frames the one of the lowest rank is kept.
    """
    count = len(hashes)
    parents = np.arange(count)
    ranked = np.argsort(order, kind="stable")
    first: dict[bytes, int] = {}
    for row in ranked.tolist():
        if hashes[row]:
            parents[row] = first.setdefault(hashes[row], row)
    is_exact = parents != np.arange(count)
    unique = np.flatnonzero(~is_exact)
    rank = np.empty(count, np.int64)
    rank[ranked] = np.arange(count)
    pairs = [(min(pair, key=rank.__getitem__), max(pair, key=rank.__getitem__)) for pair in _pairs(thumbnails, unique)]
    for kept, repeated in sorted(pairs, key=lambda pair: (rank[pair[1]], rank[pair[0]])):
        if parents[repeated] == repeated and parents[kept] == kept:  # no chains: each repeats a frame that is kept
            parents[repeated] = kept
    parents = parents[parents]  # a file equal to a near-duplicate repeats what that one repeats
    return np.where(parents == np.arange(count), -1, parents), is_exact


def _pairs(thumbnails: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs of `rows` that show the same picture."""
    points = _projected(thumbnails, rows)
    textured = np.flatnonzero(np.linalg.norm(points, axis=1) > 0.5)
    seen: set[tuple[int, int]] = set()
    for number in range(_SETS):
        for members in _cells(points[textured], number):
            some = textured[members]
            for start in range(0, len(some), _CHUNK):
                part = some[start : start + _CHUNK]
                near = _squared_distances(points[part], points[some[:_MAX_COMPARED]]) < _NEAR**2
                for left, right in zip(*np.nonzero(near), strict=True):
                    pair = int(rows[part[left]]), int(rows[some[right]])
                    if pair[0] < pair[1] and pair not in seen and _is_same(thumbnails[pair[0]], thumbnails[pair[1]]):
                        seen.add(pair)
                        yield pair


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


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether no cell differs after the best change of brightness and contrast."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    if a.std() < b.std():
        a, b = b, a  # the flatter one is what an altered exposure lost levels of
    gain = ((a - a.mean()) * (b - b.mean())).mean() / max(float(b.var()), 1e-6)
    least, most = _LEVELS
    levels = np.sort(a)
    tolerance = min(most, max(least, (levels[-28] - levels[27]) * _CONTRAST_FRACTION))
    return bool(0 < gain < 2 and np.abs(a - a.mean() - gain * (b - b.mean())).max() <= tolerance)
