"""Picture files: a picture, or a folder of pictures, as a source of which each picture is a frame."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from data.errors import SourceNotFound, UndecodableVideo
from data.readers import read_regular_file
from data.text import plural
from data.video.sampling import bit_reversed, evenly_spaced

log = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"}  # a GIF is a video
MAX_PICTURE_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """The pictures of one source, in the order of their numbers. `paths` is not empty."""

    name: str
    paths: tuple[Path, ...]

    def jpegs(
        self, max_frames: int | None, img_size: int, jpeg_quality: int, *, spread_first: bool = False
    ) -> Iterator[bytes]:
        """Yield up to `max_frames` pictures, spread over all of them, as JPEGs of `img_size` x `img_size` pixels.

        `spread_first`: yield them in the order of `bit_reversed`. One that cannot be decoded is left out, and another
        one takes its place. Raises UndecodableVideo before the first one if none can be decoded.
        """
        chosen = evenly_spaced(self.paths, max_frames or len(self.paths))
        others = sorted(set(self.paths).difference(chosen), key=_natural_order)
        count, failures = 0, []
        try:
            for path in chain(bit_reversed(chosen) if spread_first else chosen, others):
                try:
                    jpeg = _read(path, img_size, jpeg_quality)
                except (OSError, UndecodableVideo) as error:
                    failures.append(f"{path.name}: {error}")
                    continue
                count += 1
                yield jpeg
                if count == max_frames:
                    break
        finally:
            if failures and count:
                log.warning("%s: %s left out: %s", self.name, plural(len(failures), "picture"), failures[0])
        if not count:
            raise UndecodableVideo(f"{self.name}: no picture can be decoded; {failures[0]}")


def find_pictures(source: str) -> PictureFiles | None:
    """Return the picture at the path `source`, or those of the folder there; None if it is another file or missing.

    Hidden files and files in folders of the folder are left out. Raises SourceNotFound for a folder without a picture,
    OSError for an unreadable one.
    """
    # These two are False for a text that is too long for a path, where those of Path raise an error.
    is_folder, is_file = os.path.isdir(source), os.path.isfile(source)  # noqa: PTH112, PTH113
    files = _visible_files(source) if is_folder else [Path(source)] if is_file else []
    pictures = sorted((file for file in files if file.suffix.lower() in SUFFIXES), key=_natural_order)
    if is_folder and not pictures:
        raise SourceNotFound(f"{source} is a folder without a picture ({', '.join(sorted(SUFFIXES))})")
    return PictureFiles(source, tuple(pictures)) if pictures else None


def _visible_files(folder: str) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry) for entry in entries if entry.is_file() and not entry.name.startswith(".")]


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    """Return the key by which 2.png comes before 10.png."""
    parts = re.split("([0-9]+)", path.name.casefold())  # text, number, text, …
    return [int(part) if part.isdecimal() else part for part in parts], path.name


def _read(path: Path, img_size: int, jpeg_quality: int) -> bytes:
    """Return a picture as a JPEG of the size. Raises OSError, UndecodableVideo."""
    from data.video.images import picture_to_frame  # OpenCV: most sources need it later

    return picture_to_frame(read_regular_file(path, MAX_PICTURE_BYTES), img_size, jpeg_quality)
