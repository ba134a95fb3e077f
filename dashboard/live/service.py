"""Watch service: the channels of the wall, watched together, and the messages that tell of them.

add        refuse what is not allowed, there already or too much; open the watch with the first channel; add a tile
a thread   takes the events of the watch, applies each to its tile, and appends a message to the log
remove     the tile goes; the watch ends with the last one
failure    the watch cannot begin, or breaks: the tiles say why, and it is tried again every 15 s
clients    read the log on from where they are (dashboard.live.event_log)
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from dashboard.live.channel_file import ChannelFile
from dashboard.live.event_log import EventLog
from dashboard.live.tile import Tile
from data.errors import SettingsError, ToolkitError
from data.memory import trim_periodically
from recognition.events import Event, FrameClassified, GameChanged, VerdictReached, as_json, now

if TYPE_CHECKING:
    from config import Settings
    from recognition.categories import CategoryPoller
    from recognition.engine.watcher import Watcher
    from recognition.recognizer import Recognizer

MAX_CHANNELS = 200
MAX_ENTRIES = 1000  # of the log of changes
_TILE_S = 1.0  # between two messages of a tile whose frames come faster
_RETRY_S = 15.0  # until a watch that cannot begin, or broke, is tried again
_NAMES = {"frame": "tile", "change": "change", "verdict": "verdict", "failure": "failure"}

log = logging.getLogger(__name__)


class WatchService:
    """The live wall. Thread-safe; nothing is loaded before the first channel.

    Args:
        settings: the toolkit's settings.
        recognizer: returns the recogniser, which its owner closes; raises ModelError.
        check: returns a source in its canonical form; raises SettingsError for one that is not allowed.
    """

    def __init__(self, settings: Settings, recognizer: Callable[[], Recognizer], check: Callable[[str], str]) -> None:
        self.log = EventLog()
        self._recognizer, self._check = recognizer, check
        self._file = ChannelFile(settings.download_path / "dashboard" / "watch.json")
        self._changing = threading.Lock()  # held while channels are added or removed, and the watch begins
        self._lock = threading.Lock()  # guards the next two; never held for long
        self._tiles: dict[str, Tile] = {}  # by source
        self._entries: deque[dict[str, Any]] = deque(maxlen=MAX_ENTRIES)  # newest last
        self._entry_count = 0
        self._watcher: Watcher | None = None
        self._thread: threading.Thread | None = None
        self._stop, self._closing = threading.Event(), threading.Event()  # of this watch; of the service
        self._categories: CategoryPoller | None = None

    def start(self) -> None:
        """Watch the channels of the former start again; loading the model does not delay the server."""
        for source in self._file.read():
            try:
                name = self._free_name(source)
                self._tiles[name] = Tile(name)
            except SettingsError as error:
                log.warning("%.100r is not watched any more: %s", source, error)
        if self._tiles:
            self._begin_later(0.0)

    def end_streams(self) -> None:
        """Let all clients leave: the server waits for them at its end."""
        self.log.closed = True

    def close(self) -> None:
        """End the watch. The file keeps its channels."""
        self.end_streams()
        self._closing.set()
        with self._changing:
            self._end()

    def tiles(self) -> tuple[list[dict[str, Any]], str]:
        """Return all tiles, and the id of the last message that they contain."""
        with self._lock:
            return [tile.whole() for tile in self._tiles.values()], self.log.last_id

    def entries(self, limit: int) -> list[dict[str, Any]]:
        """Return the latest changes, verdicts and failures, newest first."""
        with self._lock:
            return list(islice(reversed(self._entries), limit))

    def picture(self, tile_id: str) -> tuple[int, bytes] | None:
        """Return the number and the JPEG of a tile's newest frame; None if there is no such tile, or no frame."""
        with self._lock:
            tile = self._find(tile_id)
            return (tile.frames, tile.jpeg) if tile and tile.jpeg else None

    def add(self, sources: Iterable[str]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """Watch more sources; return their tiles, and which sources are refused with the reason.

        Raises ModelError, with which nothing is added.
        """
        added, refused = [], []
        with self._changing:
            for source in sources:
                try:
                    added.append(self._add(self._free_name(source)))
                except SettingsError as error:
                    refused.append((source, str(error)))
            if added:
                self._channels_changed()
        return added, refused

    def remove(self, tile_id: str) -> bool:
        """Stop to watch a channel; return whether there was such a tile."""
        with self._changing:
            if tile := self._find(tile_id):
                self._remove(tile)
                self._channels_changed()
            if not self._tiles:
                self._stop.set()
        return tile is not None

    def _free_name(self, source: str) -> str:
        """Return the canonical form of a source that can be added. Raises SettingsError, which says why not."""
        name = self._check(source)
        tile = self._tiles.get(name)
        if tile and self._is_running() and tile.stream and not tile.stream.finished:
            raise SettingsError("It is on the wall already")
        if not tile and len(self._tiles) >= MAX_CHANNELS:
            raise SettingsError(f"The wall is full: it has {MAX_CHANNELS} channels. Remove one first")
        return name

    def _add(self, source: str) -> dict[str, Any]:
        watcher = self._open()
        if finished := self._tiles.get(source):
            self._remove(finished)
        tile = Tile(source)
        with self._lock:
            self._tiles[source] = tile
            first = tile.first()
            self.log.append("tile", first)
        tile.stream = watcher.add(source)
        return first

    def _remove(self, tile: Tile) -> None:
        with self._lock:
            del self._tiles[tile.source]
            self.log.append("removed", {"id": tile.id})
        if tile.stream and self._watcher:
            self._watcher.remove(tile.stream)

    def _channels_changed(self) -> None:
        self._file.write(tuple(self._tiles))
        if self._categories:
            self._categories.update(tuple(self._tiles))

    def _find(self, tile_id: str) -> Tile | None:
        return next((tile for tile in tuple(self._tiles.values()) if tile.id == tile_id), None)

    def _begin_later(self, wait_s: float) -> None:
        threading.Thread(target=self._begin, args=(wait_s,), name="wall-start", daemon=True).start()

    def _begin(self, wait_s: float) -> None:
        """Begin the watch of the tiles after `wait_s`; try again until it runs."""
        reported = ""
        while not self._closing.wait(wait_s):
            with self._changing:
                try:
                    if self._tiles and not self._closing.is_set():
                        self._open()
                    return
                except Exception as error:  # whatever it is, it may pass
                    if str(error) != reported:
                        log.warning("the watch cannot begin: %s", error, exc_info=not isinstance(error, ToolkitError))
                    self._fail_all(reported := str(error), "model")
            wait_s = _RETRY_S

    def _open(self) -> Watcher:
        """Return the running watch; begin one with all tiles if there is none. Raises ModelError."""
        if self._watcher and self._is_running():
            return self._watcher
        self._end()
        recognizer, self._stop = self._recognizer(), threading.Event()
        if self._categories is None:
            try:
                self._categories = recognizer.category_poller(self._tiles)
            except SettingsError as error:
                log.info("no declared categories: %s", error)
        with ExitStack() as stack:
            stack.enter_context(trim_periodically())
            self._watcher = stack.enter_context(recognizer.open_watch(wait=True, stop=self._stop, endless=True))
            for tile in self._tiles.values():
                tile.stream = self._watcher.add(tile.source)
            own = stack.pop_all()
        self._thread = threading.Thread(target=self._follow, args=(self._watcher, own), name="wall", daemon=True)
        self._thread.start()
        return self._watcher

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def _end(self) -> None:
        """End the watch, if there is one, and wait for its thread."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        self._watcher = self._thread = None

    def _follow(self, watcher: Watcher, own: ExitStack) -> None:
        """Apply the events of a watch until its end; then close it."""
        try:
            with own:
                for event in watcher.events():
                    self._on_event(event)
        except Exception as error:
            log.exception("the watch ended")
            self._fail_all(f"The watch broke off: {error}", "internal")
            self._begin_later(_RETRY_S)

    def _on_event(self, event: Event) -> None:
        category = self._categories.get(event.source) if self._categories else None
        if isinstance(event, GameChanged | VerdictReached):
            event = replace(event, category=category)
        is_frame, time_s = isinstance(event, FrameClassified), time.monotonic()
        with self._lock:
            if (tile := self._tiles.get(event.source)) is None or self._stop.is_set():
                return  # removed meanwhile; or the verdicts at the end of the watch
            tile.apply(event, category)
            if is_frame and time_s < tile.sent_at + _TILE_S:
                return
            content = as_json(event)
            self.log.append(_NAMES[content["event"]], tile.delta(time_s), content)
            if not is_frame:
                self._entry_count += 1
                self._entries.append({"id": self._entry_count, "tile_id": tile.id, "event": content})

    def _fail_all(self, message: str, reason: str) -> None:
        with self._lock:
            for tile in self._tiles.values():
                tile.fail(message, reason, now())
                if len(delta := tile.delta(time.monotonic())) > 1:  # not the same again
                    self.log.append("tile", delta)
