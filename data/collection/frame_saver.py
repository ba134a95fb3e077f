"""Frame saver: the files of a grab, then their rows; never a row without a file, nor a frame that is not wanted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Container, Sequence

from data.collection.interfaces import FrameIndex, FrameWriter
from data.collection.stream_grabs import GrabResult, GrabTask
from data.entities import FrameDetails
from data.errors import AllFramesRejected, LoginForgotten

# Reasons why frames are dropped. The dataset, or its trash, has the frame already, byte for byte; the user excluded the
# streamer, or removed the game, during the grab.
_IDENTICAL, _TRASHED, _EXCLUDED, _REMOVED = "identical", "in the trash", "excluded streamer", "removed game"


class FrameSaver:
    """Saves frames in `store` and `index`.

    Args:
        store, index: files and rows of the frames.
        is_excluded: whether frames of a login must not be kept.
        trashed: SHA-256 of frames that must not be kept.
    """

    def __init__(
        self, store: FrameWriter, index: FrameIndex, is_excluded: Callable[[str], bool], trashed: Container[bytes]
    ) -> None:
        self._store = store
        self._index = index
        self._is_excluded = is_excluded
        self._trashed = trashed

    def save(self, task: GrabTask, result: GrabResult) -> GrabResult:
        """Write the files of a grab, then their rows; delete files that get no row. Return its result without frames.

        Raises FolderError, CatalogUnavailable.
        """
        login = task.stream.login
        wanted = [frame for frame in result.frames if hashlib.sha256(frame[0]).digest() not in self._trashed]
        saved, reason = self._save(task.game.id, login, wanted) if wanted else (0, "")
        dropped = +Counter({_TRASHED: len(result.frames) - len(wanted), reason: len(wanted) - saved})
        failure = result.failure
        if dropped and not saved and failure is None:
            failure = AllFramesRejected(f"{login}: all frames were rejected ({', '.join(dropped)})")
        return GrabResult([], result.rejected + dropped, failure, result.saved + saved)

    def _save(self, game_id: int, login: str, frames: Sequence[tuple[bytes, FrameDetails]]) -> tuple[int, str]:
        """Return the number of rows, and the reason why the other frames have none."""
        if game_id in self._store.removed_games():  # a file would bring the folder back
            return 0, _REMOVED
        jpegs, details = zip(*frames, strict=True)
        try:
            saved = self._store.save(game_id, login, jpegs, details)
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
