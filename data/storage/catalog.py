"""Repository of games and frames: the catalog's rows in PostgreSQL. One call is one transaction.

When the connection is lost, as at a restart of the server, the call waits for the server and repeats its transaction
(data.storage.transactions); therefore every call is idempotent.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from data.entities import Game, StoredFrame
from data.storage import schema, statements
from data.storage.statements import FrameRow, FrameSums
from data.storage.transactions import Transactions

_BATCH = 20_000  # rows per statement, which takes a few megabytes
_FRAMES_LOCK = 7_487_011  # an arbitrary number, the same in every command


@dataclass(frozen=True, slots=True)
class GameSummary:
    """A game, its number of frames, and the number of streamers who gave them."""

    game: Game
    frames: int
    streamers: int
    # Known languages with their frames, most frames first.
    languages: Mapping[str, int] = field(default_factory=dict, compare=False)
    first: float | None = field(default=None, compare=False)  # time of the oldest frame, epoch s; None without frames
    last: float | None = field(default=None, compare=False)  # of the newest one


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """All rows at one moment."""

    frames: Mapping[str, StoredFrame]  # by path, with what the rows say of them
    games: Mapping[int, Game]  # by id
    wrong_counts: frozenset[int]  # ids of games whose column `frames` differs from their number of rows

    @property
    def paths(self) -> frozenset[str]:
        """Paths of the frames."""
        return frozenset(self.frames)

    @property
    def hashes(self) -> dict[str, bytes]:
        """By path, the SHA-256 of the files that have one."""
        return {path: frame.sha256 for path, frame in self.frames.items() if frame.sha256}


@dataclass(frozen=True, slots=True)
class CatalogChanges:
    """Changes that make the catalog match the folder. Removing a game removes the rows of its frames too."""

    games: Sequence[Game] = ()
    removed_games: Sequence[int] = ()
    frames: Sequence[StoredFrame] = ()
    removed_paths: Sequence[str] = ()
    updated: Sequence[StoredFrame] = ()  # frames that have a row, which gets their details, and the hash if known


class Catalog:
    """The games' and frames' rows in PostgreSQL. Every method raises CatalogUnavailable.

    Args:
        engine: an engine of `data.storage.database.connect`.
        reconnect_s: seconds that one call may wait for a server that went away; 0 raises at once.
        sleep: waits a number of seconds; a true result ends the waiting, as that of `threading.Event.wait`.
    """

    def __init__(
        self, engine: sa.Engine, reconnect_s: float = 0.0, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.lock_timeout_s = 0.0  # of `apply`: seconds to wait for other programs' locks of the tables; 0: no limit
        self.transactions = Transactions(engine, reconnect_s, sleep)

    def add_games(self, games: Iterable[Game]) -> None:
        """Insert games, or rename existing ones."""
        games = list(games)  # a repeated transaction needs them again, and an iterator would be empty then
        self.transactions.run(lambda connection: statements.upsert_games(connection, games))

    def games(self) -> list[GameSummary]:
        """Return every game, by id."""

        def work(connection: sa.Connection) -> list[GameSummary]:
            languages: dict[int, dict[str, int]] = {}
            # Tables of an earlier version that may not be changed have no languages.
            has_languages = connection.execute(statements.HAS_LANGUAGES).scalar()
            for row in connection.execute(statements.LANGUAGES) if has_languages else ():
                languages.setdefault(row.game_id, {})[row.language] = row.frames
            rows = connection.execute(statements.PER_GAME).all()
            return [
                GameSummary(
                    Game(row.id, row.name),
                    row.frames,
                    row.streamers,
                    languages.get(row.id, {}),
                    *(None if time is None else float(time) for time in (row.first, row.last)),
                )
                for row in rows
            ]

        return self.transactions.run(work)

    def game_frames(self) -> dict[Game, int]:
        """Return the number of frames of every game, by id."""
        query = sa.select(schema.games).order_by(schema.games.c.id)
        rows = self.transactions.run(lambda connection: connection.execute(query).all())
        return {Game(row.id, row.name): row.frames for row in rows}

    def streamer_frames(self, game_id: int) -> dict[str, int]:
        """Return a game's number of frames by login, for each streamer who has any."""
        login = schema.frames.c.user_login
        query = sa.select(login, sa.func.count()).where(schema.frames.c.game_id == game_id).group_by(login)
        return self.transactions.run(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    def add_frames(self, frames: Sequence[StoredFrame]) -> list[StoredFrame]:
        """Insert rows for saved files and update the games' counts; skip a frame that has a row.

        Return the frames that got no row, as a frame of the same SHA-256 has one; the caller deletes their files.
        A game that dbSync has removed is inserted again, named `game <id>`.
        """

        def work(connection: sa.Connection) -> list[StoredFrame]:
            # Without the lock two downloads would not see each other's rows, and both add the same frame.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FRAMES_LOCK)))
            statements.insert_frames(connection, frames)
            identical = set(
                connection.scalars(
                    statements.REMOVE_IDENTICAL, {"paths": statements.to_array(frame.path for frame in frames)}
                )
            )
            return [frame for frame in frames if frame.path in identical]

        return self.transactions.run(work)

    def remove_frames(self, frames: Iterable[StoredFrame]) -> None:
        """Remove the rows of frames and recount; a frame without a row is no error."""
        self.apply(CatalogChanges(removed_paths=[frame.path for frame in frames]))

    def remove_original_rows(self, logins: Iterable[str]) -> int:
        """Delete the rows of these logins from the original program's tables, which a take-over keeps; return how many.

        A path names a login too.
        """
        names = statements.to_array(logins)

        def work(connection: sa.Connection) -> int:
            tables = connection.scalars(statements.ORIGINAL_FRAMES).all()
            deletions = (sa.text(statements.REMOVE_ORIGINAL.format(table)) for table in tables)
            return sum(connection.execute(deletion, {"logins": names}).rowcount for deletion in deletions)

        return self.transactions.run(work)

    def snapshot(self) -> CatalogSnapshot:
        """Return all rows at one moment."""

        def work(connection: sa.Connection) -> CatalogSnapshot:
            # One statement sees one moment: rows that a download adds in between would look like a wrong count.
            rows = connection.execute(statements.SNAPSHOT).all()
            games = {row.id: Game(row.id, row.name) for row in rows}
            stated = {row.id: row.frames for row in rows}
            frames = {row.path: statements.to_frame(row) for row in rows if row.path is not None}
            counted = Counter(frame.game_id for frame in frames.values())
            return CatalogSnapshot(frames, games, frozenset(key for key in stated if stated[key] != counted[key]))

        return self.transactions.run(work)

    def frame_rows(self, after: int = 0, limit: int = _BATCH) -> list[FrameRow]:
        """Return the frames' rows with ids above `after`, by id, at most `limit`: all rows in a few calls."""
        values = {"after": after, "limit": limit}
        return self.transactions.run(
            lambda connection: [FrameRow(*row) for row in connection.execute(statements.FRAME_ROWS, values)]
        )

    def frame_sums(self, last: int) -> FrameSums:
        """Return sums over the frames' rows with ids up to `last`: 100,000 rows take 0.03 s."""
        query = statements.FRAME_SUMS
        return self.transactions.run(lambda connection: FrameSums(*connection.execute(query, {"last": last}).one()))

    def activity(self) -> tuple[int, ...]:
        """Return PostgreSQL's counters of the tables, which differ within seconds after rows have changed."""
        return self.transactions.run(lambda connection: tuple(connection.execute(statements.ACTIVITY).one()))

    def frame(self, path: str) -> StoredFrame | None:
        """Return a frame with what its row says; None without a row."""
        row = self.transactions.run(lambda connection: connection.execute(statements.FRAME, {"path": path}).first())
        return statements.to_frame(row) if row else None

    def apply(self, changes: CatalogChanges) -> None:
        """Make these changes and recount the frames of every game, in one transaction."""

        def work(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(self.lock_timeout_s * 1000)}")
            # The lock makes downloads wait: the recount must not miss their rows.
            connection.execute(sa.text("LOCK TABLE games, frames IN SHARE ROW EXCLUSIVE MODE"))
            for start in range(0, len(changes.removed_paths), _BATCH):
                paths = statements.to_array(changes.removed_paths[start : start + _BATCH])
                connection.execute(statements.REMOVE_FRAMES, {"paths": paths})
            connection.execute(sa.delete(schema.games).where(schema.games.c.id.in_(changes.removed_games)))
            statements.upsert_games(connection, changes.games)
            for start in range(0, len(changes.frames), _BATCH):
                statements.insert_frames(connection, changes.frames[start : start + _BATCH])
            for start in range(0, len(changes.updated), _BATCH):
                connection.execute(
                    statements.UPDATE_FRAMES, statements.to_parameters(changes.updated[start : start + _BATCH])
                )
            connection.exec_driver_sql(schema.RECOUNT)

        self.transactions.run(work)
