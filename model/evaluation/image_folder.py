"""Image folder: labelled images on disk, one subfolder per game, such as the dataset's own or one sorted by hand."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.entities import Game
from data.errors import DatasetError, UndecodableVideo
from data.video.images import decode_resized

log = logging.getLogger(__name__)

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_NUMBER = re.compile(r"(?<=.)[-_ ][0-9]+$")  # of <stream>-<n>, the dataset's form; others number with _ or a space
_BATCH = 64


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file and the game that it shows."""

    path: Path
    game_name: str
    stream: str  # the name before the number in `<stream>-<n>.jpg`, or the whole name without its suffix
    known_game: Game | None  # the model's class; None for a game that the model does not know

    def pixels(self, size: int) -> np.ndarray:
        """Decode the file, uint8 (size, size, 3), RGB. Raises OSError or UndecodableVideo."""
        return decode_resized(self.path.read_bytes(), size)


def list_images(root: Path, classes: Sequence[Game], names: dict[int, str]) -> list[LabelledImage]:
    """List the images in the subfolders of `root`, sorted by path.

    A subfolder is named by its game's id, or by the game's name in any case. `names` has the names of ids that are not
    among `classes`. Hidden files and folders are ignored. Raises DatasetError if `root` is unreadable or has no image.
    """
    game_of = {key: game for game in classes for key in (str(game.id), game.name.casefold())}
    name_of = {str(game_id): name for game_id, name in names.items()}
    found: list[LabelledImage] = []
    for folder in filter(Path.is_dir, _visible_entries(root)):
        known_game = game_of.get(folder.name.casefold())
        name = known_game.name if known_game else name_of.get(folder.name, folder.name)
        files = [path for path in _visible_entries(folder) if path.suffix.lower() in _SUFFIXES]
        found += [LabelledImage(path, name, _NUMBER.sub("", path.stem), known_game) for path in files]
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
            decoded = [pair for pairs in pool.map(lambda image: _decode(image, img_size), batch) for pair in pairs]
            if decoded:
                yield [image for image, _ in decoded], np.stack([pixels for _, pixels in decoded])


def _decode(image: LabelledImage, img_size: int) -> list[tuple[LabelledImage, np.ndarray]]:
    """Return the image with its pixels, or an empty list after logging that it is unreadable."""
    try:
        return [(image, image.pixels(img_size))]
    except (UndecodableVideo, OSError):
        log.warning("%s cannot be decoded and is skipped.", image.path)
        return []


def _visible_entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"Cannot read {folder}: {error.strerror}.") from error
