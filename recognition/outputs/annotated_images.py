"""Image folder output: one folder for each source with its annotated frames and a contact sheet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from data.video.sampling import evenly_spaced
from recognition.events import Event, FrameClassified, VerdictReached
from recognition.outputs.annotation import annotate_frame, contact_sheet
from recognition.outputs.base import Output, folder_errors
from recognition.outputs.console import event_line

CONTACT_SHEET = "sheet.jpg"
_MAX_SHEET_FRAMES = 60  # of more frames, the sheet shows evenly spaced ones
_UNSAFE_CHARACTERS = re.compile(r"[^\w.-]+")  # keeps the letters of any script
_MAX_NAME_LENGTH = 60  # characters, of up to four bytes, of a folder's readable part; file systems allow 255 bytes
# Names that can stand for one source only, on file systems that ignore case, too.
_PLAIN_NAME = re.compile(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[a-z0-9_]{1,60}(?:\.[a-z0-9_]{1,20})?")


class AnnotatedImages(Output):
    """Write `<folder>/<source>/frame-<number>.jpg` for each frame and `sheet.jpg` with the verdict.

    Each run makes new folders and leaves all files that are there: `<source>-2` follows `<source>`.
    `emit` and `close` raise FolderError if an image cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        """Create `folder`. Raises FolderError."""
        self._folder = folder
        self._folders: dict[str, Path] = {}
        self._frames: dict[str, list[Path]] = {}  # by source, of sources without a verdict
        with folder_errors("--save", folder):
            folder.mkdir(parents=True, exist_ok=True)

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
        """Return the source's folder. On first use, create it under the first name that is free."""
        if source not in self._folders:
            name = folder_name(source)
            for folder in map(self._folder.joinpath, chain([name], (f"{name}-{number}" for number in count(2)))):
                with suppress(FileExistsError):  # of an earlier run, of another process, or the user's own
                    folder.mkdir(parents=True)
                    self._folders[source] = folder
                    break
        return self._folders[source]


def folder_name(source: str) -> str:
    """Return a folder name that no other source has: what is readable of a login, URL or path, then a hash.

    A name that needs no change, such as a login, is its own. Otherwise unsafe characters become `_`, the scheme is
    dropped, and the hash tells apart what looks the same.
    """
    if _PLAIN_NAME.fullmatch(source):
        return source
    readable = _UNSAFE_CHARACTERS.sub("_", source.partition("://")[2] or source)
    readable = readable.strip("._-")[-_MAX_NAME_LENGTH:].lstrip("._-")
    digest = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest
