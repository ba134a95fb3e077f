"""The catalogue: games and frames as rows, in the toolkit's words. One call is one transaction.

A server that goes away in the middle, as one that is restarted does, is waited for, and the call is done again.
It may be that only the answer to its commit was lost; so each call comes to the same when it is done twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from data.entities import Game, StoredFrame
from data.errors import CatalogConnectionLost
from data.storage import database
from data.storage.database import translated
from data.text import printable_line

_T = TypeVar("_T")
_LONGEST_PAUSE_S = 5.0  # between two tries to reach the server

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GameSummary:
    """A game, how many frames of it there are, and how many streamers those are of."""

    game: Game
    frames: int
    streamers: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What the catalogue holds, at one moment. `miscounted`: games whose kept count is not that of their rows."""

    paths: frozenset[str]
    games: dict[int, Game]
    miscounted: frozenset[int]


@dataclass(frozen=True, slots=True)
class Changes:
    """What makes the catalogue match the folder. A removed game takes its frames' rows along."""

    games: Sequence[Game] = ()
    removed_games: Sequence[int] = ()
    frames: Sequence[StoredFrame] = ()
    removed_paths: Sequence[str] = ()


class Catalog:
    """The rows behind an engine of `data.storage.database.connect`. Every method raises CatalogUnavailable."""

    def __init__(self, engine: Engine, wait_s: float = 0.0, sleep: Callable[[float], object] = time.sleep) -> None:
        """`wait_s`: what one call may wait for a server that went away.

        `sleep`: how to wait; a true answer ends it. A download passes its stop event's `wait`.
        """
        self._engine = engine
        self._wait_s = wait_s
        self._sleep = sleep

    def add_games(self, games: Iterable[Game]) -> list[Game]:
        """Add games, or rename those that are there; returns the ones that were not, in the order given."""
        games = list(games)

        def work(connection: Connection) -> list[Game]:
            known = set(
                connection.scalars(select(database.games.c.id).where(database.games.c.id.in_([g.id for g in games])))
            )
            _put_games(connection, games)
            return [game for game in games if game.id not in known]

        return self._done(work)

    def games(self) -> list[GameSummary]:
        """Every game, by id."""
        query = (
            select(database.games, func.count(database.frames.c.user_login.distinct()).label("streamers"))
            .outerjoin(database.frames)
            .group_by(database.games.c.id)
            .order_by(database.games.c.id)
        )
        rows = self._done(lambda connection: connection.execute(query).all())
        return [GameSummary(Game(row.id, row.name), row.frames, row.streamers) for row in rows]

    def game_count(self) -> int:
        """How many games there are."""
        query = select(func.count()).select_from(database.games)
        return self._done(lambda connection: connection.scalar(query)) or 0

    def game_ids(self) -> set[int]:
        """The ids of all games."""
        return self._done(lambda connection: set(connection.scalars(select(database.games.c.id))))

    def smallest_game(self, excluding: Iterable[int] = ()) -> Game | None:
        """The game with the fewest frames, the lowest id among equals; None where all are in `excluding`."""
        query = select(database.games).where(database.games.c.id.not_in(list(excluding)))
        query = query.order_by(database.games.c.frames, database.games.c.id).limit(1)
        row = self._done(lambda connection: connection.execute(query).first())
        return Game(row.id, row.name) if row else None

    def streamer_frames(self, game_id: int) -> dict[str, int]:
        """How many frames of a game there are of each streamer who has any, by login."""
        login = database.frames.c.user_login
        query = select(login, func.count()).where(database.frames.c.game_id == game_id).group_by(login)
        return self._done(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    def add_frames(self, frames: Sequence[StoredFrame]) -> int:
        """Add rows for saved files and count them; returns how many were new. A frame that has a row is left alone.

        A game that is not there (dbSync may just have removed it) comes back under its id for a name.
        """
        return self._done(lambda connection: _put_frames(connection, frames))

    def rows(self) -> Rows:
        """All that dbSync compares with the folder."""
        counted = (
            select(database.games, func.count(database.frames.c.id).label("counted"))
            .outerjoin(database.frames)
            .group_by(database.games.c.id)
        )

        def work(connection: Connection) -> Rows:
            # One snapshot for both queries, or a download in between would look like a wrong count.
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            paths = frozenset(connection.scalars(select(database.frames.c.path)))
            games = connection.execute(counted).all()
            miscounted = frozenset(row.id for row in games if row.frames != row.counted)
            return Rows(paths, {row.id: Game(row.id, row.name) for row in games}, miscounted)

        return self._done(work)

    def apply(self, changes: Changes) -> None:
        """Make all these changes and set every count right, in one transaction: killed, it changed nothing."""

        def work(connection: Connection) -> None:
            # Downloads wait until we are done: a count must not miss the rows they would add meanwhile.
            connection.execute(text("LOCK TABLE games, frames IN SHARE ROW EXCLUSIVE MODE"))
            for paths in _batches(changes.removed_paths):
                connection.execute(_REMOVE_FRAMES, {"paths": _array(paths)})
            connection.execute(_REMOVE_GAMES, {"ids": list(changes.removed_games)})
            _put_games(connection, changes.games)
            for frames in _batches(changes.frames):
                _put_frames(connection, frames)
            connection.execute(_COUNT)

        self._done(work)

    def _done(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` answers, in one transaction; while the server is away, tried again for up to `wait_s` seconds."""
        end, tries = 0.0, 0
        while True:
            try:
                with translated(), self._engine.begin() as connection:
                    return work(connection)
            except CatalogConnectionLost as error:
                end = end or time.monotonic() + self._wait_s
                tries = self._back_off(tries, end, error)

    def _back_off(self, tries: int, end: float, error: CatalogConnectionLost) -> int:
        """Wait 0.5, 1, 2 … s before the next try; raises `error` when that would be too late, or is ended."""
        pause = min(0.5 * 2**tries, _LONGEST_PAUSE_S)
        if time.monotonic() + pause > end:
            raise error
        if not tries:
            log.warning("PostgreSQL went away; waiting up to %.0f s for it", self._wait_s)
        if self._sleep(pause):
            raise error
        return tries + 1


_BATCH = 20_000  # rows in one statement: a few megabytes of it

_REMOVE_FRAMES = text("DELETE FROM frames WHERE path = ANY(CAST(:paths AS text[]))")
_REMOVE_GAMES = text("DELETE FROM games WHERE id = ANY(CAST(:ids AS bigint[]))")
_ADD_FRAMES = text("""
    WITH given AS (
        SELECT * FROM unnest(CAST(:paths AS text[]), CAST(:games AS bigint[]), CAST(:logins AS text[]))
            AS given (path, game_id, user_login)
    ), added AS (
        INSERT INTO frames (path, game_id, user_login) SELECT path, game_id, user_login FROM given
        ON CONFLICT (path) DO NOTHING RETURNING game_id
    ), counted AS (
        UPDATE games SET frames = games.frames + fresh.frames
        FROM (SELECT game_id, count(*) AS frames FROM added GROUP BY game_id) AS fresh WHERE games.id = fresh.game_id
    )
    SELECT count(*) FROM added
""")
_COUNT = text("""
    UPDATE games SET frames = counted.frames
    FROM (SELECT games.id, count(frames.id) AS frames FROM games LEFT JOIN frames ON frames.game_id = games.id
          GROUP BY games.id) AS counted
    WHERE games.id = counted.id AND games.frames <> counted.frames
""")


def _put_games(connection: Connection, games: Sequence[Game]) -> None:
    """Insert or rename; ordered by id, so that two of these never wait for each other."""
    names = {game.id: printable_line(game.name) or f"game {game.id}" for game in games}
    if not names:
        return
    statement = insert(database.games).values(
        [{"id": game_id, "name": name} for game_id, name in sorted(names.items())]
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"name": statement.excluded.name},
            where=database.games.c.name != statement.excluded.name,
        )
    )


def _put_frames(connection: Connection, frames: Sequence[StoredFrame]) -> int:
    """Insert what has no row and count it; returns how many."""
    if not frames:
        return 0
    ids = sorted({frame.game_id for frame in frames})
    unnamed = [{"id": game_id, "name": f"game {game_id}"} for game_id in ids]
    connection.execute(insert(database.games).values(unnamed).on_conflict_do_nothing())
    columns = {
        "paths": _array(frame.path for frame in frames),
        "games": _array(str(frame.game_id) for frame in frames),
        "logins": _array(frame.login for frame in frames),
    }
    return int(connection.scalar(_ADD_FRAMES, columns) or 0)


def _array(values: Iterable[str]) -> str:
    """An array as PostgreSQL writes it: a list would arrive as ARRAY[...], which takes the server five times longer.

    https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    """
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _batches(items: Sequence[_T]) -> Iterator[list[_T]]:
    """`items` in lists of at most _BATCH."""
    for start in range(0, len(items), _BATCH):
        yield list(items[start : start + _BATCH])
