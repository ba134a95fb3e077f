"""Markdown of a model card as values for a template: headings, tables, lists, paragraphs, code, emphasis and links.

Nothing in it becomes HTML: the template writes all text escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_HEADING = re.compile(r"(#{1,4}) (.*)")
_CELL = re.compile(r"(?<!\\)\|")
_INLINE = re.compile(
    r"\\(?P<escaped>[^\w\s])|`(?P<code>[^`\n]+)`|\*(?P<em>[^*\n]+)\*|\[(?P<a>[^][\n]+)\]\((?P<href>[^()[\s]+)\)"
)


class Span(NamedTuple):
    """A piece of a line. kind: text, code, em or a."""

    kind: str
    text: str
    href: str = ""


class Block(NamedTuple):
    """A part of the card. content: spans (h, p), lists of spans (ul), or rows of cells, the first its head (table)."""

    kind: str
    content: Any
    level: int = 0


def blocks(text: str) -> list[Block]:
    """Return the blocks of a text."""
    parts = re.split(r"\n\s*\n", _FRONT_MATTER.sub("", text.replace("\r\n", "\n"), count=1))
    return [_block(part.strip()) for part in parts if part.strip()]


def _block(text: str) -> Block:
    if match := _HEADING.fullmatch(text):
        return Block("h", _spans(match[2]), len(match[1]))
    if text.startswith("- "):
        return Block("ul", [_spans(item) for item in text[2:].split("\n- ")])
    if text.startswith("|"):
        rows = [[_spans(cell.strip()) for cell in _CELL.split(line.strip()[1:-1])] for line in text.split("\n")]
        return Block("table", [rows[0], *rows[2:]])  # the second row is a line
    return Block("p", _spans(text))


def _spans(text: str) -> list[Span]:
    return [span for span in _split(text) if span.text]


def _split(text: str) -> Iterator[Span]:
    end = 0
    for match in _INLINE.finditer(text):
        yield Span("text", text[end : match.start()])
        kind = match.lastgroup or ""
        if kind == "href":
            is_web = match["href"].startswith("https://")
            yield Span("a", match["a"], match["href"]) if is_web else Span("text", match["a"])
        else:
            yield Span("text" if kind == "escaped" else kind, match[kind])
        end = match.end()
    yield Span("text", text[end:])
