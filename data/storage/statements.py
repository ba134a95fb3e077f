"""SQL of the catalog, insertions, and values: array literals, which PostgreSQL parses faster than psycopg2's lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from data.entities import FrameDetails, Game, StoredFrame, is_game_id
from data.storage import schema
from data.text import printable_line


class FrameRow(NamedTuple):
    """What lists of frames need of a row: a tuple, of which a hundred thousand are made in a moment."""

    id: int
    version: int  # another one after each change of the row
    path: str
    date: float  # epoch seconds
    language: str  # empty: unknown
    sha256: bytes | None


class FrameSums(NamedTuple):
    """Sums that differ if rows were added, removed or changed."""

    rows: int
    ids: int
    versions: int


SNAPSHOT = sa.text("""
    SELECT games.id, name, games.frames, path, sha256, CAST(extract(epoch FROM date) AS double precision) AS date,
        coalesce(language, '') AS language, viewers, coalesce(title, '') AS title, coalesce(origin, '') AS origin
    FROM games LEFT JOIN frames ON frames.game_id = games.id
""")
FRAME = sa.text(SNAPSHOT.text.replace("LEFT JOIN", "JOIN") + "WHERE path = :path")
PER_GAME = sa.text("""
    SELECT games.id, name, games.frames, count(DISTINCT user_login) AS streamers,
        extract(epoch FROM min(date)) AS first, extract(epoch FROM max(date)) AS last
    FROM games LEFT JOIN frames ON frames.game_id = games.id GROUP BY games.id ORDER BY games.id
""")
HAS_LANGUAGES = sa.text("""
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('frames') AND attname = 'language')
""")
LANGUAGES = sa.text("""
    SELECT game_id, language, count(*) AS frames FROM frames WHERE language IS NOT NULL
    GROUP BY game_id, language ORDER BY count(*) DESC, language
""")
FRAME_ROWS = sa.text("""
    SELECT id, CAST(CAST(xmin AS text) AS bigint), path, CAST(extract(epoch FROM date) AS double precision),
        coalesce(language, ''), sha256
    FROM frames WHERE id > :after ORDER BY id LIMIT :limit
""")
# A changed row keeps its id and gets another xmin: https://www.postgresql.org/docs/current/ddl-system-columns.html
FRAME_SUMS = sa.text("""
    SELECT count(*), CAST(coalesce(sum(id), 0) AS bigint),
        CAST(coalesce(sum(CAST(CAST(xmin AS text) AS bigint)), 0) AS bigint)
    FROM frames WHERE id <= :last
""")
# Counters of all changes since the statistics began, and the tables' files, which TRUNCATE replaces. The counters may
# be 10 s late (https://www.postgresql.org/docs/current/monitoring-stats.html), the largest id never is.
ACTIVITY = sa.text("""
    SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del), sum(CAST(relfilenode AS bigint)),
        (SELECT max(id) FROM frames)
    FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
    WHERE relid IN (to_regclass('games'), to_regclass('frames'))
""")
REMOVE_FRAMES = sa.text("DELETE FROM frames WHERE path = ANY(CAST(:paths AS text[]))")
# Of the given frames those go for which an older row has the same hash. After a lost response they are inserted again
# and go again; so does a row that dbSync adopted a moment ago.
REMOVE_IDENTICAL = sa.text("""
    WITH removed AS (
        DELETE FROM frames USING frames AS older
        WHERE frames.path = ANY(CAST(:paths AS text[])) AND older.sha256 = frames.sha256 AND older.id < frames.id
        RETURNING frames.path, frames.game_id
    ), counted AS (
        UPDATE games SET frames = games.frames - sums.frames
        FROM (SELECT game_id, count(*) AS frames FROM removed GROUP BY game_id) AS sums WHERE games.id = sums.game_id
    )
    SELECT path FROM removed
""")
ORIGINAL_FRAMES = sa.text("""
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname ~ '^original_frames(_[0-9]+)?$'
""")
REMOVE_ORIGINAL = r"""
    DELETE FROM {} WHERE lower(user_login) = ANY(CAST(:logins AS text[]))
        OR substring(lower(path) FROM '([a-z0-9_]{{1,25}})-[0-9]+\.jpg$') = ANY(CAST(:logins AS text[]))
"""
_GIVEN = """
    WITH given AS (
        SELECT path, game_id, user_login, decode(nullif(hash, ''), 'hex') AS sha256,
            to_timestamp(CAST(nullif(date, '') AS double precision)) AS date, nullif(language, '') AS language,
            CAST(nullif(viewers, '') AS integer) AS viewers, nullif(title, '') AS title, nullif(origin, '') AS origin
        FROM unnest(
            CAST(:paths AS text[]), CAST(:games AS bigint[]), CAST(:logins AS text[]), CAST(:hashes AS text[]),
            CAST(:dates AS text[]), CAST(:languages AS text[]), CAST(:viewers AS text[]), CAST(:titles AS text[]),
            CAST(:origins AS text[])
        ) AS given (path, game_id, user_login, hash, date, language, viewers, title, origin)
    )
"""
ADD_FRAMES = sa.text(f"""
    {_GIVEN}, added AS (
        INSERT INTO frames (path, game_id, user_login, sha256, date, language, viewers, title, origin)
        SELECT path, game_id, user_login, sha256, coalesce(date, now()), language, viewers, title, origin FROM given
        ON CONFLICT (path) DO NOTHING RETURNING game_id
    )
    UPDATE games SET frames = games.frames + sums.frames
    FROM (SELECT game_id, count(*) AS frames FROM added GROUP BY game_id) AS sums WHERE games.id = sums.game_id
""")
UPDATE_FRAMES = sa.text(f"""
    {_GIVEN}
    UPDATE frames SET sha256 = coalesce(given.sha256, frames.sha256), date = coalesce(given.date, frames.date),
        language = given.language, viewers = given.viewers, title = given.title, origin = given.origin
    FROM given WHERE frames.path = given.path
""")


def to_frame(row: sa.Row[Any]) -> StoredFrame:
    """Return the frame of a row of SNAPSHOT. Rows that were changed by hand may have any path, game and login."""
    game_id, _name, _frames, path, sha256, date, language, viewers, title, origin = row
    login, _, number = path[path.rfind("/") + 1 : -len(".jpg")].rpartition("-")
    valid = number.isdecimal() and len(number) <= 18
    details = FrameDetails(date, language, viewers, title, origin)
    return StoredFrame(game_id, login, int(number) if valid else 0, bytes(sha256 or b""), details)


def to_parameters(frames: Sequence[StoredFrame]) -> dict[str, str]:
    """Return the frames' values as array literals, as the statements name them."""
    all_details = [frame.details for frame in frames]
    return {
        "paths": to_array(frame.path for frame in frames),
        "games": to_array(str(frame.game_id) for frame in frames),
        "logins": to_array(frame.login for frame in frames),
        "hashes": to_array(frame.sha256.hex() for frame in frames),
        "dates": to_array("" if each.grabbed_at is None else repr(each.grabbed_at) for each in all_details),
        "languages": to_array(each.language for each in all_details),
        "viewers": to_array("" if each.viewers is None else str(each.viewers) for each in all_details),
        "titles": to_array(each.title for each in all_details),
        "origins": to_array(each.origin for each in all_details),
    }


def to_array(values: Iterable[str]) -> str:
    """Return `values` as an array literal: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO."""
    # psycopg2 would send a list as ARRAY[...], which takes the server five times longer to parse.
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def upsert_games(connection: sa.Connection, games: Sequence[Game]) -> None:
    """Insert games, or rename existing ones."""
    names = {game.id: printable_line(game.name) or f"game {game.id}" for game in games if is_game_id(game.id)}
    if not names:
        return
    # Rows are locked in the order of their ids, so that two downloads never deadlock.
    insertion = insert(schema.games).values([{"id": game_id, "name": names[game_id]} for game_id in sorted(names)])
    new_name = insertion.excluded.name
    changed = schema.games.c.name != new_name
    connection.execute(insertion.on_conflict_do_update(index_elements=["id"], set_={"name": new_name}, where=changed))


def insert_frames(connection: sa.Connection, frames: Sequence[StoredFrame]) -> None:
    """Insert the frames that have no row and add them to the games' counts."""
    if not frames:
        return
    unnamed = [{"id": game_id, "name": f"game {game_id}"} for game_id in sorted({frame.game_id for frame in frames})]
    connection.execute(insert(schema.games).values(unnamed).on_conflict_do_nothing())
    connection.execute(ADD_FRAMES, to_parameters(frames))
