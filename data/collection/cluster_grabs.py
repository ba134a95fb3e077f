"""Grabs on a cluster: each worker saves the frames that it grabs, and its results have only their number.

    grab the stream, as in a thread of a local download
    save its files in the store, then their rows, over a connection of the worker's own
    return the counts

So frames never pass through the coordinator. A worker that is killed leaves complete files, perhaps without rows, which
dbSync adds; the coordinator then counts the rows that are there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from data import factories, memory
from data.collection.frame_saver import FrameSaver
from data.collection.grab_pool import StopEvent
from data.collection.stream_grabs import GrabResult, GrabTask, StreamGrabs
from data.settings.lists import read_entries

if TYPE_CHECKING:
    from config import Settings


class SavingGrabs:
    """Grabs streams and saves their frames: what a worker of a cluster runs, in several threads."""

    def __init__(self, settings: Settings) -> None:
        self._stop = StopEvent()
        self._saving = threading.Lock()  # one connection to PostgreSQL for each worker is enough
        with ExitStack() as stack:
            stack.enter_context(memory.trim_periodically())
            catalog = stack.enter_context(factories.open_catalog(settings, self._stop.wait))
            grabber = stack.enter_context(factories.make_grabber(settings, self._stop.pause))
            store, is_excluded = factories.make_frame_store(settings), factories.make_exclusion(settings)
            self._saver = FrameSaver(store, catalog, is_excluded, store.trashed_hashes())
            self._grabs = StreamGrabs(grabber, factories.make_frame_filter(settings), self._stop)
            self._resources = stack.pop_all()

    def __call__(self, task: GrabTask) -> GrabResult:
        """Return the counts of one stream. Raises FolderError, CatalogUnavailable."""
        result = self._grabs(task)
        with self._saving:
            return self._saver.save(task, result)

    def cancel(self) -> None:
        """Let each grab end at its next frame; its frames are saved."""
        self._stop.set()
        self._grabs.cancel()

    def close(self) -> None:
        """Free all resources."""
        self.cancel()
        self._resources.close()


def maker_of_grabs(settings: Settings) -> Callable[[], SavingGrabs]:
    """Return what makes SavingGrabs on a node: it can be pickled, and holds no secret but the database's password.

    Raises SettingsError: a list of streamers cannot be read.
    """
    secrets = {name for name, value in settings if isinstance(value, SecretStr)} - {"db_password"}
    excluded = tuple(read_entries(settings.exclude_streamers, "EXCLUDE_STREAMERS"))  # nodes have no such file
    values = {name: SecretStr("") for name in secrets} | {"exclude_streamers": excluded}
    return partial(SavingGrabs, settings.model_copy(update=values))
