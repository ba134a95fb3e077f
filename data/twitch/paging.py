"""Pagination of Helix: the items of all pages of a listing, each once, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from data.twitch import responses

_MAX_EMPTY_PAGES = 2  # Helix may send one empty page in the middle (twitchdev/issues 543)
_MAX_USELESS_PAGES = 20  # in a row, with nothing that is wanted
_MAX_PAGES = 1000  # 100,000 streams

T = TypeVar("T")

# the items of a page → those that are valid, each with its value; None: valid, but not wanted
ParseItems = Callable[[list[Any]], list[tuple[dict[str, Any], T | None]]]


def paginate(request: Callable[[str], dict[str, Any]], key: str, parse_items: ParseItems[T]) -> Iterator[T]:
    """Yield the values of all pages. Pages are requested on demand.

    A short page is not the last one. Stop when the cursor is missing or repeated, after two empty pages, after a page
    without new items (twitchdev/issues 2, 91, 93, 240, 543), and after many pages with nothing that is wanted.

    request: returns the page at a cursor, "" for the first one. key: the field that identifies an item.
    """
    seen: set[str] = set()
    cursors: set[str] = set()
    empty, useless, cursor = 0, 0, ""
    for _ in range(_MAX_PAGES):
        response = request(cursor)
        items = responses.parse_items(response)
        valid = parse_items(items)
        new = {name: value for item, value in valid if (name := str(item[key]).lower()) not in seen}
        seen.update(new)
        wanted = [value for value in new.values() if value is not None]
        yield from wanted
        empty, useless = 0 if items else empty + 1, 0 if wanted else useless + 1
        cursor = responses.parse_cursor(response)
        stuck = empty == _MAX_EMPTY_PAGES or useless == _MAX_USELESS_PAGES or (valid and not new)
        if stuck or not cursor or cursor in cursors:
            return
        cursors.add(cursor)
