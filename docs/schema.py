"""Entity-relationship diagram: an SVG of the database's tables, generated from their SQLAlchemy metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, MetaData, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.schema import CreateIndex, CreateTable

_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
_SIZE, _CHARACTER = 12, 7.25  # font size and width of one character, pixels
_ROW, _HEADER, _PAD, _GAP, _MARGIN, _KEYS = 24, 32, 14, 84, 12, 34  # pixels; _KEYS: width of "PK" and the like
_INK, _GREY, _LINE, _PAPER, _BLUE, _ORANGE = "#1f2430", "#667080", "#c9d0d9", "#f6f8fa", "#2a6fbb", "#d9691e"


@dataclass(frozen=True, slots=True)
class _Card:
    """A table's box in the diagram."""

    table: Table
    x: float  # of the left edge, pixels
    columns: dict[str, str]  # type by name
    constraints: tuple[str, ...]  # constraints and indexes, as DDL

    @property
    def width(self) -> float:
        columns = _KEYS + (self.name_width + max(map(len, self.columns.values()))) * _CHARACTER
        return 2 * _PAD + max(columns, max(map(len, self.constraints), default=0) * _CHARACTER)

    @property
    def height(self) -> float:
        return _HEADER + (len(self.columns) + len(self.constraints)) * _ROW + 2 * (_PAD / 2)

    @property
    def name_width(self) -> int:
        """Return the width of the column of names with its margin, in characters."""
        return max(map(len, self.columns)) + 2

    def middle(self, column: str) -> float:
        """Return the y of the middle of a column's row, in pixels."""
        return _MARGIN + _HEADER + (list(self.columns).index(column) + 0.5) * _ROW


def svg(metadata: MetaData) -> str:
    """Return the diagram: referenced tables on the left, an arrow for each foreign key."""
    cards: list[_Card] = []
    x: float = _MARGIN
    for table in metadata.sorted_tables:
        cards.append(_Card(table, x, {c.name: _type(c) for c in table.columns}, tuple(_constraints(table))))
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
    """Return a column's type and constraints as CREATE TABLE has them."""
    compiler = _compiler(column.table)
    return compiler.get_column_specification(column).removeprefix(compiler.preparer.format_column(column)).strip()


def _constraints(table: Table) -> Iterator[str]:
    """Yield the DDL of each constraint and index of the table."""
    compiler = _compiler(table)
    yield compiler.process(table.primary_key)
    for constraint_class in (UniqueConstraint, CheckConstraint, ForeignKeyConstraint):
        # `constraints` is a set: sorted, or the diagram would differ from run to run.
        yield from sorted(compiler.process(c) for c in table.constraints if isinstance(c, constraint_class))
    yield from sorted(compiler.process(CreateIndex(index)) for index in table.indexes)


def _compiler(table: Table) -> PGDDLCompiler:
    """Return the compiler of the table's definition in PostgreSQL's dialect."""
    return PGDDLCompiler(postgresql.dialect(), CreateTable(table))


def _card(card: _Card) -> Iterator[str]:
    """Yield the SVG of a table's box: its name, a row for each column, a line for each constraint and index."""
    x, y, width = card.x, float(_MARGIN), card.width
    yield _rect(x, y, width, card.height, "#ffffff")
    top = f"v{6 - _HEADER} q0 -6 6 -6 h{width - 12:g} q6 0 6 6 v{_HEADER - 6} z"
    yield f'<path d="M{x:g} {y + _HEADER:g} {top}" fill="{_BLUE}"/>'
    yield _text(x + _PAD, y + _HEADER / 2, card.table.name, fill="#ffffff", weight="bold", size=14)
    for name, column_type in card.columns.items():
        middle = card.middle(name)
        yield _text(x + _PAD, middle, _keys(card.table.columns[name]), fill=_ORANGE, weight="bold", size=10)
        yield _text(x + _PAD + _KEYS, middle, name, weight="bold")
        yield _text(x + _PAD + _KEYS + card.name_width * _CHARACTER, middle, column_type, fill=_GREY)
    y += _HEADER + len(card.columns) * _ROW + _PAD / 2
    yield f'<path d="M{x:g} {y - _PAD / 4:g} h{width:g}" stroke="{_LINE}"/>'
    for index, ddl in enumerate(card.constraints):
        yield _text(x + _PAD, y + (index + 0.5) * _ROW, ddl, fill=_INK)


def _keys(column: Column) -> str:
    """Return PK, FK and UQ as they apply to the column; UQ only if it is unique by itself."""
    unique = any(isinstance(c, UniqueConstraint) and list(c.columns) == [column] for c in column.table.constraints)
    marks = (("PK", column.primary_key), ("FK", column.foreign_keys), ("UQ", unique))
    return " ".join(mark for mark, applies in marks if applies)


def _arrows(card: _Card, cards: dict[str, _Card]) -> Iterator[str]:
    """Yield an arrow from each referencing column to the column that it references."""
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


def _text(x: float, middle: float, text: str, *, fill: str = _INK, weight: str = "normal", size: int = _SIZE) -> str:
    """Return a line of text, centred vertically on `middle`; spaces are preserved."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x:g}" y="{middle + size * 0.35:g}" {style} xml:space="preserve">{escape(text)}</text>'
