"""Importer: pictures from anywhere become frames of the dataset, in batches, each of them once.

    for each batch of a few hundred pictures:
        in several threads: read each picture, make a frame of it, hash the frame
        leave out pictures that are bad, in the dataset, in the trash, or of a streamer who is not wanted
        save the files with their lines of the manifests; add the rows; delete files that got no row

A killed import leaves at most files without rows, which a synchronisation adopts. The next import finds by their hashes
what is there already, as a picture always gives the same frame. The sources are only read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Protocol

from data.entities import NO_DETAILS, FrameDetails, Game, StoredFrame
from data.errors import LoginForgotten, UndecodableVideo
from data.exchange.game_ids import GameIds
from data.exchange.import_stats import ImportStats

_BATCH_FRAMES, _BATCH_BYTES = 250, 64 << 20


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to import."""

    name: str  # for messages
    game: str  # the game's name as the source has it
    login: str  # a valid one
    read: Callable[[], bytes]  # raises OSError
    details: FrameDetails = NO_DETAILS
    game_id: int = 0  # Twitch's, if the source knows it
    number: int = 0  # to keep where it is free, 1 to 10**17; 0: any
    sha256: bytes = b""  # of the content, if the source knows it
    size_bytes: int = 0  # of a content that is in memory already
    named: frozenset[str] = frozenset()  # other logins that its path names


class Files(Protocol):
    """The part of a `data.storage.frame_store.FrameStore` that is needed here."""

    def save(  # noqa: D102 - documented by FrameFolder
        self,
        game_id: int,
        login: str,
        jpegs: Sequence[bytes],
        details: Sequence[FrameDetails],
        numbers: Sequence[int],
    ) -> list[StoredFrame]: ...
    def delete(self, frames: Iterable[StoredFrame]) -> None: ...  # noqa: D102


class Rows(Protocol):
    """The part of `data.storage.catalog.Catalog` that is needed here."""

    def add_frames(self, frames: Sequence[StoredFrame]) -> Collection[StoredFrame]: ...  # noqa: D102
    def remove_frames(self, frames: Iterable[StoredFrame]) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Frame:
    """A picture that has become a frame."""

    picture: Picture
    jpeg: bytes
    sha256: bytes
    problem: str = ""  # why it is left out


class Importer:
    """Adds pictures to the dataset; the module's docstring has the loop.

    Args:
        store: where frames are saved.
        rows: rows of the saved frames; None: a dry run, which writes nothing.
        games: finds the games of names.
        known: SHA-256 of the frames that the dataset has. The importer adds to it.
        trashed: SHA-256 of the frames in the trash.
        is_unwanted: returns whether no frame of a login may be added.
        to_frame: makes JPEG bytes of a frame's size from a picture; raises UndecodableVideo. Threads call it.
    """

    def __init__(
        self,
        *,
        store: Files,
        rows: Rows | None,
        games: GameIds,
        known: set[bytes],
        trashed: Container[bytes],
        is_unwanted: Callable[[str], bool],
        to_frame: Callable[[bytes], bytes],
    ) -> None:
        self._store, self._rows, self.games = store, rows, games
        self._known, self._trashed = known, trashed
        self.is_unwanted, self._to_frame = is_unwanted, to_frame
        self.stats = ImportStats()

    def add(self, pictures: Iterable[Picture]) -> ImportStats:
        """Add the pictures; return the counts of this importer so far.

        Raises FolderError, CatalogUnavailable, DirectoryError: the batches before stay, and a repetition goes on.
        """
        pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="import")
        waiting: Iterable[_Frame] = ()
        try:
            for batch in _batches(pictures):
                frames = pool.map(self._make, batch)  # begins now, while the frames before are saved
                self._add_batch(list(waiting))
                waiting = frames
            self._add_batch(list(waiting))
        finally:
            pool.shutdown(cancel_futures=True)
        return self.stats

    def _make(self, picture: Picture) -> _Frame:
        """Return the frame of a picture. Whatever is wrong with it is its `problem`."""
        try:
            content = picture.read()
            if not content:
                raise UndecodableVideo("the file is empty")
            sha256 = hashlib.sha256(content).digest()
            if picture.sha256 not in (b"", sha256):
                raise UndecodableVideo("it is damaged: its SHA-256 is another one")
            # A frame that the dataset has needs no decoding again.
            jpeg = content if sha256 in self._known else self._to_frame(content)
        except OSError as error:
            return _Frame(picture, b"", b"", error.strerror or str(error))
        except UndecodableVideo as error:
            return _Frame(picture, b"", b"", str(error))
        return _Frame(picture, jpeg, hashlib.sha256(jpeg).digest())

    def _add_batch(self, batch: list[_Frame]) -> None:
        frames = list(self._new(batch))
        saved: list[tuple[Game, StoredFrame]] = []
        try:
            for (name, game_id, login), group in groupby(sorted(frames, key=_order), key=_stream):
                saved += self._save(self.games.resolve(name, game_id), login, list(group))
            identical = self._add_rows([frame for _, frame in saved])
        except BaseException:
            self._delete(frame for _, frame in saved)
            raise
        # A streamer who was forgotten meanwhile: data.forget searches files and rows after it has noted the login.
        unwanted = {frame for _, frame in saved if self.is_unwanted(frame.login)} - identical
        self._delete(identical | unwanted)
        if unwanted and self._rows:
            self._rows.remove_frames(unwanted)
        self.stats.unwanted += len(unwanted)
        self.stats.present += len(identical)
        self.stats.frames.update(game.name for game, frame in saved if frame not in unwanted | identical)
        self._known.update(frame.sha256 for frame in frames)

    def _new(self, batch: Iterable[_Frame]) -> Iterator[_Frame]:
        """Yield the frames to add; count the others."""
        hashes: set[bytes] = set()
        is_unwanted = cache(self.is_unwanted)  # a request to an object store; it is asked again after the batch
        for frame in batch:
            if frame.problem:
                self.stats.leave_out(frame.picture.name, frame.problem)
            elif frame.sha256 in self._known or frame.sha256 in hashes:
                self.stats.present += 1
            elif frame.sha256 in self._trashed:
                self.stats.trashed += 1
            elif any(map(is_unwanted, {frame.picture.login, *frame.picture.named})):
                self.stats.unwanted += 1
            else:
                hashes.add(frame.sha256)
                yield frame

    def _save(self, game: Game, login: str, group: Sequence[_Frame]) -> list[tuple[Game, StoredFrame]]:
        if self._rows is None:
            return [(game, StoredFrame(game.id, login, number)) for number in range(1, len(group) + 1)]
        jpegs, details = [frame.jpeg for frame in group], [frame.picture.details for frame in group]
        numbers = [frame.picture.number for frame in group]
        try:
            saved = self._store.save(game.id, login, jpegs, details, numbers if all(numbers) else ())
            return [(game, frame) for frame in saved]
        except LoginForgotten:  # a moment ago
            self.stats.unwanted += len(group)
            return []

    def _add_rows(self, frames: Sequence[StoredFrame]) -> set[StoredFrame]:
        """Add the rows; return the frames that get none, as another process has added the same ones."""
        return set(self._rows.add_frames(frames)) if self._rows else set()

    def _delete(self, frames: Iterable[StoredFrame]) -> None:
        if self._rows:
            self._store.delete(frames)


def _stream(frame: _Frame) -> tuple[str, int, str]:
    """Return what the frames of one stream have in common."""
    return frame.picture.game, frame.picture.game_id, frame.picture.login


def _order(frame: _Frame) -> tuple[tuple[str, int, str], int]:
    """Return the key by which frames are saved: frames without numbers stay in the order of their source."""
    return _stream(frame), frame.picture.number


def _batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    size_bytes = 0
    for picture in pictures:
        batch.append(picture)
        size_bytes += picture.size_bytes
        if len(batch) == _BATCH_FRAMES or size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch
