"""Journal of a change: every move of files, written to the store before the first file moves.

    .changes/<id>.pending    decided, and perhaps in part carried out
    .changes/<id>.done       carried out, unless it is pending, too

The first line says what the change is for; each other line is a move from one path below the root to another one. Paths
are those of frames, or `.trash/<id>/<path of the frame>`. The line also has what the manifest says of the frame.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from data.entities import StoredFrame
from data.errors import FolderError
from data.storage.layout import CHANGES_FOLDER, TRASH_FOLDER
from data.storage.manifest import parse_details, to_values
from data.storage.store_files import StoreFiles, shown_path
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


def write(files: StoreFiles, change: Change) -> None:
    """Write a pending change: from then on it will be carried out. Raises FolderError."""
    try:
        files.create(_path(change.id, "pending"), _to_bytes(change))
    except FileExistsError as error:
        raise FolderError("Another command made a change at the same moment: try again.") from error


def rewrite(files: StoreFiles, change: Change) -> None:
    """Replace the journal of a change that was carried out; without moves, delete it. Raises FolderError."""
    if change.moves:
        files.replace(_path(change.id, "done"), _to_bytes(change))
    else:  # it would be the last change for ever, for undo has nothing to do with it
        files.remove([_path(change.id, "done")])


def retarget(files: StoreFiles, change_id: str, targets: Mapping[FileMove, str]) -> list[FileMove]:
    """Give moves of a pending change new targets; return these moves as the journal has them then.

    A move whose target another process has changed meanwhile keeps that one. Raises FolderError.
    """
    new = {(move.source, move.target): target for move, target in targets.items()}

    def edit(content: bytes) -> bytes:
        if not content:
            raise _ChangeFinished
        change = _parse(change_id, "pending", content)
        moves = (replace(move, target=new.get((move.source, move.target), move.target)) for move in change.moves)
        return _to_bytes(replace(change, moves=tuple(moves)))

    with contextlib.suppress(_ChangeFinished), _damage_is_error(files, change_id, "pending"):
        files.update(_path(change_id, "pending"), edit)
    now = {move.source: move for move in read(files, change_id).moves}
    return [now[move.source] for move in targets if move.source in now]


def finish(files: StoreFiles, change_id: str) -> None:
    """Note that the change was carried out, unless another process has done so. Raises FolderError."""
    with contextlib.suppress(FileNotFoundError):
        files.rename(_path(change_id, "pending"), _path(change_id, "done"))


def is_pending(files: StoreFiles, change_id: str) -> bool:
    """Return whether no process has finished the change. Raises FolderError."""
    return files.exists(_path(change_id, "pending"))


def change_ids(files: StoreFiles, *, pending: bool = False) -> list[str]:
    """Return the ids of all changes, or of the pending ones, oldest first. Raises FolderError."""
    found = filter(None, map(_NAME.fullmatch, files.names(CHANGES_FOLDER)))
    return sorted({match[1] for match in found if not pending or match[2] == "pending"})


def read(files: StoreFiles, change_id: str) -> Change:
    """Return a change. Raises FolderError: there is none, or its journal is damaged."""
    state, content = _read_file(files, change_id)
    with _damage_is_error(files, change_id, state):
        return _parse(change_id, state, content)


def read_summary(files: StoreFiles, change_id: str) -> ChangeSummary:
    """Return a change without its moves, which takes a twentieth of the time. Raises as `read` does."""
    state, content = _read_file(files, change_id)
    with _damage_is_error(files, change_id, state):
        header, lines = _split(content)
        trashed = sum(_TO_TRASH in line for line in lines)
        return ChangeSummary(change_id, str(header["summary"]), str(header["undoes"]), len(lines) - trashed, trashed)


class _ChangeFinished(Exception):
    """Another process has finished the change."""


def _to_bytes(change: Change) -> bytes:
    header = {"summary": printable_line(change.summary), "undoes": change.undoes}
    lines = [json.dumps(header), *(json.dumps(_to_line(move)) for move in change.moves)]
    return "".join(f"{line}\n" for line in lines).encode()


def _parse(change_id: str, state: str, content: bytes) -> Change:
    """Return a change. Raises what `_damage_is_error` translates."""
    header, lines = _split(content)
    moves = {move.source: move for move in map(_parse_move, lines)}
    return Change(change_id, str(header["summary"]), str(header["undoes"]), tuple(moves.values()), state == "done")


def _split(content: bytes) -> tuple[dict[str, object], list[bytes]]:
    """Return the values of the first line, and the lines of the moves."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    return dict(json.loads(lines[0])), lines[1:]


@contextlib.contextmanager
def _damage_is_error(files: StoreFiles, change_id: str, state: str) -> Iterator[None]:
    """Translate errors of the block, which mean that the journal was edited, into a FolderError."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        path = shown_path(files, _path(change_id, state))
        raise FolderError(f"{path} is damaged: restore it, or move it away.") from error


def _read_file(files: StoreFiles, change_id: str) -> tuple[str, bytes]:
    """Return the state of a change and its journal."""
    for state in ("pending", "done"):  # in the order of time: another process may finish the change meanwhile
        if _NAME.fullmatch(f"{change_id}.{state}"):
            with contextlib.suppress(FileNotFoundError):
                return state, files.read(_path(change_id, state), _MAX_BYTES)
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


def _path(change_id: str, state: str) -> str:
    return f"{CHANGES_FOLDER}/{change_id}.{state}"
