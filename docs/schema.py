"""The schema as a picture: SVG made from the tables themselves, in PostgreSQL's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, MetaData, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.schema import CreateIndex, CreateTable

_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
_SIZE, _CHARACTER = 12, 7.25  # of the type, and of a character in it, pixels
_ROW, _HEADER, _PAD, _GAP, _MARGIN, _KEYS = 24, 32, 14, 84, 12, 34
_INK, _GREY, _LINE, _PAPER, _BLUE, _ORANGE = "#1f2430", "#667080", "#c9d0d9", "#f6f8fa", "#2a6fbb", "#d9691e"


@dataclass(frozen=True, slots=True)
class _Card:
    """A table's place in the picture. `x`: of its left edge. `rest`: its constraints and indexes, as DDL."""

    table: Table
    x: float
    columns: dict[str, str]
    rest: tuple[str, ...]

    @property
    def width(self) -> float:
        columns = _KEYS + (self.names + max(map(len, self.columns.values()))) * _CHARACTER
        return 2 * _PAD + max(columns, max(map(len, self.rest), default=0) * _CHARACTER)

    @property
    def height(self) -> float:
        return _HEADER + (len(self.columns) + len(self.rest)) * _ROW + 2 * (_PAD / 2)

    @property
    def names(self) -> int:
        """Characters that the columns' names take, with the space after them."""
        return max(map(len, self.columns)) + 2

    def middle(self, column: str) -> float:
        """The y of a column's row."""
        return _MARGIN + _HEADER + (list(self.columns).index(column) + 0.5) * _ROW


def svg(metadata: MetaData) -> str:
    """The tables of `metadata`, those that others refer to on the left, an arrow for each foreign key."""
    cards: list[_Card] = []
    x: float = _MARGIN
    for table in metadata.sorted_tables:
        cards.append(_Card(table, x, {c.name: _type(c) for c in table.columns}, tuple(_rest(table))))
        x += cards[-1].width + _GAP
    width, height = x - _GAP + _MARGIN, max(card.height for card in cards) + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="{_FONT}" font-size="{_SIZE}" fill="{_INK}">',
        f"<title>Tables {escape(', '.join(card.table.name for card in cards))}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *(line for card in cards for line in _card(card)),
        *(line for card in cards for line in _arrows(card, {card.table.name: card for card in cards})),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _type(column: Column) -> str:
    """What CREATE TABLE says of a column after its name."""
    compiler = _compiler(column.table)
    return compiler.get_column_specification(column).removeprefix(compiler.preparer.format_column(column)).strip()


def _rest(table: Table) -> Iterator[str]:
    """The table's constraints and indexes, as DDL, a line each."""
    compiler = _compiler(table)
    yield compiler.process(table.primary_key)
    for kind in (UniqueConstraint, CheckConstraint, ForeignKeyConstraint):
        yield from sorted(compiler.process(c) for c in table.constraints if isinstance(c, kind))
    yield from sorted(compiler.process(CreateIndex(index)) for index in table.indexes)


def _compiler(table: Table) -> PGDDLCompiler:
    """What writes a table's definition for PostgreSQL."""
    return PGDDLCompiler(postgresql.dialect(), CreateTable(table))


def _card(card: _Card) -> Iterator[str]:
    """The box of a table: its name, a row for each column, a line for each constraint and index."""
    x, y, width = card.x, float(_MARGIN), card.width
    yield _rect(x, y, width, card.height, "#ffffff")
    top = f"v{6 - _HEADER} q0 -6 6 -6 h{width - 12:g} q6 0 6 6 v{_HEADER - 6} z"
    yield f'<path d="M{x:g} {y + _HEADER:g} {top}" fill="{_BLUE}"/>'
    yield _text(x + _PAD, y + _HEADER / 2, card.table.name, fill="#ffffff", weight="bold", size=14)
    for name, words in card.columns.items():
        middle = card.middle(name)
        yield _text(x + _PAD, middle, _keys(card.table.columns[name]), fill=_ORANGE, weight="bold", size=10)
        yield _text(x + _PAD + _KEYS, middle, name, weight="bold")
        yield _text(x + _PAD + _KEYS + card.names * _CHARACTER, middle, words, fill=_GREY)
    y += _HEADER + len(card.columns) * _ROW + _PAD / 2
    yield f'<path d="M{x:g} {y - _PAD / 4:g} h{width:g}" stroke="{_LINE}"/>'
    for number, words in enumerate(card.rest):
        yield _text(x + _PAD, y + (number + 0.5) * _ROW, words, fill=_INK)


def _keys(column: Column) -> str:
    """PK, FK, or UQ for a column that is alone unique."""
    unique = any(isinstance(c, UniqueConstraint) and list(c.columns) == [column] for c in column.table.constraints)
    return " ".join(
        word for word, is_so in (("PK", column.primary_key), ("FK", column.foreign_keys), ("UQ", unique)) if is_so
    )


def _arrows(card: _Card, cards: dict[str, _Card]) -> Iterator[str]:
    """From each referring column's row to the row that it refers to."""
    for column in card.table.columns:
        for key in sorted(column.foreign_keys, key=lambda key: key.target_fullname):
            target = cards[key.column.table.name]
            x0, y0 = card.x, card.middle(column.name)
            x1, y1 = target.x + target.width, target.middle(key.column.name)
            half = (x0 + x1) / 2
            yield (
                f'<path d="M{x0:g} {y0:g} H{half:g} V{y1:g} H{x1 + 8:g}" fill="none" stroke="{_ORANGE}" '
                f'stroke-width="1.6"><title>{escape(f"{column} → {key.target_fullname}")}</title></path>'
            )
            yield f'<path d="M{x1 + 1:g} {y1:g} l9 -4.5 v9 z" fill="{_ORANGE}"/>'


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" stroke="{_LINE}"/>'


def _text(x: float, middle: float, words: str, *, fill: str = _INK, weight: str = "normal", size: int = _SIZE) -> str:
    """A line of text, its x-height's middle at `middle`. Spaces stay as they are."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x:g}" y="{middle + size * 0.35:g}" {style} xml:space="preserve">{escape(words)}</text>'
