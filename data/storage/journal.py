"""Journal of a change: every move of files, written to the disk before the first file moves.

    <root>/.changes/<id>.pending    decided, and perhaps in part carried out
    <root>/.changes/<id>.done       carried out

The first line says what the change is for; each other line is a move from one path below the root to another one. Paths
are those of frames, or `.trash/<id>/<path of the frame>`. The line also has what the manifest says of the frame.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from data.atomic import atomic_file
from data.entities import StoredFrame
from data.errors import FolderError
from data.readers import read_regular_file
from data.storage.folder_scan import CHANGES_FOLDER, TRASH_FOLDER
from data.storage.manifest import parse_details, to_values
from data.text import printable, printable_line

_MAX_BYTES = 4 << 30
_NAME = re.compile(r"([0-9]{8}-[0-9]{6}-[0-9]{6})\.(pending|done)", re.ASCII)
_TO_TRASH = b'"to": "%s/' % TRASH_FOLDER.encode()
_TRASHED = re.compile(rf"{re.escape(TRASH_FOLDER)}/([0-9]{{8}}-[0-9]{{6}}-[0-9]{{6}})/(.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileMove:
    """One file's move, by paths below the root."""

    frame: StoredFrame  # as it was at `source` when the change was made, with its hash and details
    source: str
    target: str
    reason: str = ""  # why, for people

    @property
    def target_frame(self) -> StoredFrame | None:
        """The frame at the target; None in the trash."""
        if self.target.startswith(f"{TRASH_FOLDER}/"):
            return None
        return replace(StoredFrame.parse(self.target), sha256=self.frame.sha256, details=self.frame.details)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the dataset: files that moved together."""

    id: str  # its time in UTC with microseconds, so that later changes sort behind
    summary: str  # what it was for
    undoes: str  # id of the change that it undoes; "" for none
    moves: tuple[FileMove, ...]
    is_done: bool = False

    @property
    def time(self) -> float:
        """When the change was made, epoch seconds, to a second; infinity if its id was edited into no date."""
        return id_time(self.id)

    @property
    def trashed(self) -> int:
        """Number of files that went to the trash."""
        return sum(move.target_frame is None for move in self.moves)


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """A change without its moves."""

    id: str
    summary: str
    undoes: str
    moved: int  # files that went to another game, or back
    trashed: int  # files that went to the trash

    @property
    def time(self) -> float:
        """When the change was made, epoch seconds, as `Change.time`."""
        return id_time(self.id)


def id_time(change_id: str) -> float:
    """Return the time in a change's id, epoch seconds, to a second; infinity if it was edited into no date."""
    try:
        return datetime.strptime(change_id[:15] + "+0000", "%Y%m%d-%H%M%S%z").timestamp()
    except ValueError:
        return math.inf


def new_id() -> str:
    """Return the id of a new change."""
    return datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f")


def trash_path(change_id: str, frame: StoredFrame) -> str:
    """Return the place of a frame in the trash, below the root."""
    return f"{TRASH_FOLDER}/{change_id}/{frame.path}"


def split_trash_path(path: str) -> tuple[str, StoredFrame]:
    """Return the change and the frame of a path that `trash_path` made. Raises ValueError for any other path."""
    if not (match := _TRASHED.fullmatch(path)):
        raise ValueError(f"invalid path in the trash {path!r}")
    return match[1], StoredFrame.parse(match[2])


def write(root: Path, change: Change) -> None:
    """Write a pending change to the disk: from then on it will be carried out. Raises OSError."""
    (root / CHANGES_FOLDER).mkdir(exist_ok=True)
    _write(root, change, "pending")


def rewrite(root: Path, change: Change) -> None:
    """Replace the journal of a change that was carried out; without moves, delete it. Raises OSError."""
    if change.moves:
        _write(root, change, "done")
    else:  # it would be the last change for ever, for undo has nothing to do with it
        _path(root, change.id, "done").unlink(missing_ok=True)


def _write(root: Path, change: Change, state: str) -> None:
    header = {"summary": printable_line(change.summary), "undoes": change.undoes}
    lines = [json.dumps(header), *(json.dumps(_to_line(move)) for move in change.moves)]
    with atomic_file(_path(root, change.id, state)) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def add_moves(root: Path, change_id: str, moves: Iterable[FileMove]) -> None:
    """Add moves to a pending change; a move takes the place of an earlier one of its source. Raises OSError."""
    change = read(root, change_id)
    by_source = {move.source: move for move in (*change.moves, *moves)}
    _write(root, replace(change, moves=tuple(by_source.values())), "pending")


def finish(root: Path, change_id: str) -> None:
    """Note that the change was carried out. Raises OSError."""
    _path(root, change_id, "pending").replace(_path(root, change_id, "done"))


def change_ids(root: Path, *, pending: bool = False) -> list[str]:
    """Return the ids of all changes, or of the pending ones, oldest first. Raises OSError."""
    try:
        names = sorted(path.name for path in (root / CHANGES_FOLDER).iterdir())
    except FileNotFoundError:
        return []
    found = filter(None, map(_NAME.fullmatch, names))
    return [match[1] for match in found if not pending or match[2] == "pending"]


def read(root: Path, change_id: str) -> Change:
    """Return a change. Raises FolderError: there is none, or its journal is damaged; OSError."""
    with _opened(root, change_id) as (path, header, lines):
        moves = {move.source: move for move in map(_parse_move, lines)}
        summary, undoes = str(header["summary"]), str(header["undoes"])
        return Change(change_id, summary, undoes, tuple(moves.values()), path.suffix == ".done")


def read_summary(root: Path, change_id: str) -> ChangeSummary:
    """Return a change without its moves, which takes a twentieth of the time. Raises as `read` does."""
    with _opened(root, change_id) as (_, header, lines):
        trashed = sum(_TO_TRASH in line for line in lines)
        return ChangeSummary(change_id, str(header["summary"]), str(header["undoes"]), len(lines) - trashed, trashed)


@contextlib.contextmanager
def _opened(root: Path, change_id: str) -> Iterator[tuple[Path, dict[str, object], list[bytes]]]:
    """Yield a journal's path, its first line's values and the lines of the moves. Raises FolderError, OSError.

    Errors of the block mean that the journal was edited.
    """
    path, content = _read_file(root, change_id)
    try:
        lines = [line for line in content.split(b"\n") if line.strip()]
        yield path, dict(json.loads(lines[0])), lines[1:]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FolderError(f"{printable(str(path))} is damaged: restore it, or move it away.") from error


def _read_file(root: Path, change_id: str) -> tuple[Path, bytes]:
    for state in ("pending", "done"):  # in the order of time: another process may finish the change meanwhile
        path = _path(root, change_id, state)
        if _NAME.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                return path, read_regular_file(path, _MAX_BYTES)
    raise FolderError(f"There is no change {printable(change_id)}: list the changes with model.check --changes.")


def _parse_move(line: bytes) -> FileMove:
    values = json.loads(line)
    source, target = str(values["from"]), str(values["to"])
    sha256 = bytes.fromhex(str(values.get("sha256") or ""))
    frame = replace(_frame_at(source), sha256=sha256, details=parse_details(values))
    _frame_at(target)  # raises for a path outside of the dataset
    return FileMove(frame, source, target, str(values.get("reason") or ""))


def _frame_at(path: str) -> StoredFrame:
    """Return the frame of a path below the root, in the trash too. Raises ValueError for any other path."""
    return split_trash_path(path)[1] if path.startswith(f"{TRASH_FOLDER}/") else StoredFrame.parse(path)


def _to_line(move: FileMove) -> dict[str, object]:
    values = to_values(move.frame)
    del values["file"]
    return {"from": move.source, "to": move.target, "reason": move.reason, **values}


def _path(root: Path, change_id: str, state: str) -> Path:
    return root / CHANGES_FOLDER / f"{change_id}.{state}"
