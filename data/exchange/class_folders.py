"""Class folders: a folder of pictures for each game, as image sets for classification are published.

    Chess/img.png   train/Chess/img.jpg   val/Chess/ann/1.webp   Chess/ann-12.jpg

The folders of a split are merged. Subfolders of a class stand for streamers, or the prefixes of file names do; without
them each folder does, so that no split of the set is mixed by a split by streamer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from data.capture.pictures import MAX_PICTURE_BYTES, SUFFIXES
from data.entities import FrameDetails
from data.exchange.import_stats import ImportStats
from data.exchange.importer import Picture
from data.exchange.logins import SPLITS, Streamer, folder_login, named_logins, picture_login
from data.exchange.places import LINK_OUT, is_export, leads_out, refuse_export
from data.readers import read_regular_file
from data.text import printable, printable_line

ARCHIVE = "it is an archive; unpack it and repeat the command"
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"}


def find_pictures(root: Path, stats: ImportStats, game: str = "", streamer: Streamer = "folder") -> Iterator[Picture]:
    """Yield the pictures below `root`, in order. Hidden files are left out, others are counted in `stats`.

    game: of all pictures; "": the first folder below `root` or below the folder of a split names it.
    Raises DatasetError: the folder is an export or a part of one, which has a reader of its own.
    """
    refuse_export(root)
    set_name = root.resolve().name
    for folders, path in _files(root, stats):
        name = "/".join((set_name, *folders, path.name))
        if not (class_name := printable_line(game or _class_name(folders))):
            stats.leave_out(name, "it lies in no folder of a game")
            continue
        below = folders if game else folders[folders.index(_class_name(folders)) + 1 :]
        is_named = streamer == "folder" and (login := folder_login(below))
        yield Picture(
            name,
            class_name,
            login if is_named else picture_login(folders, path.stem, streamer, set_name),
            partial(read_regular_file, path, MAX_PICTURE_BYTES),
            FrameDetails(origin=printable(name)),
            named=named_logins((set_name, *below) if game else below, path.stem),
        )


def one_picture(path: Path, game: str) -> Picture:
    """Return a picture of a game that is named by its path."""
    read = partial(read_regular_file, path, MAX_PICTURE_BYTES)
    login = picture_login((), path.stem, "prefix", path.parent.name)
    named = named_logins((path.parent.name,), path.stem)
    return Picture(path.name, game, login, read, FrameDetails(origin=printable(str(path))), named=named)


def is_picture(path: Path) -> bool:
    """Return whether the suffix is that of a picture that can be read."""
    return path.suffix.lower() in SUFFIXES


def is_archive(path: Path) -> bool:
    """Return whether the suffix is that of an archive, of which nothing is read."""
    return path.suffix.lower() in _ARCHIVES


def _class_name(folders: Sequence[str]) -> str:
    """Return the folder that names the game: the first one behind those of a split; "" without one."""
    return next((name for name in folders if name.casefold() not in SPLITS), "")


def _files(root: Path, stats: ImportStats) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield the pictures below `root`, each with the names of the folders down to it. Each folder is read once."""
    visited: set[tuple[int, int]] = set()  # links may lead in circles
    pending: list[tuple[str, ...]] = [()]  # a list, since folders may be nested more deeply than functions
    while pending:
        folders = pending.pop()
        folder = root.joinpath(*folders)
        try:
            status = folder.stat()
            entries = _visible_entries(folder)
        except OSError as error:
            stats.leave_out(str(folder), error.strerror or str(error))
            continue
        if (place := (status.st_dev, status.st_ino)) in visited:
            stats.leave_out(str(folder), "it is a link to a folder that was read already")
            continue
        visited.add(place)
        if folders and is_export(folder, {entry.name for entry in entries}):
            stats.leave_out(str(folder), "it is an export; add it by itself")
            continue
        entries = [entry for entry in entries if not _is_link_out(entry, root, stats)]
        for entry in entries:
            if not _is_folder(entry) and _is_readable(path := Path(entry), stats):
                yield folders, path
        pending += [(*folders, entry.name) for entry in reversed(entries) if _is_folder(entry)]


def _is_link_out(entry: os.DirEntry[str], root: Path, stats: ImportStats) -> bool:
    """Return whether the entry is a link to a place outside of `root`; count and log it then."""
    if is_out := entry.is_symlink() and leads_out(entry.path, root):
        stats.leave_out(entry.path, LINK_OUT)
    return is_out


def _visible_entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        # By length first: img2 comes before img10.
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: (len(e.name), e.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # of a link to itself
        return entry.is_dir()
    return False


def _is_readable(path: Path, stats: ImportStats) -> bool:
    """Return whether this is a picture; count it otherwise."""
    if is_archive(path):
        stats.leave_out(str(path), ARCHIVE)
    elif not is_picture(path):
        stats.leave_out_other(str(path))
    return is_picture(path)
