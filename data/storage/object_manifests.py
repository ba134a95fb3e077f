"""Manifests of the games on an object store, to which nothing can be appended.

    <game>/manifest.jsonl                     what the last compaction has merged, see data.storage.manifest
    <game>/.manifest/<time>-<random>.jsonl    lines of one save or one change, written before its frames

Readers merge them. A process that loses a name to another one has written a line for that name, too: of lines with
different hashes the one counts that has the hash of the file. Compaction replaces the version of manifest.jsonl that
it has read, and only then removes the objects that it has merged. So a line is in one of the two at any moment.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from data.entities import StoredFrame
from data.errors import FolderError
from data.storage.manifest import MANIFEST_FILE, count_lines, is_stale, parse, to_line
from data.storage.object_files import ObjectFiles
from data.storage.parallel import in_parallel
from data.storage.store_files import shown_path

LINES_FOLDER = ".manifest"
_MAX_BYTES = 4 << 30
_TRIES = 50  # of a reader or a compaction that meets another compaction
_YOUNG_S = 600  # so long a save may take from its lines to its last frame


@dataclass(frozen=True, slots=True)
class _Lines:
    path: str
    frames: tuple[StoredFrame, ...]
    count: int  # of lines, the invalid ones too
    is_young: bool


class ObjectManifests:
    """The manifests of the games in `files`. Every method raises FolderError."""

    def __init__(self, files: ObjectFiles) -> None:
        self._files = files

    def add(self, game_id: int, frames: Iterable[StoredFrame]) -> str:
        """Add a line for each frame; return the path of the object that has them, "" without frames."""
        content = "".join(map(to_line, frames)).encode()
        path = f"{game_id}/{LINES_FOLDER}/{time.time_ns():020}-{secrets.token_hex(4)}.jsonl"
        if content:
            self._files.replace(path, content)  # its name is new
        return path if content else ""

    def read(self, game_id: int, names: Container[str]) -> dict[str, StoredFrame]:
        """Return the frames with these file names as the manifest has them, by name."""
        for _ in range(_TRIES):
            found = self._files.names(f"{game_id}/{LINES_FOLDER}")
            with contextlib.suppress(FileNotFoundError):  # merged meanwhile
                lines = in_parallel(lambda name: self._read(f"{game_id}/{LINES_FOLDER}/{name}", names), found)
                # Last: what was merged since the list was made is in it.
                content, _ = self._files.read_version(f"{game_id}/{MANIFEST_FILE}", _MAX_BYTES)
                frames = [*parse(str(game_id), content, names), *(frame for each in lines for frame in each.frames)]
                return self._merged(frames)
        raise self._too_busy(game_id)

    def compact(self, game_id: int, is_unwanted: Callable[[StoredFrame], bool]) -> int:
        """Merge the lines, without those of files that are gone; return how many lines went.

        A save that runs may be about to write the frames of its lines: they stay for ten minutes, unless `is_unwanted`.
        """
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):
                if (dropped := self._compact(game_id, is_unwanted)) is not None:
                    return dropped
        raise self._too_busy(game_id)

    def _compact(self, game_id: int, is_unwanted: Callable[[StoredFrame], bool]) -> int | None:
        """Return the number of lines that went; None if another compaction was first. Raises FileNotFoundError."""
        folder = f"{game_id}/{LINES_FOLDER}/"
        # Before the list: what another compaction merges later has frames that the list may lack.
        content, version = self._files.read_version(f"{game_id}/{MANIFEST_FILE}", _MAX_BYTES)
        listed = list(self._files.listing(f"{game_id}/"))
        young = time.time() - _YOUNG_S
        found = [file for file in listed if file.path.startswith(folder)]
        lines = in_parallel(lambda file: self._read(file.path, None, is_young=file.modified_at > young), found)
        there = {file.path for file in listed}
        merged = [each for each in lines if not self._hold(game_id, each, there, is_unwanted)]
        if not merged and not is_stale(content, {path.partition("/")[2] for path in there}):
            return 0
        frames = [*parse(str(game_id), content), *(frame for each in merged for frame in each.frames)]
        kept = self._merged([frame for frame in frames if frame.path in there])
        result = "".join(to_line(kept[name]) for name in sorted(kept)).encode()
        if result != content and not self._files.swap(f"{game_id}/{MANIFEST_FILE}", result, version):
            return None
        self._files.remove(each.path for each in merged)
        return count_lines(content) + sum(each.count for each in merged) - len(kept)

    def _hold(
        self, game_id: int, lines: _Lines, there: Container[str], is_unwanted: Callable[[StoredFrame], bool]
    ) -> bool:
        """Return whether a save may still write a frame of these lines; drop the unwanted ones of them then."""
        missing = [frame for frame in lines.frames if frame.path not in there]
        unwanted = set(filter(is_unwanted, missing))
        if not lines.is_young or len(unwanted) == len(missing):
            return False
        if unwanted:
            self.add(game_id, [frame for frame in lines.frames if frame not in unwanted])
            self._files.remove([lines.path])  # a save that runs sees this, and writes its lines again
        return True

    def _read(self, path: str, names: Container[str] | None, *, is_young: bool = False) -> _Lines:
        content = self._files.read(path, _MAX_BYTES)
        frames = tuple(parse(path.partition("/")[0], content, names))
        return _Lines(path, frames, count_lines(content), is_young)

    def _merged(self, frames: Iterable[StoredFrame]) -> dict[str, StoredFrame]:
        """Return the frames by file name: of lines with different hashes the one of the file, otherwise the last."""
        merged: dict[str, StoredFrame] = {}
        rivals: dict[str, dict[bytes, StoredFrame]] = {}
        for frame in frames:
            name = frame.path.partition("/")[2]
            earlier = merged.get(name)
            if earlier and frame.sha256 and earlier.sha256 and earlier.sha256 != frame.sha256:
                rivals.setdefault(name, {})[earlier.sha256] = earlier
            if name in rivals:
                rivals[name][frame.sha256] = frame
            merged[name] = frame
        for name, sha256 in zip(rivals, in_parallel(lambda name: self._hash(merged[name]), rivals), strict=True):
            merged[name] = rivals[name].get(sha256, merged[name])
        return merged

    def _hash(self, frame: StoredFrame) -> bytes:
        with contextlib.suppress(FileNotFoundError):
            return self._files.sha256(frame.path)
        return b""

    def _too_busy(self, game_id: int) -> FolderError:
        path = shown_path(self._files, f"{game_id}/{MANIFEST_FILE}")
        return FolderError(f"{path}: other processes merge it all the time: try again later.")
