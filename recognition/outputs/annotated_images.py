"""What was recognised, as pictures: a folder for each source, with its frames and a sheet of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data.errors import FolderError
from data.hls.playlist import evenly
from recognition.events import Event, FrameClassified, VerdictReached
from recognition.outputs.annotation import annotate_frame, contact_sheet
from recognition.outputs.console import event_lines

CONTACT_SHEET = "sheet.jpg"
_FRAMES = re.compile(r"frame-[0-9]+\.jpg")
_MAX_SHEET_FRAMES = 60  # frames at most, spread over all of them
_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_NAME_LENGTH = 80  # characters of a folder's name


class AnnotatedImages:
    """An output that writes `<folder>/<source>/frame-<number>.jpg`, and `sheet.jpg` there with the verdict.

    Every call raises FolderError where that cannot be.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is written yet."""
        self._folder = folder
        self._folders: dict[str, Path] = {}
        self._frames: dict[str, list[Path]] = {}

    def emit(self, event: Event) -> None:
        """Save a frame; with the verdict, the sheet."""
        with _translated():
            if isinstance(event, FrameClassified):
                path = self._source_folder(event.source) / f"frame-{event.number:03}.jpg"
                path.write_bytes(annotate_frame(event.jpeg, event.number, event.prediction))
                self._frames.setdefault(event.source, []).append(path)
            elif isinstance(event, VerdictReached) and event.source in self._frames:
                self._finish(event.source, [event.source, *event_lines(event)])

    def close(self) -> None:
        """Make the sheets of sources that were broken off; safe to call twice."""
        with _translated():
            for source in [*self._frames]:
                self._finish(source, [source])

    def _finish(self, source: str, titles: Sequence[str]) -> None:
        """Make the source's sheet, with these lines above it."""
        frames = self._frames.pop(source)
        jpegs = [path.read_bytes() for path in evenly(frames, _MAX_SHEET_FRAMES)]
        (self._folders[source] / CONTACT_SHEET).write_bytes(contact_sheet(jpegs, titles))

    def _source_folder(self, source: str) -> Path:
        """The source's folder, which a new one finds empty of the frames that an earlier run left there."""
        if source not in self._folders:
            folder = self._free_name(folder_name(source))
            folder.mkdir(parents=True, exist_ok=True)
            for path in [*folder.iterdir()]:
                if _FRAMES.fullmatch(path.name) or path.name == CONTACT_SHEET:
                    path.unlink()
            self._folders[source] = folder
        return self._folders[source]

    def _free_name(self, name: str) -> Path:
        """A folder of this name, or of the first one with a number that no other source has."""
        taken = set(self._folders.values())
        names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 2))]
        return next(path for path in map(self._folder.joinpath, names) if path not in taken)


def folder_name(source: str) -> str:
    """A name for a folder made from a login, an address or a path: what is strange in it becomes `_`."""
    return _UNSAFE_CHARACTERS.sub("_", source.partition("://")[2] or source).strip("._")[-_MAX_NAME_LENGTH:] or "_"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FolderError(f"--save: {error}") from error
