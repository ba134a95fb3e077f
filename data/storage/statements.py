"""SQL of the catalog. Values travel as array literals, which PostgreSQL parses faster than psycopg2's lists."""

from __future__ import annotations

import sqlalchemy as sa

from data.storage import schema

PER_GAME = sa.select(schema.games).outerjoin(schema.frames).group_by(schema.games.c.id)
SNAPSHOT = sa.text("""
    SELECT games.id, name, games.frames, coalesce(array_agg(path) FILTER (WHERE path IS NOT NULL), '{}') AS paths,
        coalesce(array_agg(encode(sha256, 'hex')) FILTER (WHERE path IS NOT NULL), '{}') AS hashes
    FROM games LEFT JOIN frames ON frames.game_id = games.id GROUP BY games.id
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
ADD_FRAMES = sa.text("""
    WITH given AS (
        SELECT * FROM
            unnest(CAST(:paths AS text[]), CAST(:games AS bigint[]), CAST(:logins AS text[]), CAST(:hashes AS text[]))
            AS given (path, game_id, user_login, hash)
    ), added AS (
        INSERT INTO frames (path, game_id, user_login, sha256)
        SELECT path, game_id, user_login, decode(nullif(hash, ''), 'hex') FROM given
        ON CONFLICT (path) DO NOTHING RETURNING game_id
    )
    UPDATE games SET frames = games.frames + sums.frames
    FROM (SELECT game_id, count(*) AS frames FROM added GROUP BY game_id) AS sums WHERE games.id = sums.game_id
""")
ADD_HASHES = sa.text("""
    UPDATE frames SET sha256 = decode(given.hash, 'hex')
    FROM unnest(CAST(:paths AS text[]), CAST(:hashes AS text[])) AS given (path, hash) WHERE frames.path = given.path
""")
