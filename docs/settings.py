"""Settings table: generate the table of docs/settings.md from config.py (python -m docs.settings)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config import Settings

PAGE = Path(__file__).resolve().with_suffix(".md")  # the file with the table
BEGIN, END = "<!-- settings: made by python -m docs.settings -->", "<!-- end of settings -->"


def table() -> str:
    """Return all settings as a Markdown table, in the order of config.py."""
    rows = [
        f"| `{name.upper()}` | {_type(field.annotation)} | {_default(name, field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows])


def with_table(text: str) -> str:
    """Return the page's text with the current table between its markers. Raises ValueError: no markers."""
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE.name} has no markers for the settings table: insert {BEGIN} and {END}.")
    return f"{head}{BEGIN}\n{table()}\n{end}{tail}"


def _type(annotation: Any) -> str:
    if annotation is SecretStr:
        return "secret text"
    if get_args(annotation) and isinstance(get_args(annotation)[0], str):  # Literal
        return "one of " + ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of text, by commas or as JSON"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}
    name = (get_origin(annotation) or annotation).__name__
    return names.get(name, "list of whole numbers, by commas or as JSON")


def _default(name: str, field: FieldInfo) -> str:
    if name == "non_games":  # too long for a table cell
        return f"{len(field.default)} ids"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if value == ():
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`" if text else "empty"


def main() -> int:
    """Rewrite the table in the page; return the exit code."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
