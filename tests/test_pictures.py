"""The picture of the schema is made from the tables, so it cannot differ from them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, MetaData, Table, Text

from data.storage import database
from docs import pictures, schema

IMAGES = Path(pictures.__file__).resolve().parent.parent / "images"


def words(svg):
    """Every text of the picture, titles of arrows included."""
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.text]


def copied(metadata):
    copy = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(copy)
    return copy


def test_the_picture_names_every_table_column_key_and_index():
    """Whatever data.storage.database declares stands in the picture, in PostgreSQL's words."""
    shown = words(schema.svg(database.metadata))
    for table in database.metadata.sorted_tables:
        assert table.name in shown
        assert {column.name for column in table.columns} <= set(shown)
        for key in table.foreign_keys:
            assert f"{key.parent} → {key.target_fullname}" in shown
        for index in table.indexes:
            assert any(f"CREATE INDEX {index.name} ON {table.name}" in text for text in shown)
    assert {"BIGINT NOT NULL", "TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL", "UNIQUE (path)"} <= set(shown)


def test_the_committed_picture_is_the_one_of_these_tables():
    """images/schema.svg is up to date; python -m docs.pictures draws it anew."""
    assert (IMAGES / "schema.svg").read_text(encoding="utf-8") == schema.svg(database.metadata)


@pytest.mark.parametrize(
    ("addition", "text"),
    [
        (Column("mood", Text), "mood"),
        (Column("rival_id", BigInteger, ForeignKey("games.id")), "frames.rival_id → games.id"),
        (CheckConstraint("id > 0"), "CHECK (id > 0)"),
    ],
    ids=["column", "foreign key", "check"],
)
def test_a_change_of_the_tables_changes_the_picture(addition, text):
    """A column, a key or a condition that is added appears."""
    changed = copied(database.metadata)
    table = changed.tables["frames"]
    add = table.append_column if isinstance(addition, Column) else table.append_constraint
    add(addition)
    assert text not in words(schema.svg(database.metadata))
    assert text in words(schema.svg(changed))


def test_a_table_of_any_name_and_a_reference_to_itself_are_drawn():
    """Names that need quotes or escapes leave the picture well-formed."""
    metadata = MetaData()
    parent = Column("<parent>", ForeignKey("A & B.id"))
    Table("A & B", metadata, Column("id", BigInteger, primary_key=True), parent, Index("i", parent))
    assert {"A & B", "<parent>"} <= set(words(schema.svg(metadata)))
    assert schema.svg(metadata) == schema.svg(copied(metadata))


def test_a_missing_demo_is_told_in_one_line(tmp_path, capsys):
    """Without a finished demo nothing is drawn, and the message says what to do."""
    with pytest.raises(SystemExit) as ended:
        pictures.main(["--demo", str(tmp_path), "--images", str(tmp_path / "images")])
    assert ended.value.code == 2
    assert "make demo" in capsys.readouterr().err
    assert not (tmp_path / "images").exists()
