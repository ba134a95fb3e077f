"""Places that a folder of pictures must not lead to: exports, whose pictures have logins and games, and other folders.

An export is read by its list of files (data.exchange.exported). Read as a folder of pictures, it would make one
streamer of all those of a game.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from data.errors import DatasetError
from data.exchange.destination import INCOMPLETE_FILE, MANIFEST_FILE
from data.readers import open_regular_file
from data.text import printable

LINK_OUT = "it is a link that leads out of the folder"
_HEAD_BYTES = 1 << 20
_LEVELS = 3  # <export>/data/train/Chess
_COLUMNS = (b"sha256", b"game_id", b"login")
# What an export writes, and what such a file holds; others write files of these names, too.
_TRACES = {
    MANIFEST_FILE: (b'"format"', b'"samples"'),
    INCOMPLETE_FILE: (),
    **dict.fromkeys(("metadata.jsonl", "samples.json", "croissant.json"), _COLUMNS),
}


def leads_out(path: str | Path, root: str | Path) -> bool:
    """Return whether a path below `root` leads to a place outside of it, through links."""
    real_root = os.path.realpath(root)
    return os.path.commonpath((os.path.realpath(path), real_root)) != real_root


def refuse_export(folder: Path) -> None:
    """Raise DatasetError if the folder is an export, or lies in one, complete or not."""
    shown, real = printable(str(folder)), Path(os.path.realpath(folder))
    places = [real, *list(real.parents)[:_LEVELS]]
    if complete := next((place for place in places if is_export(place, [MANIFEST_FILE])), None):
        raise DatasetError(f"{shown} is part of an export: name its folder {printable(str(complete))}, and no game.")
    if cut := next((place for place in places if is_export(place, _TRACES)), None):
        raise DatasetError(
            f"{shown}: this export is not complete, {MANIFEST_FILE} is missing in {printable(str(cut))} or above it: "
            "copy all of it, or export again."
        )


def is_export(folder: Path, names: Collection[str]) -> bool:
    """Return whether one of the files `names` in the folder is what an export writes. Others are not opened."""
    return any(_holds(folder / name, _TRACES[name]) for name in _TRACES.keys() & names)


def _holds(path: Path, words: Collection[bytes]) -> bool:
    """Return whether the file begins with a text that has these words."""
    try:
        with open_regular_file(path) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return all(word in head for word in words)
