"""Image folder: labelled images on disk, one subfolder per game, such as the dataset's own or one sorted by hand."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from data.entities import Game
from data.errors import DatasetError
from data.text import printable, printable_line
from model.datasets import image_files
from model.terminal.progress import Progress, no_progress

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


def list_images(root: Path, classes: Sequence[Game], names: dict[int, str]) -> list[LabelledImage]:
    """List the images in the subfolders of `root`, sorted by path.

    A subfolder is named by its game's id, or by the game's name in any case. `names` has the names of ids that are not
    among `classes`. Hidden files and folders are ignored, unreadable folders are logged. Raises DatasetError if `root`
    is unreadable or has no image.
    """
    game_of = {key: game for game in classes for key in (str(game.id), game.name.casefold())}
    name_of = {str(game_id): name for game_id, name in names.items()}
    found: list[LabelledImage] = []
    for folder in filter(os.path.isdir, _visible_entries(root)):  # unlike Path.is_dir, it never raises
        known_game = game_of.get(folder.name.casefold())
        name = known_game.name if known_game else name_of.get(folder.name, folder.name)
        try:
            files = [path for path in _visible_entries(folder) if path.suffix.lower() in _SUFFIXES]
        except DatasetError as error:
            log.warning("%s The folder is skipped.", error)
            continue
        # A name need not be UTF-8, but it goes into reports.
        name = printable_line(printable(name)) or "?"
        found += [LabelledImage(path, name, _NUMBER.sub("", path.stem), known_game) for path in files]
    if not found:
        raise DatasetError(
            f"No images found in {printable(str(root))}. Put the images of each game into a folder of its own there."
        )
    return found


def iter_batches(
    images: Sequence[LabelledImage], img_size: int, progress: Progress = no_progress
) -> Iterator[tuple[list[LabelledImage], np.ndarray]]:
    """Yield batches in order: the images, and their pixels as uint8 (n, img_size, img_size, 3), RGB.

    Unusable images are logged and skipped.
    """
    decoded = image_files.read_all(
        [image.path for image in images], lambda path: image_files.read_image(path, img_size)
    )
    pairs = ((image, pixels) for image, pixels in zip(images, decoded, strict=True) if pixels is not None)
    with progress("images", len(images)) as advance:
        while batch := list(islice(pairs, _BATCH)):
            yield [image for image, _ in batch], np.stack([pixels for _, pixels in batch])
            advance(len(batch))


def _visible_entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError as error:
        name = printable(str(folder))
        raise DatasetError(
            f"{name} does not exist. Name another folder, or collect frames: python -m data.download"
        ) from error
    except OSError as error:
        raise DatasetError(f"Cannot read {printable(str(folder))}: {error.strerror}.") from error
