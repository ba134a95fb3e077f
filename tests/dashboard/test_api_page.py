"""docs/api.md lists the operations of the app."""

from __future__ import annotations

from docs.api import PAGE, with_operations


def test_the_page_of_the_api_is_up_to_date():
    """Every operation stands in docs/api.md as the app describes it; python -m docs.api writes it."""
    text = PAGE.read_text(encoding="utf-8")
    assert with_operations(text) == text
