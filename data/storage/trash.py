"""Trash of a dataset: `<root>/.trash/<id of the change>/<path of the frame>`, filled by data.storage.changes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.entities import StoredFrame
from data.storage.folder_errors import folder_errors
from data.storage.folder_scan import TRASH_FOLDER


@dataclass(frozen=True, slots=True)
class TrashedFrame:
    """A file in the trash."""

    path: str  # below the root
    frame: StoredFrame  # as it was before


def trashed_frames(root: Path) -> Iterator[TrashedFrame]:
    """Yield the frames in the trash; skip files with other names. Raises FolderError."""
    trash = root / TRASH_FOLDER
    with folder_errors(trash):
        for folder, _, names in os.walk(trash, onerror=_raise_unless_missing):
            for name in names:
                path = Path(folder, name).relative_to(root)
                with contextlib.suppress(ValueError):  # not a frame's name
                    yield TrashedFrame(path.as_posix(), StoredFrame.parse("/".join(path.parts[-2:])))


def remove_empty_folders(paths: Iterable[Path]) -> None:
    """Remove the folders that these files left, up to the trash itself, as far as they are empty."""
    for folder in {path.parent for path in paths}:
        for each in (folder, *folder.parents[:2]):
            with contextlib.suppress(OSError):  # not empty
                each.rmdir()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
