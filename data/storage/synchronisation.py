"""Synchronisation of the catalog, the manifests and games.tsv with the files, which are the truth.

    snapshot = rows of the catalog           rows first: a frame that a download saves in between
    scan = files of the folder               is then a file without a row, never a row without a file
    remove temporary files of dead processes
    delete files of forgotten streamers      they were copied there, or a killed download left them
    remove rows without a file
    remove games without a folder; games.tsv keeps their names, which says that they were removed
    for each file that has no row, no line in its manifest, or no hash:
        its hash, and what manifest, row or file system know of it, go into both
    correct rows that differ from their manifests
    correct wrong counts
    remove the manifests' lines of files that are gone
    report files that are identical to another one: the user decides which to delete

An empty folder keeps its game, with 0 frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data.entities import NO_DETAILS, FrameDetails, Game, StoredFrame
from data.errors import FolderError

if TYPE_CHECKING:
    from data.storage.catalog import Catalog, CatalogChanges, CatalogSnapshot
    from data.storage.frame_store import FolderScan, FrameStore

log = logging.getLogger(__name__)

_SAME_TIME_S = 0.002  # the manifest has milliseconds


@dataclass(frozen=True, slots=True)
class GameDifferences:
    """What the catalog's games and games.tsv lack."""

    added: tuple[Game, ...]  # with a folder and without a row
    renamed: tuple[Game, ...]  # with the name that games.tsv has
    wrong_counts: tuple[int, ...]  # ids of games with a wrong number of frames
    missing_names: tuple[Game, ...]  # with a name in the catalog and none in games.tsv


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All changes that a run makes, and the totals after it."""

    changes: CatalogChanges
    games: GameDifferences
    scan: FolderScan
    frames: int  # number of rows after the changes; as many games as in the scan
    identical: tuple[tuple[str, str], ...]  # paths of a file and of an earlier one with the same bytes
    unhashed: tuple[StoredFrame, ...]  # of the changes' `updated`: whose row has no hash yet
    undescribed: tuple[StoredFrame, ...]  # files without a line in their manifest, with what it will say
    forgotten: tuple[StoredFrame, ...]  # files to delete


def synchronise(store: FrameStore, catalog: Catalog) -> SyncPlan:
    """Make the catalog match the files; return what was changed. Raises CatalogUnavailable, FolderError."""
    from data.storage.changes import FrameChanges

    # The lock makes changes and data.forget wait: what they move or delete meanwhile would get rows again.
    with FrameChanges(store, catalog).locked():
        plan = plan_sync(catalog.snapshot(), store.scan(), store.game_names(), store, store.forgotten.current())
        apply_plan(plan, store, catalog)
    return plan


def plan_sync(
    snapshot: CatalogSnapshot,
    scan: FolderScan,
    names: Mapping[int, str],
    store: FrameStore,
    is_forgotten: Callable[[str], bool] = lambda _: False,
) -> SyncPlan:
    """Return the changes that make `snapshot`, read before `scan`, match it.

    names: by game id, from games.tsv. store: where manifests, hashes and times are read.
    is_forgotten: whether the streamer with this login must not be in the dataset.
    """
    from data.storage.catalog import CatalogChanges

    # Sets keep this fast: 100,000 rows and as many files take well under a second.
    unwanted = {login for login in {frame.login for frame in scan.frames} if is_forgotten(login)}
    files = {frame.path: frame for frame in scan.frames if frame.login not in unwanted}
    unreadable = tuple(f"{name}/" for name in scan.unreadable)  # their frames are unknown: keep those rows
    removed_paths = sorted(path for path in snapshot.paths - files.keys() if not path.startswith(unreadable))
    removed_games = sorted(snapshot.games.keys() - scan.games)
    described = store.described(files.values())
    gone = {frame.sha256: frame for frame in map(snapshot.frames.__getitem__, removed_paths) if frame.sha256}
    merged = _merge_all(described, snapshot.frames, gone, store)
    old = [(frame, snapshot.frames[frame.path]) for frame in merged if frame.path in snapshot.frames]
    updated = [frame for frame, row in old if _differs(frame, row)]
    new = sorted((frame for frame in merged if frame.path not in snapshot.frames), key=lambda frame: frame.path)
    games = _compare_games(snapshot, scan, names)
    return SyncPlan(
        changes=CatalogChanges((*games.added, *games.renamed), removed_games, new, removed_paths, updated),
        games=games,
        scan=scan,
        frames=len(snapshot.frames) - len(removed_paths) + len(new),
        identical=_identical(merged),
        unhashed=tuple(frame for frame in updated if not snapshot.frames[frame.path].sha256 and frame.sha256),
        undescribed=tuple(
            new for new, old in zip(merged, described, strict=True) if _described(new) != _described(old)
        ),
        forgotten=tuple(frame for frame in scan.frames if frame.login in unwanted),
    )


def _compare_games(snapshot: CatalogSnapshot, scan: FolderScan, names: Mapping[int, str]) -> GameDifferences:
    kept = [snapshot.games[game_id] for game_id in sorted(snapshot.games.keys() & scan.games)]
    new_ids = sorted(scan.games - snapshot.games.keys())
    return GameDifferences(
        added=tuple(Game(game_id, names.get(game_id, f"game {game_id}")) for game_id in new_ids),
        renamed=tuple(Game(game.id, names[game.id]) for game in kept if names.get(game.id, game.name) != game.name),
        wrong_counts=tuple(game.id for game in kept if game.id in snapshot.wrong_counts),
        # "game 7" is the catalog's own substitute for a name and does not belong in games.tsv.
        missing_names=tuple(
            game for key, game in snapshot.games.items() if key not in names and game.name != f"game {key}"
        ),
    )


def apply_plan(plan: SyncPlan, store: FrameStore, catalog: Catalog) -> None:
    """Make the plan's changes. Raises CatalogUnavailable, FolderError; the next run does what is left."""
    changes = plan.changes
    stale_error: FolderError | None = None
    try:
        store.remove_stale_files(plan.scan)  # first: on a full disk the rest needs their space
    except FolderError as error:
        stale_error = error  # the rest matters more
    store.delete(plan.forgotten)
    store.record_names(plan.games.missing_names)  # before the rows of removed games go, which have the names
    store.add_details(plan.undescribed)
    rows = (changes.games, changes.removed_games, changes.frames, changes.removed_paths, changes.updated)
    if any((*rows, plan.games.wrong_counts)):
        catalog.apply(changes)
    try:
        store.compact(plan.scan.games - set(map(int, plan.scan.unreadable)))
    except FolderError as error:  # such as a full disk
        if plan.forgotten:  # the lines have their logins and titles
            raise
        log.warning("Lines of frames that are gone stay in the manifests: %s", error)
    if stale_error:
        raise stale_error


def _merge_all(
    described: Sequence[StoredFrame],
    rows: Mapping[str, StoredFrame],
    gone: Mapping[bytes, StoredFrame],
    store: FrameStore,
) -> list[StoredFrame]:
    """Return what is known of each file; those that have no row or no hash are read."""
    unknown = [frame for frame in described if not (frame.sha256 and frame.path in rows)]
    known = store.files.each(lambda frame: _merge(frame, rows.get(frame.path), gone, store), unknown)
    by_frame = dict(zip(unknown, known, strict=True))
    return [by_frame.get(frame, frame) for frame in described]


def _merge(
    frame: StoredFrame, row: StoredFrame | None, gone: Mapping[bytes, StoredFrame], store: FrameStore
) -> StoredFrame:
    """Return what is known of a file. `frame`: as its manifest has it. `gone`: by hash, the rows without a file."""
    sha256 = row.sha256 if row and row.sha256 else _hash(frame, store)
    if frame.sha256 == sha256:
        return frame
    # A line with another hash is that of an earlier file of the same name. A line without one was written by hand.
    if frame.details != NO_DETAILS and not frame.sha256:
        return replace(frame, sha256=sha256)
    known = row or gone.get(sha256)  # somebody moved the file to another game by hand
    details = known.details if known else FrameDetails(grabbed_at=store.modified_at(frame))
    return replace(frame, sha256=sha256, details=details)


def _hash(frame: StoredFrame, store: FrameStore) -> bytes:
    """Return the SHA-256 of the frame's file; what the manifest says of a file that cannot be read."""
    try:
        return store.sha256(frame)
    except FolderError:
        return frame.sha256


def _differs(frame: StoredFrame, row: StoredFrame) -> bool:
    """Return whether the frame's row has to be corrected. A row has a date even if nobody knows it."""
    own, other = frame.details, row.details
    time, row_time = own.grabbed_at, other.grabbed_at
    is_late = time is not None and (row_time is None or abs(time - row_time) > _SAME_TIME_S)
    return is_late or (frame.sha256, *_texts(own)) != (row.sha256, *_texts(other))


def _described(frame: StoredFrame) -> tuple[bytes, FrameDetails]:
    return frame.sha256, frame.details  # which take no part in the comparison of frames


def _texts(details: FrameDetails) -> tuple[object, ...]:
    return details.language, details.viewers, details.title, details.origin


def _identical(frames: Iterable[StoredFrame]) -> tuple[tuple[str, str], ...]:
    """Return each file that has the hash of an earlier one, with that one; the order is by game, login and number."""
    first: dict[bytes, str] = {}
    ordered = sorted(frames, key=lambda frame: (frame.game_id, frame.login, frame.number))
    pairs = ((frame.path, first.setdefault(frame.sha256, frame.path)) for frame in ordered if frame.sha256)
    return tuple((path, other) for path, other in pairs if path != other)
