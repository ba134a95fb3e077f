"""Image folder output: one folder for each source with its annotated frames and a contact sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data.video.sampling import evenly_spaced
from recognition.events import Event, FrameClassified, VerdictReached
from recognition.outputs.annotation import annotate_frame, contact_sheet
from recognition.outputs.base import Output, folder_errors
from recognition.outputs.console import event_line

CONTACT_SHEET = "sheet.jpg"
_FRAME_NAME = re.compile(r"frame-[0-9]+\.jpg")
_MAX_SHEET_FRAMES = 60  # of more frames, the sheet shows evenly spaced ones
_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_NAME_LENGTH = 80  # characters of a folder's name; file systems allow 255 bytes


class AnnotatedImages(Output):
    """Write `<folder>/<source>/frame-<number>.jpg` for each frame and `sheet.jpg` with the verdict.

    `emit` and `close` raise FolderError if an image cannot be written or an old one cannot be deleted.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is created with the first frame."""
        self._folder = folder
        self._folders: dict[str, Path] = {}
        self._frames: dict[str, list[Path]] = {}  # by source, of sources without a verdict

    def emit(self, event: Event) -> None:
        """Write a frame, or the contact sheet after the verdict; ignore other events."""
        with folder_errors("--save", self._folder):
            if isinstance(event, FrameClassified):
                path = self._source_folder(event.source) / f"frame-{event.number:03}.jpg"
                path.write_bytes(annotate_frame(event.jpeg, event.number, event.prediction))
                self._frames.setdefault(event.source, []).append(path)
            elif isinstance(event, VerdictReached) and event.source in self._frames:
                self._write_sheet(event.source, [event.source, event_line(event)])

    def close(self) -> None:
        """Write the contact sheets of sources that were interrupted before their verdict."""
        with folder_errors("--save", self._folder):
            for source in [*self._frames]:
                self._write_sheet(source, [source])

    def _write_sheet(self, source: str, titles: Sequence[str]) -> None:
        frames = self._frames.pop(source)
        jpegs = [path.read_bytes() for path in evenly_spaced(frames, _MAX_SHEET_FRAMES)]
        (self._folders[source] / CONTACT_SHEET).write_bytes(contact_sheet(jpegs, titles))

    def _source_folder(self, source: str) -> Path:
        """Return the source's folder. On first use, create it and delete the images of an earlier run."""
        if source not in self._folders:
            name, taken = folder_name(source), set(self._folders.values())  # another source may have the same name
            names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 2))]
            folder = next(path for path in map(self._folder.joinpath, names) if path not in taken)
            folder.mkdir(parents=True, exist_ok=True)
            for path in [*folder.iterdir()]:
                # Users may keep other files there: only names that this class writes are deleted.
                if _FRAME_NAME.fullmatch(path.name) or path.name == CONTACT_SHEET:
                    path.unlink()
            self._folders[source] = folder
        return self._folders[source]


def folder_name(source: str) -> str:
    """Return a folder name for a login, URL or path: unsafe characters become `_`, the scheme is dropped."""
    return _UNSAFE_CHARACTERS.sub("_", source.partition("://")[2] or source).strip("._")[-_MAX_NAME_LENGTH:] or "_"
