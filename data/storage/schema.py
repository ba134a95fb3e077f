"""Database schema: the tables, their version, and how tables of earlier versions and of the original program change.

The folder of frames is the truth; these tables are its index, and data.dbSync can rebuild them from it. Every change
of the schema happens in the transaction of `prepare`: all of it or nothing.

A comment on the table games holds the version. Version 1, which has no comment, lacks the column frames.sha256;
version 2 lacks language, viewers, title and origin. The original program of 2021 has tables of the same names with
other types, with NULLs, and with the folder in each path.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from data.errors import CatalogUnavailable
from data.text import plural

VERSION = 3

metadata = sa.MetaData()

games = sa.Table(
    "games",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),  # Twitch's id
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("frames", sa.Integer, nullable=False, server_default="0"),  # denormalised: choosing a game reads few rows
    comment=f"twitchcategory schema {VERSION}",
)

frames = sa.Table(
    "frames",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("path", sa.Text, nullable=False, unique=True),  # StoredFrame.path
    sa.Column("game_id", sa.BigInteger, sa.ForeignKey("games.id", ondelete="CASCADE"), nullable=False),
    sa.Column("user_login", sa.Text, nullable=False),
    # FrameDetails.grabbed_at; if that is unknown, the time of the insertion
    sa.Column("date", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("sha256", sa.LargeBinary),  # of the file; not unique: copies made by hand have rows too; NULL: unknown
    sa.Column("language", sa.Text),  # this and the next ones as in FrameDetails; NULL: unknown
    sa.Column("viewers", sa.Integer),
    sa.Column("title", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Index("frames_game_id_user_login_idx", "game_id", "user_login"),  # for the foreign key and to count streamers
    sa.Index("frames_sha256_idx", "sha256"),
)

_ADDED = ("sha256", "language", "viewers", "title", "origin")  # columns of frames since version 1

RECOUNT = """
    UPDATE games SET frames = counted.frames
    FROM (SELECT games.id, count(frames.id) AS frames FROM games LEFT JOIN frames ON frames.game_id = games.id
          GROUP BY games.id) AS counted
    WHERE games.id = counted.id AND games.frames <> counted.frames
"""

_CURE = "set DB_NAME to a database of its own (createdb), or rename that table"
# The types that the columns of the original program may have.
_INTEGER, _STRING, _TIME = {"integer", "bigint"}, {"character varying", "text"}, {"timestamp without time zone"}
_ORIGINAL: Mapping[str, Mapping[str, set[str]]] = {
    "games": {"id": _INTEGER, "name": _STRING, "frames": _INTEGER},
    "frames": {
        "id": _INTEGER,
        "path": _STRING,
        "game_id": _INTEGER,
        "user_login": _STRING,
        "date": {*_TIME, "timestamp with time zone"},
    },
}
# The tables by which PostgreSQL resolves these names with its search_path, column by column.
_COLUMNS = """
    SELECT t.relname, n.nspname, t.relkind, obj_description(t.oid, 'pg_class') AS comment, c.attname,
        format_type(c.atttypid, NULL) AS type, c.attidentity <> '' OR c.atthasdef AS has_default, c.attnotnull,
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indkey::text = c.attnum::text
                AND i.indisunique AND i.indisvalid AND i.indpred IS NULL) AS is_unique
    FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
        LEFT JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
    WHERE t.oid IN (to_regclass('games'), to_regclass('frames')) ORDER BY t.relname DESC
"""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table named games or frames, of the toolkit or of another program."""

    name: str  # with its schema
    kind: str  # pg_class.relkind; r: an ordinary table
    comment: str
    columns: dict[str, sa.Row[tuple[object, ...]]] = field(default_factory=dict)  # by name, rows of _COLUMNS

    @property
    def version(self) -> int:
        """The version in the comment; 1 without one."""
        match = re.fullmatch(r"twitchcategory schema ([0-9]{1,9})", self.comment)
        return int(match[1]) if match else 1


def prepare(connection: sa.Connection, *, writable: bool, dry_run: bool = False) -> None:
    """Create the tables, or migrate older ones. Raises CatalogUnavailable: foreign or newer tables, or not `writable`.

    dry_run: the caller rolls back; this changes only the words of the message.
    """
    found = _inspect(connection)
    if _is_original(found):
        if not writable:
            raise CatalogUnavailable(
                "The tables are the original program's, and the database is read-only: make it writable."
            )
        _take_over(connection, "would be taken over" if dry_run else "taken over")
        return
    for table_name, table in found.items():
        _refuse_foreign(table_name, table)
    is_current = len(found) == len(metadata.tables) and found["games"].version == VERSION
    if is_current or (len(found) == len(metadata.tables) and not writable and not dry_run):
        return  # without a change, so that the role needs no right to make one
    if not writable:
        state = "tables of an earlier version" if found else "no tables yet"
        raise CatalogUnavailable(f"The database is read-only and has {state}: make it writable, or check DB_NAME.")
    metadata.create_all(connection)
    for column in _ADDED:
        connection.exec_driver_sql(
            f"ALTER TABLE frames ADD COLUMN IF NOT EXISTS {column} {_type_name(frames.c[column])}"
        )
    for statement in (
        "CREATE INDEX IF NOT EXISTS frames_sha256_idx ON frames (sha256)",
        f"COMMENT ON TABLE games IS '{games.comment}'",
    ):
        connection.exec_driver_sql(statement)


def _inspect(connection: sa.Connection) -> dict[str, _Table]:
    """Return what the database has under the names games and frames."""
    found: dict[str, _Table] = {}
    for row in connection.exec_driver_sql(_COLUMNS):
        name = f"{row.nspname}.{row.relname}"
        table = found.setdefault(row.relname, _Table(name, row.relkind, row.comment or ""))
        if row.attname is not None:
            table.columns[row.attname] = row
    return found


def _refuse_foreign(name: str, table: _Table) -> None:
    """Raise CatalogUnavailable unless the table is one of this program, of this version or an earlier one."""
    if table.version > VERSION:
        raise CatalogUnavailable(
            f"The table {table.name} has the newer schema {table.version}, and this program knows {VERSION}: "
            "update the program, or set DB_NAME to another database."
        )
    if reason := _difference(name, table):
        raise CatalogUnavailable(f"The table {table.name} is not this program's: {reason}: {_CURE}.")


def _difference(name: str, table: _Table) -> str:
    """Return the first difference from this program's table, "" without one."""
    if table.kind != "r":
        return "it is no ordinary table"
    for column in metadata.tables[name].columns:
        found, expected = table.columns.get(column.name), _type_name(column)
        if found is None:
            if column.name in _ADDED and table.version < VERSION:
                continue
            return f"it has no column {column.name}"
        if found.type != expected:
            return f"its column {column.name} is {found.type} instead of {expected}"
        if (column.primary_key or column.unique) and not found.is_unique:
            return f"its column {column.name} is not unique"
        if column.identity and not found.has_default:
            return f"its column {column.name} has no default"
    own = metadata.tables[name].columns.keys()
    others = (row for other, row in table.columns.items() if other not in own)
    demanding = next((row.attname for row in others if row.attnotnull and not row.has_default), None)
    return f"its column {demanding} must not be NULL" if demanding else ""


def _type_name(column: sa.Column[object]) -> str:
    """Return the column's type as PostgreSQL's format_type names it."""
    return column.type.compile(postgresql.dialect()).lower()


def _is_original(found: Mapping[str, _Table]) -> bool:
    """Return whether both tables are the original program's."""
    if found.keys() != _ORIGINAL.keys() or found["games"].version > 1:
        return False
    if not any(_difference(name, table) for name, table in found.items()):
        return False  # this program's version 1
    return all(
        table.kind == "r"
        and table.columns.keys() == _ORIGINAL[name].keys()
        and all(row.type in _ORIGINAL[name][column] for column, row in table.columns.items())
        for name, table in found.items()
    )


def _take_over(connection: sa.Connection, done: str) -> None:
    """Rename the original program's tables, create ours, and copy what fits; the last two parts of a path name a frame.

    A repeated path counts once. Rows without a path, or with one that `StoredFrame` does not know, stay behind.
    """
    suffix = _free_suffix(connection)
    for name in _ORIGINAL:
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO original_{name}{suffix}")
    metadata.create_all(connection)
    connection.exec_driver_sql(_COPY.format(suffix=suffix))
    connection.exec_driver_sql(RECOUNT)
    tables = ("games", "frames", f"original_frames{suffix}")
    counts = (connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in tables)
    game_count, frame_count, original_count = counts
    left = f"; {plural(original_count - frame_count, 'row')} without a valid path of its own stay behind"
    logging.getLogger(__name__).warning(
        "the original program's tables: %s and %s %s%s; original_games%s and original_frames%s keep the old rows",
        *(plural(game_count, "game"), plural(frame_count, "frame"), done),
        *(left if original_count > frame_count else "", suffix, suffix),
    )


def _free_suffix(connection: sa.Connection) -> str:
    """Return what makes the names original_games and original_frames unused."""
    taken = "SELECT coalesce(to_regclass('original_games{0}'), to_regclass('original_frames{0}')) IS NOT NULL"
    suffixes = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
    return next(suffix for suffix in suffixes if not connection.exec_driver_sql(taken.format(suffix)).scalar())


_COPY = r"""
    INSERT INTO games (id, name)
    SELECT id, coalesce(nullif(btrim(regexp_replace(name, '[[:cntrl:][:space:]]+', ' ', 'g')), ''), 'game ' || id)
    FROM original_games{suffix} WHERE id BETWEEN 1 AND 999999999999999999 ON CONFLICT DO NOTHING;
    WITH parsed AS (
        SELECT id, date, regexp_match(replace(path, '\', '/'),
            '(?:^|/)([1-9][0-9]{{0,17}})/([a-z0-9_]{{1,25}})-([1-9][0-9]{{0,17}})\.jpg$') AS part
        FROM original_frames{suffix}
    ), taken AS (
        SELECT DISTINCT ON (part) part, date FROM parsed WHERE part IS NOT NULL ORDER BY part, id
    ), unlisted AS (
        INSERT INTO games (id, name) SELECT DISTINCT part[1]::bigint, 'game ' || part[1] FROM taken
        ON CONFLICT DO NOTHING
    )
    INSERT INTO frames (path, game_id, user_login, date)
    SELECT part[1] || '/' || part[2] || '-' || part[3] || '.jpg', part[1]::bigint, part[2], coalesce(date, now())
    FROM taken
"""
