"""Findings of the last check as columns, joined with the frames by path and hash; 100,000 take 4 MB."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from dashboard.dataset.codes import Codes
from model.cleaning.check_file import read_findings

_DTYPE = np.dtype(
    [
        ("key", "i8"),  # of the path
        ("hash", "u8"),  # the first bytes of the file's SHA-256
        ("suspicion", "f4"),  # NaN: not checked
        ("stream_suspicion", "f4"),
        ("suspect", "?"),
        ("kind", "i4"),  # code
        ("reason", "i4"),  # code
        ("suggested", "i8"),  # id of a game; 0: none
    ]
)
_BATCH = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What a check says of frames. The last row, -1, stands for frames that were not checked."""

    table: np.ndarray  # (n + 1,), the first n sorted by key
    texts: Codes  # kinds and reasons
    checked_at: float | None = None  # epoch seconds; None: there was no check

    def join(self, keys: np.ndarray, hashes: np.ndarray) -> np.ndarray:
        """Return the row for each frame, int32 (m,), by the keys and hashes of m frames; -1: not checked."""
        known = self.table["key"][:-1]
        if not len(known):
            return np.full(len(keys), -1, np.int32)
        rows = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        same = (known[rows] == keys) & (self.table["hash"][rows] == hashes)
        return np.where(same, rows, -1).astype(np.int32)


def no_findings() -> Findings:
    """Return the findings of a dataset that was never checked."""
    return Findings(_table([]), Codes())


def read(content: bytes, checked_at: float) -> Findings:
    """Return the findings of the file check.csv. Raises DatasetError for a damaged file."""
    texts, parts, batch = Codes(), [], []
    for finding, stream_suspicion, _ in read_findings(io.BytesIO(content), {}):
        codes = texts.code(finding.kind), texts.code(finding.reason)
        suggested = finding.suggested.id if finding.suggested else 0
        about = finding.suspicion, stream_suspicion, finding.suspect, *codes, suggested
        batch.append((path_key(finding.frame.path), hash_head(finding.frame.sha256), *about))
        if len(batch) == _BATCH:
            parts.append(np.array(batch, _DTYPE))
            batch.clear()
    return Findings(_table([*parts, np.array(batch, _DTYPE)]), texts, checked_at)


def path_key(path: str) -> int:
    """Return a number for a path, the same one in this process."""
    return hash(path)


def hash_head(sha256: bytes) -> int:
    """Return the first 8 bytes of a hash as a number; 0 for an unknown hash."""
    return int.from_bytes(sha256[:8], "big")


def _table(parts: list[np.ndarray]) -> np.ndarray:
    """Return the rows sorted by key, and the one of unchecked frames."""
    missing = np.zeros(1, _DTYPE)
    missing["suspicion"] = missing["stream_suspicion"] = np.nan
    rows = np.concatenate([*parts, missing])
    rows[:-1].sort(order="key")
    return rows
