"""Pictures in a folder, one folder a game: the dataset's own, or any that somebody sorted by hand. No TensorFlow."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.entities import Game, StoredFrame
from data.errors import DatasetError, UndecodableVideo
from data.video.decoder import fitted

log = logging.getLogger(__name__)

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_NUMBERED = re.compile(r"(.+)[-_ ][0-9]+")
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """A file, the name of the `game` it shows, and its `stream`: `<stream>-<n>.jpg`, or the file's own name.

    `known`: the model's class, or None for a game that it has none for.
    """

    path: Path
    game: str
    stream: str
    known: Game | None

    @property
    def frame(self) -> StoredFrame:
        """For model.evaluation.metrics, which asks for game and streamer. Of a known game."""
        return StoredFrame(self.known.id if self.known else 0, self.stream, 1)


def pictures(root: Path, classes: Sequence[Game], names: dict[int, str]) -> list[Picture]:
    """Those in the folders of `root`, sorted by path. A folder is named by its game's id or name, in any case.

    `names`: of ids, for games that are none of `classes`. Raises DatasetError: there are none.
    """
    by_word = {word: game for game in classes for word in (str(game.id), game.name.casefold())}
    found: list[Picture] = []
    for folder in sorted(path for path in _entries(root) if path.is_dir() and not path.name.startswith(".")):
        known = by_word.get(folder.name.casefold())
        name = known.name if known else names.get(int(folder.name), folder.name) if _is_id(folder) else folder.name
        files = sorted(path for path in _entries(folder) if path.suffix.lower() in _SUFFIXES and path.name[0] != ".")
        found += [Picture(path, name, _stream(path), known) for path in files]
    if not found:
        raise DatasetError(f"There are no pictures in {root}: it takes a folder for each game, with pictures in it.")
    return found


def batches(some: Sequence[Picture], img_size: int) -> Iterator[tuple[list[Picture], np.ndarray]]:
    """The pictures in their order with their pixels, uint8 (n, img_size, img_size, 3) RGB.

    What cannot be read is named in a warning and left out.
    """
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(some), _BATCH):
            batch = some[start : start + _BATCH]
            read = [(one, pixels) for one, pixels in pool.map(lambda one: _read(one, img_size), batch) if pixels.size]
            if read:
                yield [one for one, _ in read], np.stack([pixels for _, pixels in read])


def _read(picture: Picture, img_size: int) -> tuple[Picture, np.ndarray]:
    """With no pixels where there are none."""
    try:
        return picture, fitted(picture.path.read_bytes(), img_size)
    except (UndecodableVideo, OSError):
        log.warning("%s cannot be decoded and is left out.", picture.path)
        return picture, np.empty(0, np.uint8)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"Cannot read {folder}: {error.strerror}.") from error


def _is_id(folder: Path) -> bool:
    return folder.name.isascii() and folder.name.isdecimal()


def _stream(path: Path) -> str:
    match = _NUMBERED.fullmatch(path.stem)
    return match[1] if match else path.stem
