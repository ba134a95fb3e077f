"""Image folder: labelled images on disk, one subfolder per game, such as the dataset's own or one sorted by hand."""

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
from data.video.images import decode_resized

log = logging.getLogger(__name__)

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_NUMBERED = re.compile(r"(.+)[-_ ][0-9]+")  # <stream>-<n>, the dataset's form; others number with _ or a space
_BATCH = 64


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file and the game that it shows."""

    path: Path
    game_name: str
    stream: str  # the name before the number in `<stream>-<n>.jpg`, or the whole name without its suffix
    known_game: Game | None  # the model's class; None for a game that the model does not know

    @property
    def frame(self) -> StoredFrame:
        """Game and stream as model.evaluation.metrics takes them; valid for an image of a known game only."""
        return StoredFrame(self.known_game.id if self.known_game else 0, self.stream, 1)

    def pixels(self, size: int) -> np.ndarray:
        """Decode the file, uint8 (size, size, 3), RGB. Raises OSError or UndecodableVideo."""
        return decode_resized(self.path.read_bytes(), size)


def list_images(root: Path, classes: Sequence[Game], names: dict[int, str]) -> list[LabelledImage]:
    """List the images in the subfolders of `root`, sorted by path.

    A subfolder is named by its game's id, or by the game's name in any case. `names` has the names of ids that are not
    among `classes`. Hidden files and folders are ignored. Raises DatasetError if `root` is unreadable or has no image.
    """
    by_folder_name = {key: game for game in classes for key in (str(game.id), game.name.casefold())}
    found: list[LabelledImage] = []
    for folder in sorted(path for path in _entries(root) if path.is_dir() and not path.name.startswith(".")):
        known_game = by_folder_name.get(folder.name.casefold())
        name = known_game.name if known_game else _game_name(folder, names)
        files = sorted(path for path in _entries(folder) if path.suffix.lower() in _SUFFIXES and path.name[0] != ".")
        found += [LabelledImage(path, name, _stream(path), known_game) for path in files]
    if not found:
        raise DatasetError(f"No images found in {root}. Put the images of each game into a folder of its own there.")
    return found


def iter_batches(images: Sequence[LabelledImage], img_size: int) -> Iterator[tuple[list[LabelledImage], np.ndarray]]:
    """Yield batches in order: the images, and their pixels as uint8 (n, img_size, img_size, 3), RGB.

    Unreadable images are logged and skipped.
    """
    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            decoded = pool.map(lambda image: _decode(image, img_size), batch)
            readable = [pair for pairs in decoded for pair in pairs]
            if readable:
                yield [image for image, _ in readable], np.stack([pixels for _, pixels in readable])


def _decode(image: LabelledImage, img_size: int) -> list[tuple[LabelledImage, np.ndarray]]:
    """Return the image with its pixels, or an empty list after logging that it is unreadable."""
    try:
        return [(image, image.pixels(img_size))]
    except (UndecodableVideo, OSError):
        log.warning("%s cannot be decoded and is skipped.", image.path)
        return []


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"Cannot read {folder}: {error.strerror}.") from error


def _game_name(folder: Path, names: dict[int, str]) -> str:
    is_id = folder.name.isascii() and folder.name.isdecimal()
    return names.get(int(folder.name), folder.name) if is_id else folder.name


def _stream(path: Path) -> str:
    match = _NUMBERED.fullmatch(path.stem)
    return match[1] if match else path.stem
