"""Channel row: a watched channel's line of a terminal table, as many columns as the terminal has room for.

A row is formatted again only if what it shows has changed: 50 channels give 25 frames a second.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from data.text import printable
from recognition.events import Event
from recognition.outputs.channel_state import ChannelState

_GAP = 2
_MAX_CHARACTERS = 200  # of a cell: characters that combine take no width
_MISMATCH_MARK = "≠ "
# Column: its width, or of wide ones the ratio in which they share the rest; the least terminal that has room for it.
_NARROW = {"Since": (6, 66), "Conf.": (5, 56), "State": (7, 26)}
_WIDE = {"Channel": (5, 0), "Game": (6, 0), "Category": (6, 46)}
_ORDER = ("Channel", "Game", "Since", "Conf.", "Category", "State")
_STATE_STYLES = {"live": "green", "failing": "red"}
_STYLES = {name: Style.parse(name or "none") for name in ("", "bold", "dim", "yellow", "red", "green", "bold red")}
_WITHOUT_JOINERS = dict.fromkeys((0x200C, 0x200D, 0xFE0E, 0xFE0F))  # terminals disagree on the width of joined emoji
_LEFT_TO_RIGHT = "\u200e"  # around right-to-left text: the cells keep their places

Cell = tuple[str, str]  # text, style


class RowLayout:
    """The columns of a terminal of `width` cells. key: what a row looks like depends on it."""

    def __init__(self, width: int, with_category: bool) -> None:
        self._width = width
        names = [name for name in _ORDER if width >= (_NARROW | _WIDE)[name][1]]
        self.names = tuple(name for name in names if with_category or name != "Category")
        self.key = (width, self.names)
        rest = (
            width - 1 - _GAP * (len(self.names) - 1) - sum(_NARROW[name][0] for name in self.names if name in _NARROW)
        )
        ratios = sum(_WIDE[name][0] for name in self.names if name in _WIDE)
        self._widths = [
            _NARROW[name][0] if name in _NARROW else max(1, rest * _WIDE[name][0] // ratios) for name in self.names
        ]

    def heading(self) -> list[Segment]:
        """Return the segments of the heading."""
        return self.row({name: (name, "bold") for name in self.names})

    def row(self, cells: dict[str, Cell]) -> list[Segment]:
        """Return the segments of a row. `cells`: by column."""
        gap, segments = Segment(" " * _GAP), []
        for name, width in zip(self.names, self._widths, strict=True):
            text, style = cells.get(name, ("", ""))
            segments += [Segment(_fitted(text, width), _STYLES[style]), gap]
        return segments[:-1]

    def line(self, text: str, style: str) -> list[Segment]:
        """Return the segments of a line that is no row; it leaves room for the ^C that the terminal writes there."""
        return [Segment(_fitted(text, max(1, self._width - 1 - len("^C"))).rstrip(), _STYLES[style])]


class ChannelRow:
    """The row of a channel, which it holds. Not thread-safe."""

    def __init__(self, channel: ChannelState) -> None:
        self.channel = channel
        self._drawn: tuple[object, list[Segment]] | None = None  # what it shows, and its segments

    def apply(self, event: Event) -> bool:
        """Take an event into account; return whether it changed more than the confidence."""
        before = self._answer()
        self.channel.apply(event, self.channel.category)
        return before != self._answer()

    def drawn(self, layout: RowLayout) -> list[Segment]:
        """Return the row's segments."""
        channel = self.channel
        confidence = "" if channel.confidence is None or not channel.answered else f"{channel.confidence:.0%}"
        key = (*layout.key, *self._answer(), confidence, channel.category, channel.since, datetime.now().day)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, layout.row(self._cells(layout, confidence))
        return self._drawn[1]

    def _answer(self) -> tuple[object, ...]:
        return self.channel.state, self.channel.game, self.channel.answered

    def _cells(self, layout: RowLayout, confidence: str) -> dict[str, Cell]:
        channel = self.channel
        game = channel.game.name if channel.game else "Unknown" if channel.answered else ""
        category = channel.category.name if channel.category else ""
        different = bool(channel.mismatch)
        game_style = "" if channel.game else "yellow"
        if "State" not in layout.names and not channel.answered:
            game, game_style = channel.state, "dim"
        if "Category" not in layout.names and different:
            game, game_style = _MISMATCH_MARK + game, "bold red"
        return {
            "Channel": (channel.source, ""),
            "Game": (game, game_style),
            "Since": (_local_time(channel.since), ""),
            "Conf.": (confidence, ""),
            "Category": (_MISMATCH_MARK + category, "bold red") if different else (category, ""),
            "State": (channel.state, _STATE_STYLES.get(channel.state, "dim")),
        }


def _local_time(at: datetime | None) -> str:
    """Return the time of today, or the date of another day."""
    if at is None:
        return ""
    local = at.astimezone()
    return f"{local:%H:%M}" if local.date() == datetime.now().date() else f"{local:%b %d}"


def _fitted(text: str, width: int) -> str:
    """Return text of a server or a file's name as exactly `width` cells of a terminal."""
    text = printable(text[:_MAX_CHARACTERS]).translate(_WITHOUT_JOINERS)
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1) + "…"
    fitted = set_cell_size(text, width)
    if text.isascii() or not any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text):
        return fitted
    return f"{_LEFT_TO_RIGHT}{fitted}{_LEFT_TO_RIGHT}"
