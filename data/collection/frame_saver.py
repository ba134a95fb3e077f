"""Frame saver: the files of a grab, then their rows; never a row without a file, nor a frame that is not wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.collection.interfaces import FrameIndex, FrameWriter
from data.entities import FrameDetails, Game
from data.errors import LoginForgotten

# Reasons why frames are dropped. The dataset has the frame already, byte for byte; the user excluded the streamer, or
# removed the game, during the grab.
_IDENTICAL, _EXCLUDED, _REMOVED = "identical", "excluded streamer", "removed game"


class FrameSaver:
    """Saves frames in `store` and `index`; `is_excluded` says whether frames of a login must not be kept."""

    def __init__(self, store: FrameWriter, index: FrameIndex, is_excluded: Callable[[str], bool]) -> None:
        self._store = store
        self._index = index
        self._is_excluded = is_excluded

    def save(self, game: Game, login: str, frames: Sequence[tuple[bytes, FrameDetails]]) -> tuple[int, str]:
        """Write the files, then their rows; delete files that get no row.

        Return the number of rows, and the reason why the other frames have none. Raises FolderError,
        CatalogUnavailable.
        """
        if game.id in self._store.removed_games():  # a file would bring the folder back
            return 0, _REMOVED
        jpegs, details = zip(*frames, strict=True)
        try:
            saved = self._store.save(game.id, login, jpegs, details)
        except LoginForgotten:
            return 0, _EXCLUDED
        try:
            # A kill before this line leaves files without rows, which dbSync adopts.
            identical = self._index.add_frames(saved) or ()
        except BaseException:
            self._store.delete(saved)
            raise
        # Asked last: who forgets a streamer first adds the login to the list, then deletes files and rows.
        if self._is_excluded(login):
            self._index.remove_frames(saved)
            self._store.delete(saved)
            return 0, _EXCLUDED
        self._store.delete(identical)
        return len(saved) - len(identical), _IDENTICAL
