"""Contact sheet of the dataset: a few frames of each game below its name, as a PNG file."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data.atomic import atomic_file
from data.errors import DatasetError, FolderError
from data.text import printable

if TYPE_CHECKING:
    from data.entities import StoredFrame
    from data.storage.frame_store import FrameStore

_FRAMES = 4  # of each game


def write_sheet(store: FrameStore, path: Path) -> None:
    """Write the sheet, games by name, in place of the file `path`. Raises DatasetError without frames, FolderError."""
    from data.video.contact_sheet import contact_sheet

    chosen = choose_frames(store.frames())
    if not chosen:
        raise DatasetError(f"There are no frames in {printable(store.location)} for a contact sheet; collect some.")
    names = store.game_names()
    titles = {game_id: names.get(game_id, "") for game_id in chosen}
    games = sorted(chosen, key=lambda game_id: (titles[game_id].casefold(), game_id))
    # The id too: a system without the fonts for a name draws boxes.
    frames = [frame for game_id in games for frame in chosen[game_id]]
    read = dict(zip(frames, store.files.each(partial(_read, store), frames), strict=True))
    pictures = {game_id: [jpeg for frame in chosen[game_id] if (jpeg := read[frame])] for game_id in games}
    cells = [(f"{titles[game_id]} ({game_id})".lstrip(), pictures[game_id]) for game_id in games]
    png = contact_sheet(cells)
    try:
        with atomic_file(path) as temporary:
            temporary.write_bytes(png)
    except OSError as error:
        raise FolderError(f"{printable(str(path))}: {error.strerror or error}: choose another path.") from error


def choose_frames(frames: Iterable[StoredFrame]) -> dict[int, list[StoredFrame]]:
    """Return up to 4 frames of each game by its id, of as many streamers as possible; always the same ones."""
    from data.video.sampling import bit_reversed, evenly_spaced

    games: dict[int, dict[str, list[StoredFrame]]] = {}
    for frame in frames:
        games.setdefault(frame.game_id, {}).setdefault(frame.login, []).append(frame)
    chosen = {}
    for game_id, streamers in games.items():
        turns: list[tuple[int, str, StoredFrame]] = []
        for login, group in streamers.items():
            # The middle one first: a stream may begin with a title or a black screen.
            first, *others = bit_reversed(sorted(group, key=lambda frame: frame.number))
            turns += [(turn, login, frame) for turn, frame in enumerate([*others[:_FRAMES], first])]
        # One of every streamer, then a second one.
        candidates = sorted(turns, key=lambda turn: turn[:2])[: max(_FRAMES, len(streamers))]
        chosen[game_id] = [frame for _, _, frame in evenly_spaced(candidates, _FRAMES)]
    return chosen


def _read(store: FrameStore, frame: StoredFrame) -> bytes:
    """Return the frame's bytes; b"" if it is deleted meanwhile."""
    with suppress(FolderError):
        return store.read(frame)
    return b""
