"""Follower: keeps the index in step with the catalog and check.csv, which other commands change.

    each round, about every 2 s while anyone looks:
        connect to the database, unless it is connected, and finish changes of killed processes
        if PostgreSQL's counters have changed, or nothing was compared for a minute:
            read the rows that are new
            after an outage, or if sums over all rows differ from those of the index: read everything again
        if check.csv has changed: read it
        join and sort what changed

When the database is away the last index stays.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from config import Settings
from dashboard.dataset import findings
from dashboard.dataset.index import DatasetIndex, empty_index, keep_since, reordered, with_rows
from data.errors import CatalogUnavailable, FolderError, ToolkitError
from data.factories import make_frame_store, open_existing_catalog
from data.storage.catalog import Catalog
from data.storage.changes import FrameChanges
from data.storage.journal import Change
from data.storage.layout import CHECK_FILE

log = logging.getLogger(__name__)

_COMPARE_S = 60.0  # PostgreSQL may be configured to count nothing
_LOCK_S = 10.0  # to wait for another command that changes the dataset
_LARGE_CHECK_BYTES = 2 << 20
_NO_DATASET = "There is no dataset yet: collect frames with python -m data.download."


class CatalogFollower:
    """The current index of a dataset. One thread calls `follow`; any thread reads `index`."""

    def __init__(self, settings: Settings) -> None:
        # Outages are reported at once: a request must not wait for the database to come back.
        self._settings = settings.model_copy(update={"db_reconnect_s": 0.0})
        self.store = make_frame_store(settings)
        self.catalog: Catalog | None = None  # None while the database is away
        self.index = empty_index(time.time_ns() // 1_000_000)  # greater than every version before a restart
        self.loaded = threading.Event()  # set when the frames were read, or cannot be read
        self.outage = ""  # why the database is away; empty: it is not, or there is none yet
        self._problems: dict[str, str] = {}  # by what cannot be read
        self._connection = contextlib.ExitStack()
        self._lock = threading.Lock()  # of the index
        self._activity: tuple[int, ...] = ()
        self._compare = True  # in the next round, whatever PostgreSQL's counters say
        self._compared_at = 0.0
        self._check_version: object = None

    @property
    def message(self) -> str:
        """What is wrong, and what to do; empty if nothing is."""
        return self.outage or " ".join(self._problems.values())

    def follow(self) -> None:
        """Bring the index up to date. Errors become the message; the last index stays."""
        with self._lock:
            try:
                if catalog := self._connect():
                    self._publish(self._with_changes(self.index, catalog))
                self.outage = ""
            except CatalogUnavailable as error:
                self._disconnect(str(error))
            self._publish(self._with_check(self.index))
            self.loaded.set()

    def changes(self) -> FrameChanges:
        """Return what changes the dataset. Raises CatalogUnavailable, before any file moves."""
        try:
            self.require_catalog().activity()
        except CatalogUnavailable as error:
            if self.catalog:
                with self._lock:
                    self._disconnect(str(error))
            raise
        return FrameChanges(self.store, self.require_catalog(), _LOCK_S)

    def require_catalog(self) -> Catalog:
        """Return the catalog. Raises CatalogUnavailable."""
        if self.catalog is None:
            raise CatalogUnavailable(self.outage or _NO_DATASET)
        return self.catalog

    def compare_next(self) -> None:
        """Have the next round compare everything, and finish changes that did not end."""
        self._compare = True

    def apply(self, change: Change) -> None:
        """Bring the index up to date with a change of this process."""
        with self._lock:
            # What came from the trash may be in the index already, if a round has read it a moment ago.
            gone = self.index.matching(move.frame for move in change.moves if move.source == move.frame.path)
            index = replace(self.index, rows=np.delete(self.index.rows, gone)) if len(gone) else self.index
            try:
                index = self._read(self.require_catalog(), index)
            except CatalogUnavailable as error:  # the change was made
                self._disconnect(str(error))
            self._publish(index)

    def close(self) -> None:
        """Leave the database."""
        with self._lock:
            self._disconnect("")

    def _connect(self) -> Catalog | None:
        """Return the catalog, with all changes finished that were begun; None without a database."""
        if self.catalog is None:
            self.catalog = self._connection.enter_context(open_existing_catalog(self._settings, "write"))
            if self.catalog is None:
                self._connection.close()
                return None
            self.catalog.lock_timeout_s = _LOCK_S
        if self._compare:
            with self._noting("changes"):
                FrameChanges(self.store, self.catalog, _LOCK_S).finish_pending()
        return self.catalog

    def _disconnect(self, outage: str) -> None:
        if outage != self.outage and outage:
            log.warning("%s", outage)
        self.catalog, self._compare, self._activity, self.outage = None, True, (), outage
        self._connection.close()

    def _publish(self, index: DatasetIndex) -> None:
        if index is not self.index:
            self.index = reordered(index, version=self.index.version + 1)

    def _with_changes(self, index: DatasetIndex, catalog: Catalog) -> DatasetIndex:
        """Return the index with what changed in the catalog; the same one if nothing did."""
        compare, self._compare = self._compare, False
        activity, now = catalog.activity(), time.monotonic()
        if not compare and activity == self._activity and now - self._compared_at < _COMPARE_S:
            return index
        is_known = bool(self._activity)  # after an outage it may be another database
        if is_known:
            index = self._read(catalog, index)
        if not is_known or catalog.frame_sums(index.last_id) != index.sums:
            # Without the texts that no row has any more, such as the login of a forgotten streamer.
            empty = replace(empty_index(index.version), names=index.names, findings=index.findings)
            index = keep_since(self._read(catalog, empty), self.index)
        names = {game.id: game.name for game in catalog.game_frames()}
        self._activity, self._compared_at = activity, now
        return index if names == index.names else replace(index, names=names)

    def _read(self, catalog: Catalog, index: DatasetIndex) -> DatasetIndex:
        """Return the index with the catalog's newer rows; the same one without any."""
        while rows := catalog.frame_rows(index.last_id):
            index = with_rows(index, rows, self.index.version + 1)
        return index

    def _with_check(self, index: DatasetIndex) -> DatasetIndex:
        """Return the index with the findings of the last check; the same one if the file has not changed."""
        version: object = None
        with contextlib.suppress(FolderError):
            version = self.store.files.version(CHECK_FILE)
        if version == self._check_version:
            return index
        self._check_version = version
        found = findings.no_findings()
        with self._noting("check"):
            content = self.store.read_report(CHECK_FILE) or b""
            if len(content) > _LARGE_CHECK_BYTES:
                self.loaded.set()  # the first page does not wait a second for it
            if content:
                found = findings.read(content, self.store.files.modified_at(CHECK_FILE) or 0.0)
        return replace(index, findings=found)

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Note an error in the block, other than that of the database, as a problem; else remove the problem."""
        try:
            yield
        except CatalogUnavailable:
            raise
        except ToolkitError as error:
            log.warning("%s", error)
            self._problems[what] = str(error)
        else:
            self._problems.pop(what, None)
