"""The catalogue: games and frames as rows, in the toolkit's words. One call is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from data import db
from data.db import translated
from data.entities import Game, StoredFrame, one_line

_T = TypeVar("_T")


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
    """The rows behind an engine of `data.db.connect`. Every method raises CatalogUnavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_games(self, games: Iterable[Game]) -> list[Game]:
        """Add games, or rename those that are there; returns the ones that were not, in the order given."""
        games = list(games)
        with translated(), self._engine.begin() as connection:
            known = set(connection.scalars(select(db.games.c.id).where(db.games.c.id.in_([g.id for g in games]))))
            _put_games(connection, games)
        return [game for game in games if game.id not in known]

    def games(self) -> list[GameSummary]:
        """Every game, by id."""
        query = (
            select(db.games, func.count(db.frames.c.user_login.distinct()).label("streamers"))
            .outerjoin(db.frames)
            .group_by(db.games.c.id)
            .order_by(db.games.c.id)
        )
        with translated(), self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return [GameSummary(Game(row.id, row.name), row.frames, row.streamers) for row in rows]

    def game_count(self) -> int:
        """How many games there are."""
        with translated(), self._engine.begin() as connection:
            return connection.scalar(select(func.count()).select_from(db.games)) or 0

    def game_ids(self) -> set[int]:
        """The ids of all games."""
        with translated(), self._engine.begin() as connection:
            return set(connection.scalars(select(db.games.c.id)))

    def smallest_game(self, excluding: Iterable[int] = ()) -> Game | None:
        """The game with the fewest frames, the lowest id among equals; None where all are in `excluding`."""
        query = select(db.games).where(db.games.c.id.not_in(list(excluding)))
        with translated(), self._engine.begin() as connection:
            row = connection.execute(query.order_by(db.games.c.frames, db.games.c.id).limit(1)).first()
        return Game(row.id, row.name) if row else None

    def streamer_frames(self, game_id: int) -> dict[str, int]:
        """How many frames of a game there are of each streamer who has any, by login."""
        login = db.frames.c.user_login
        query = select(login, func.count()).where(db.frames.c.game_id == game_id).group_by(login)
        with translated(), self._engine.begin() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def add_frames(self, frames: Sequence[StoredFrame]) -> int:
        """Add rows for saved files and count them; returns how many were new. A frame that has a row is left alone.

        A game that is not there (dbSync may just have removed it) comes back under its id for a name.
        """
        with translated(), self._engine.begin() as connection:
            return _put_frames(connection, frames)

    def rows(self) -> Rows:
        """All that dbSync compares with the folder."""
        counted = (
            select(db.games, func.count(db.frames.c.id).label("counted")).outerjoin(db.frames).group_by(db.games.c.id)
        )
        # One snapshot for both queries, or a download in between would look like a wrong count.
        engine = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with translated(), engine.begin() as connection:
            paths = frozenset(connection.scalars(select(db.frames.c.path)))
            games = connection.execute(counted).all()
        miscounted = frozenset(row.id for row in games if row.frames != row.counted)
        return Rows(paths, {row.id: Game(row.id, row.name) for row in games}, miscounted)

    def apply(self, changes: Changes) -> None:
        """Make all these changes and set every count right, in one transaction: killed, it changed nothing."""
        with translated(), self._engine.begin() as connection:
            # Downloads wait until we are done: a count must not miss the rows they would add meanwhile.
            connection.execute(text("LOCK TABLE games, frames IN SHARE ROW EXCLUSIVE MODE"))
            for paths in _batches(changes.removed_paths):
                connection.execute(_REMOVE_FRAMES, {"paths": _array(paths)})
            connection.execute(_REMOVE_GAMES, {"ids": list(changes.removed_games)})
            _put_games(connection, changes.games)
            for frames in _batches(changes.frames):
                _put_frames(connection, frames)
            connection.execute(_COUNT)


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
    names = {game.id: one_line(game.name) or f"game {game.id}" for game in games}
    if not names:
        return
    statement = insert(db.games).values([{"id": game_id, "name": name} for game_id, name in sorted(names.items())])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"name": statement.excluded.name},
            where=db.games.c.name != statement.excluded.name,
        )
    )


def _put_frames(connection: Connection, frames: Sequence[StoredFrame]) -> int:
    """Insert what has no row and count it; returns how many."""
    if not frames:
        return 0
    ids = sorted({frame.game_id for frame in frames})
    unnamed = [{"id": game_id, "name": f"game {game_id}"} for game_id in ids]
    connection.execute(insert(db.games).values(unnamed).on_conflict_do_nothing())
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
