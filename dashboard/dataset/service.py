"""Dataset service: what the operations of /dataset do, on the index in memory; a thread keeps it up to date."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from config import Settings
from dashboard.dataset.follower import CatalogFollower
from dashboard.dataset.history import ChangeHistory
from dashboard.dataset.index import DatasetIndex
from dashboard.dataset.likeness import Likeness
from dashboard.dataset.queries import FrameQuery, QueryCache
from dashboard.dataset.summary import DatasetSummary, summarise_frames
from data.entities import Game, StoredFrame
from data.errors import CatalogUnavailable, DatasetError, FolderError
from data.storage.changes import FrameChanges, Move
from data.storage.journal import Change
from data.text import plural, printable_line

_INTERVAL_S = 2.0  # between two rounds
_IDLE_S = 30.0  # after the last request the rounds pause
_FIRST_LOAD_S = 20.0  # that a request waits for it
_WAIT_S = 10.0  # that a change waits for another one
_NEIGHBOURS = 12
_MAX_PICTURE_BYTES = 64 << 20
_JPEG_START = b"\xff\xd8\xff"
_MAX_CHANGED = 50_000  # frames in one change: as many take about 20 s


class DatasetService:
    """The dataset. Its methods may wait for disk and database: call them in threads."""

    def __init__(self, settings: Settings) -> None:
        self._follower = CatalogFollower(settings)
        self.store = self._follower.store
        self.history = ChangeHistory(self.store.files)
        self._likeness = Likeness(self.store)
        self._cache = QueryCache(self._likeness.similarities)
        self._changing = threading.Lock()
        self._stop, self._wake = threading.Event(), threading.Event()
        self._used_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="dataset", daemon=True)
        self._summary: DatasetSummary | None = None

    def start(self) -> None:
        """Begin to read the dataset, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop following, and leave the database."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_WAIT_S)
        self._follower.close()

    @property
    def index(self) -> DatasetIndex:
        """The current index; only the first request waits until it is read."""
        self._wait()
        return self._follower.index

    @property
    def is_loaded(self) -> bool:
        """Whether the dataset was read once: until then `index` waits."""
        return self._follower.loaded.is_set()

    @property
    def current(self) -> DatasetIndex:
        """The index as it is, for those who do not look at it: it does not keep the rounds going."""
        return self._follower.index

    def follow(self) -> None:
        """Bring the index up to date now, not only in the next round."""
        self._follower.follow()

    @property
    def outage(self) -> str:
        """Why the database is away; empty if it is not."""
        return self._follower.outage

    @property
    def message(self) -> str:
        """What is wrong, and what to do; empty if nothing is."""
        return self._follower.message

    def positions(self, index: DatasetIndex, query: FrameQuery) -> np.ndarray:
        """Return the positions of the frames that match, in order, int32 (m,). Raises DatasetError: no features."""
        return self._cache.positions(index, query)

    def summary(self, index: DatasetIndex) -> DatasetSummary:
        """Return the numbers of the dataset's games."""
        summary = self._summary
        if summary is None or summary.version != index.version:
            summary = self._summary = summarise_frames(index)
        return summary

    def neighbours(self, index: DatasetIndex, position: int, wait_s: float) -> list[tuple[int, float]] | None:
        """Return the most similar frames; None: their features are still being read after `wait_s` seconds."""
        return self._likeness.neighbours(index, position, _NEIGHBOURS, wait_s)

    def described(self, frame: StoredFrame) -> StoredFrame:
        """Return the frame with its details: of the catalog, or of the manifest while the database is away."""
        try:
            return self._follower.require_catalog().frame(frame.path) or frame
        except CatalogUnavailable:
            return self.store.described([frame])[0]

    def picture(self, path: str, head: str) -> bytes:
        """Return a JPEG below the root. Raises FolderError: it is gone, or its SHA-256 does not begin with `head`."""
        try:
            content = self.store.files.read(path, _MAX_PICTURE_BYTES)
        except FileNotFoundError as error:
            raise FolderError(f"{path}: {error.strerror}.") from error
        if not content.startswith(_JPEG_START):  # the file may be a link to any other one
            raise FolderError(f"{path} is no JPEG.")
        if head and not hashlib.sha256(content).hexdigest().startswith(head):
            raise FolderError(f"{path} is another picture by now.")
        return content

    def move(self, index: DatasetIndex, positions: np.ndarray, target: int | None, reason: str) -> Change:
        """Move the frames at these positions to another game, or to the trash.

        Raises FolderError, CatalogUnavailable, DatasetError.
        """
        if len(positions) > _MAX_CHANGED:
            raise DatasetError(
                f"{len(positions):,} frames are too many for one change: choose at most {_MAX_CHANGED:,}."
            )
        moves = [Move(index.frame(position), target, reason) for position in positions.tolist()]
        words = _words([move.frame for move in moves], target, self._follower.index.names)
        summary = f"{reason}: {plural(len(moves), 'frame')} {printable_line(words)}"
        return self._change(lambda changes: changes.apply(moves, summary))

    def undo(self, change_id: str | None = None) -> Change:
        """Undo a change, by default the last one that is not undone. Raises FolderError, CatalogUnavailable."""
        return self._change(lambda changes: changes.undo(change_id))

    def add_game(self, name: str) -> Game:
        """Return the game with this name, also one that was removed, or a new one. Raises as `move` does."""
        self._wait()
        catalog = self._follower.require_catalog()
        game = self.store.add_own_game(name)
        catalog.add_games([game])
        self._follower.compare_next()
        self._follower.follow()
        return game

    def _wait(self) -> None:
        """Note that somebody looks; wait until the dataset was read once."""
        self._used_at = time.monotonic()
        self._wake.set()
        self._follower.loaded.wait(_FIRST_LOAD_S)

    def _change(self, work: Callable[[FrameChanges], Change]) -> Change:
        if not self._changing.acquire(timeout=_WAIT_S):
            raise DatasetError("Another change is still running: try again when it has ended.")
        try:
            self._wait()
            change = work(self._follower.changes())
            self._follower.apply(change)
            return change
        finally:
            self._follower.compare_next()
            self._changing.release()

    def _run(self) -> None:
        """Follow the dataset while anyone looks."""
        while not self._stop.is_set():
            # In the middle of a change of our own, files and rows have moved and the index has not.
            if not self._changing.locked():
                self._follower.follow()
            self._stop.wait(_INTERVAL_S)
            self._wake.clear()
            if time.monotonic() - self._used_at > _IDLE_S and not self._stop.is_set():
                self._wake.wait()


def _words(frames: Sequence[StoredFrame], target: int | None, names: Mapping[int, str]) -> str:
    """Return which frames go where: the streamer and the game if all frames share them, and the target."""
    logins, games = {frame.login for frame in frames}, {frame.game_id for frame in frames}
    of_streamer = f"of {logins.pop()} " if len(logins) == 1 else ""
    from_game = f"from {_name(games.pop(), names)} " if len(games) == 1 else ""
    return f"{of_streamer}{from_game}to {_name(target, names) if target else 'the trash'}"


def _name(game_id: int, names: Mapping[int, str]) -> str:
    return names.get(game_id, f"game {game_id}")
