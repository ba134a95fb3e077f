"""Tables of the audits of declared categories. They are made by the first audit, not with those of games and frames."""

from __future__ import annotations

import sqlalchemy as sa

from data.storage.run_store import run_columns

metadata = sa.MetaData()

audits = sa.Table(
    "audits",
    metadata,
    *run_columns("audits"),
    sa.Column("listed", sa.BigInteger, nullable=False),
    sa.Column("not_judged", sa.Text, nullable=False),  # JSON
    sa.Column("seconds", sa.Double, nullable=False, server_default="0"),
    sa.Column("cpu_seconds", sa.Double, nullable=False, server_default="0"),
    sa.Column("frames", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("requests", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("summary", sa.Text),  # JSON, without logins
    comment="twitchcategory audits 1",  # the number is the version of both tables
)

audit_streams = sa.Table(
    "audit_streams",
    metadata,
    sa.Column("audit_id", sa.BigInteger, sa.ForeignKey("audits.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("login", sa.Text, primary_key=True),
    sa.Column("category_id", sa.BigInteger),
    sa.Column("category", sa.Text),
    sa.Column("viewers", sa.BigInteger, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("stratum", sa.Text, nullable=False),
    sa.Column("weight", sa.Double, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),  # empty: not looked at yet
    sa.Column("shown_id", sa.BigInteger),
    sa.Column("shown", sa.Text),
    sa.Column("screen", sa.Text, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("frames", sa.Integer, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True)),  # of the last look
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("jpeg", sa.LargeBinary),
    sa.Index("audit_streams_login_idx", "login"),  # to forget somebody
)
