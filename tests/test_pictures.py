"""docs.pictures and docs.schema: the schema image is generated from the tables and matches them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, MetaData, Table, Text

from data.storage import database
from docs import pictures, schema

IMAGES = Path(pictures.__file__).resolve().parent.parent / "images"


def texts(svg):
    """Return all texts of an SVG, titles of arrows included."""
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.text]


def copied(metadata):
    """Return a copy of the tables, for tests that change them."""
    copy = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(copy)
    return copy


def test_schema_image_names_every_table_column_key_and_index():
    """The image shows all that data.storage.database declares, in PostgreSQL's syntax."""
    found = texts(schema.svg(database.metadata))
    for table in database.metadata.sorted_tables:
        assert table.name in found
        assert {column.name for column in table.columns} <= set(found)
        for key in table.foreign_keys:
            assert f"{key.parent} → {key.target_fullname}" in found
        for index in table.indexes:
            assert any(f"CREATE INDEX {index.name} ON {table.name}" in text for text in found)
    assert {"BIGINT NOT NULL", "TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL", "UNIQUE (path)"} <= set(found)


def test_committed_schema_image_is_up_to_date():
    """images/schema.svg equals the generated image; python -m docs.pictures redraws it."""
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
def test_schema_image_shows_an_added_column_key_or_check(addition, text):
    """A column, a foreign key or a check that is added to a table appears in the image."""
    changed = copied(database.metadata)
    table = changed.tables["frames"]
    add = table.append_column if isinstance(addition, Column) else table.append_constraint
    add(addition)
    assert text not in texts(schema.svg(database.metadata))
    assert text in texts(schema.svg(changed))


def test_schema_image_with_special_names_and_self_reference_is_well_formed():
    """Names that need quotes or escapes leave the SVG well-formed."""
    metadata = MetaData()
    parent = Column("<parent>", ForeignKey("A & B.id"))
    Table("A & B", metadata, Column("id", BigInteger, primary_key=True), parent, Index("i", parent))
    assert {"A & B", "<parent>"} <= set(texts(schema.svg(metadata)))
    assert schema.svg(metadata) == schema.svg(copied(metadata))


def test_main_without_a_finished_demo_exits_with_advice(tmp_path, capsys):
    """Without a finished demo nothing is drawn, and the message tells what to do."""
    with pytest.raises(SystemExit) as ended:
        pictures.main(["--demo", str(tmp_path), "--images", str(tmp_path / "images")])
    assert ended.value.code == 2
    assert "make demo" in capsys.readouterr().err
    assert not (tmp_path / "images").exists()
