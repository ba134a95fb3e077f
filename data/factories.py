"""Factories: build from the settings the workers that several commands share. Heavy imports happen in the calls."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

    from config import Settings
    from data.capture.grabber import Grabber
    from data.filters.frame_filter import AcceptAll, FrameQualityFilter
    from data.storage.catalog import Catalog
    from data.storage.changes import FrameChanges
    from data.storage.claims import StreamClaims
    from data.storage.database import Access, Database
    from data.storage.frame_folder import FrameFolder
    from data.storage.mirror import Mirror
    from data.storage.mirror import Progress as MirrorProgress
    from data.storage.object_frames import ObjectFrames
    from data.twitch.helix import Helix
    from data.twitch.previews import PreviewClient

_MIRRORS = "mirror"  # folder below DOWNLOAD_PATH


def make_helix(settings: Settings, session: requests.Session, sleep: Callable[[float], object] = time.sleep) -> Helix:
    """Return a client of the Twitch API on `session`, which the caller closes. Raises SettingsError: no credentials."""
    from data.twitch.helix import Helix

    return Helix(
        session,
        settings.client_id,
        access_token=settings.access_token.get_secret_value(),
        client_secret=settings.client_secret.get_secret_value(),
        retry_budget_s=settings.helix_retry_budget_s,
        deadline_s=settings.deadline_s,
        languages=settings.languages,
        sleep=sleep,
    )


def make_frame_store(settings: Settings) -> FrameFolder | ObjectFrames:
    """Return the store of the dataset's frames: that at STORE_URL, by default the folder DOWNLOAD_PATH/frames.

    Nothing is created before a write. Raises FolderError: an invalid address; ExtraMissing.
    """
    from data.storage.frame_folder import FrameFolder

    if not _is_remote(settings):
        path = settings.store_url.partition("://")[2]
        return FrameFolder(Path(path) if path else settings.download_path / "frames")
    from data.storage.object_files import ObjectFiles
    from data.storage.object_frames import ObjectFrames

    return ObjectFrames(ObjectFiles(settings.store_url), _mirror(settings).frames.features)


def find_mirror(settings: Settings) -> Mirror | None:
    """Return this machine's copy of the object store at STORE_URL; None if the store is a local folder."""
    return _mirror(settings) if _is_remote(settings) else None


def find_all_mirrors(settings: Settings) -> list[Mirror]:
    """Return this machine's copies of object stores: of STORE_URL and of earlier addresses. Raises FolderError."""
    from data.storage.folder_files import FolderFiles
    from data.storage.mirror import Mirror

    home = settings.download_path / _MIRRORS
    return [Mirror(home / name) for name in FolderFiles(home).names("")]


def local_frames(
    settings: Settings,
    store: FrameFolder | ObjectFrames,
    progress: MirrorProgress,
    wait_level: int = logging.WARNING,
) -> FrameFolder:
    """Return a folder with all frames of `store` as files, to read: the store itself, or its mirror after an update.

    progress: shows in a block what the update does. wait_level: as in `Mirror.update`. Raises FolderError.
    """
    from data.storage.frame_folder import FrameFolder

    if isinstance(store, FrameFolder):
        return store
    mirror = _mirror(settings)
    mirror.update(store, progress, wait_level)
    return mirror.frames


def _is_remote(settings: Settings) -> bool:
    return settings.store_url.partition("://")[0] not in ("", "file", "local")


def _mirror(settings: Settings) -> Mirror:
    from data.storage.mirror import Mirror
    from data.storage.object_address import normal_address

    name = hashlib.sha256(normal_address(settings.store_url).encode()).hexdigest()[:16]
    return Mirror(settings.download_path / _MIRRORS / name)


def make_exclusion(settings: Settings) -> Callable[[str], bool]:
    """Return what says whether a login must not be collected or imported: it is in EXCLUDE_STREAMERS, or forgotten.

    Raises SettingsError: a list file cannot be read, or an entry is no login. The result raises FolderError.
    """
    from data.entities import is_login
    from data.errors import SettingsError
    from data.settings.lists import read_entries

    excluded = {entry.lower() for entry in read_entries(settings.exclude_streamers, "EXCLUDE_STREAMERS")}
    if invalid := next((login for login in sorted(excluded) if not is_login(login)), None):
        raise SettingsError(f"EXCLUDE_STREAMERS: invalid login {invalid!r}; write the last part of the channel's URL")
    forgotten = make_frame_store(settings).forgotten
    return lambda login: login in excluded or forgotten.holds(login)


@contextmanager
def open_claims(settings: Settings) -> Iterator[StreamClaims]:
    """Yield the claims of streams that keep two downloads into one dataset apart: files have them, or PostgreSQL."""
    if not _is_remote(settings):
        from data.storage.claims import Claims

        with Claims(Path(make_frame_store(settings).location)) as claims:
            yield claims
    else:
        from data.storage.database_claims import DatabaseClaims
        from data.storage.object_address import normal_address

        address = normal_address(settings.store_url)
        with connect_database(settings) as engine, DatabaseClaims(engine, address) as shared:
            yield shared


def connect_database(settings: Settings, access: Access = "write") -> AbstractContextManager[Database]:
    """Return a context manager: the database of the DB settings, or the embedded one in DOWNLOAD_PATH/postgres.

    access: as in `data.storage.database.connect`.
    """
    from data.storage import database

    return database.connect(
        host=settings.db_host,
        port=settings.db_port,
        name=settings.db_name,
        user=settings.db_user,
        password=settings.db_password.get_secret_value(),
        timeout_s=settings.timeout_s,
        embedded_home=settings.download_path / "postgres",
        access=access,
    )


@contextmanager
def open_catalog(
    settings: Settings, sleep: Callable[[float], object] = time.sleep, access: Access = "write"
) -> Iterator[Catalog]:
    """Yield the catalog. `sleep` waits a number of seconds; a true result ends the waiting for a lost connection.

    access: "write", "read" or "dry run", as in `data.storage.database.connect`.
    """
    from data.storage.catalog import Catalog

    with connect_database(settings, access) as engine:
        yield Catalog(engine, settings.db_reconnect_s, sleep)


@contextmanager
def open_existing_catalog(settings: Settings, access: Access) -> Iterator[Catalog | None]:
    """Yield the catalog; None without a database, which `open_catalog` would create. access: as there."""
    cluster = settings.download_path / "postgres" / "data"
    if settings.db_host or os.path.exists(cluster):  # noqa: PTH110 - Path.exists raises PermissionError
        with open_catalog(settings, access=access) as catalog:
            yield catalog
    else:
        yield None


@contextmanager
def open_changes(settings: Settings) -> Iterator[FrameChanges]:
    """Yield the changes of the dataset: moves to another game or to the trash, and their undoing."""
    from data.storage.changes import FrameChanges

    with open_catalog(settings) as catalog:
        yield FrameChanges(make_frame_store(settings), catalog)


def make_frame_filter(settings: Settings) -> FrameQualityFilter | AcceptAll:
    """Return the filter that decides which frames a download keeps: everything, when FILTER_FRAMES is false."""
    from data.filters.frame_filter import AcceptAll, FrameQualityFilter

    return FrameQualityFilter() if settings.filter_frames else AcceptAll()


def make_grabber(
    settings: Settings, sleep: Callable[[float], object] = time.sleep, *, public_only: bool = False
) -> Grabber:
    """Return a grabber, which the caller closes. `sleep` waits a number of seconds. public_only: as in Grabber."""
    from data.startup import import_deferred

    with import_deferred("trio"):  # it takes 70 ms, and Streamlink runs only ffmpeg and browsers with it
        from data.capture.grabber import Grabber

    return Grabber(
        img_size=settings.img_size,
        jpeg_quality=settings.jpeg_quality,
        quality=settings.quality,
        frame_interval_s=settings.frame_interval_s,
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline_s,
        standin=settings.twitch_standin,
        pool_size=max(16, 2 * settings.parallel_streams),  # a stream's playlists and segments come from two hosts
        public_only=public_only,
        sleep=sleep,
    )


def make_preview_client(settings: Settings) -> PreviewClient:
    """Return a client that fetches preview images; the caller closes it."""
    from data.twitch.previews import PreviewClient

    return PreviewClient(
        img_size=settings.img_size,
        jpeg_quality=settings.jpeg_quality,
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline_s,
        standin=settings.twitch_standin,
        pool_size=max(16, settings.parallel_streams),
    )
