"""Frame index: one row in memory for each frame of the dataset; 100,000 take 15 MB with their findings.

An index never changes. A newer one has a greater version, and says of each frame by which version it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dashboard.dataset.codes import Codes
from dashboard.dataset.findings import Findings, hash_head, no_findings, path_key
from data.entities import FrameDetails, StoredFrame
from data.storage.statements import FrameRow, FrameSums

ROW = np.dtype(
    [
        ("id", "i8"),  # of the catalog's row
        ("row_version", "u4"),
        ("key", "i8"),  # of the path
        ("game", "i8"),
        ("login", "i4"),  # code
        ("number", "i8"),
        ("date", "f8"),  # epoch seconds
        ("language", "i4"),  # code
        ("sha256", "S32"),  # without zeros at its end
        ("hash", "u8"),  # its first bytes
        ("since", "i8"),  # version of the index by which the frame came
        ("finding", "i4"),  # row of the findings
    ]
)
"""A row of an index."""
_NOTHING = FrameSums(0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class DatasetIndex:
    """All frames at one moment, in order of the games' names, then login and number."""

    version: int
    rows: np.ndarray  # ROW (n,)
    by_key: np.ndarray  # positions in order of `key`
    names: Mapping[int, str]  # of the games, by id
    logins: Codes
    languages: Codes
    findings: Findings
    left_out: FrameSums = _NOTHING  # of the catalog's rows that name no frame
    last_id: int = 0  # the largest one of the catalog's rows that were read

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sums(self) -> FrameSums:
        """What the catalog says of the same rows."""
        versions = int(self.rows["row_version"].sum(dtype=np.int64))
        return _add(FrameSums(len(self.rows), int(self.rows["id"].sum()), versions), self.left_out)

    def matching(self, frames: Iterable[StoredFrame]) -> np.ndarray:
        """Return the positions of these frames, as far as the files under their paths have the same hashes."""
        frames = list(frames)
        positions = self.find(frame.path for frame in frames)
        heads = {path_key(frame.path): hash_head(frame.sha256) for frame in frames}
        expected = np.fromiter(map(heads.__getitem__, self.rows["key"][positions].tolist()), np.uint64)
        return positions[self.rows["hash"][positions] == expected]

    def find(self, paths: Iterable[str]) -> np.ndarray:
        """Return the positions of the frames with these paths, in order of the paths; unknown ones are left out."""
        keys = np.fromiter(map(path_key, paths), np.int64)
        sorted_keys = self.rows["key"][self.by_key]
        places = np.minimum(np.searchsorted(sorted_keys, keys), max(0, len(self.rows) - 1))
        return self.by_key[places[sorted_keys[places] == keys]] if len(self.rows) else np.empty(0, np.intp)

    def frame(self, position: int) -> StoredFrame:
        """Return a frame, with what the index knows of its details."""
        row = self.rows[position]
        details = FrameDetails(float(row["date"]), self.languages.texts[row["language"]])
        login = self.logins.texts[row["login"]]
        return StoredFrame(int(row["game"]), login, int(row["number"]), sha256_of(row), details)


def sha256_of(row: np.void) -> bytes:
    """Return the SHA-256 of a row; b"" if it is unknown."""
    stored: bytes = row["sha256"]
    return stored.ljust(32, b"\0") if stored else b""


def empty_index(version: int) -> DatasetIndex:
    """Return the index of no frames."""
    return DatasetIndex(version, np.empty(0, ROW), np.empty(0, np.intp), {}, Codes(), Codes(), no_findings())


def reordered(index: DatasetIndex, **changes: Any) -> DatasetIndex:
    """Return an index with these fields changed: its rows in order, and joined with its findings.

    Games without a name get the name `game <id>`.
    """
    index = replace(index, **changes)
    ids, game_of_row = np.unique(index.rows["game"], return_inverse=True)
    names = {int(key): f"game {key}" for key in ids} | dict(index.names)
    places = {key: place for place, key in enumerate(sorted(names, key=lambda key: (names[key].casefold(), key)))}
    games = np.array([places[int(key)] for key in ids], np.int32)[game_of_row]
    rows = index.rows[np.lexsort((index.rows["number"], index.logins.ranks()[index.rows["login"]], games))]
    rows["finding"] = index.findings.join(rows["key"], rows["hash"])
    return replace(index, rows=rows, by_key=np.argsort(rows["key"], kind="stable"), names=names)


def with_rows(index: DatasetIndex, found: Sequence[FrameRow], version: int) -> DatasetIndex:
    """Return the index with more rows of the catalog at its end, not in order, that come by this version.

    Rows whose paths were edited into invalid ones are left out.
    """
    parsed, left_out = [], index.left_out
    for row in found:
        try:
            frame = StoredFrame.parse(row.path)
        except ValueError:
            left_out = _add(left_out, FrameSums(1, row.id, row.version))
            continue
        sha256 = bytes(row.sha256 or b"")
        codes = index.logins.code(frame.login), index.languages.code(row.language)
        about = path_key(row.path), frame.game_id, codes[0], frame.number, row.date, codes[1]
        parsed.append((row.id, row.version, *about, sha256, hash_head(sha256), version, -1))
    rows = np.concatenate([index.rows, np.array(parsed, ROW)])
    return replace(index, rows=rows, left_out=left_out, last_id=found[-1].id)


def keep_since(index: DatasetIndex, older: DatasetIndex) -> DatasetIndex:
    """Return the index with the versions by which its frames came into an older one, by their paths and hashes."""
    if len(older) and len(index):
        rows = index.rows
        keys = older.rows["key"][older.by_key]
        places = older.by_key[np.minimum(np.searchsorted(keys, rows["key"]), len(keys) - 1)]
        same = (older.rows["key"][places] == rows["key"]) & (older.rows["hash"][places] == rows["hash"])
        rows["since"][same] = older.rows["since"][places][same]
    return index


def _add(first: FrameSums, second: FrameSums) -> FrameSums:
    return FrameSums(*map(sum, zip(first, second, strict=True)))
