"""Page on the API: generate docs/api.md from the app's OpenAPI description (python -m docs.api)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import Settings
from dashboard.app import create_app
from dashboard.security.policy import Security
from dashboard.services import make_services

PAGE = Path(__file__).resolve().with_suffix(".md")
BEGIN, END = "<!-- operations: made by python -m docs.api -->", "<!-- end of operations -->"
_WIDTH = 110  # characters of a line of JSON
_METHODS = ("get", "post", "put", "delete")


def description() -> dict[str, Any]:
    """Return the OpenAPI description of the app, without opening a service."""
    settings = Settings(_env_file=None)
    return create_app(make_services(settings, Security.create(settings, "127.0.0.1", 8000))).openapi()


def operations(api: dict[str, Any]) -> str:
    """Return all operations as Markdown: a heading for each part, then its operations."""
    parts: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method in _METHODS:
            if operation := methods.get(method):
                lines = parts.setdefault(operation["tags"][0], [])
                lines += [*_operation(api, method, path, operation), ""]
    return "\n".join(line for part, lines in parts.items() for line in (f"## {part.capitalize()}", "", *lines)).strip()


def with_operations(text: str) -> str:
    """Return the page's text with the current operations between its markers. Raises ValueError: no markers."""
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE.name} has no markers for the operations: insert {BEGIN} and {END}.")
    return f"{head}{BEGIN}\n\n{operations(description())}\n\n{end}{tail}"


def _operation(api: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}"
    yield ""
    yield f"{operation['summary']}."
    if text := " ".join(operation.get("description", "").split()):
        yield text
    if parameters := operation.get("parameters"):
        yield from ("", "| parameter | in | type | meaning |", "|---|---|---|---|")
        yield from map(_parameter, parameters)
    for title, content in (("Body", operation.get("requestBody", {})), ("Answer", _success(operation))):
        for media_type, body in content.get("content", {}).items():
            yield from _example(api, title, media_type, body)
    if errors := [status for status in operation["responses"] if status >= "4"]:
        yield from ("", f"Errors: {', '.join(errors)}.")


def _parameter(parameter: dict[str, Any]) -> str:
    needed = "" if parameter.get("required") else ", optional"
    meaning = " ".join(parameter.get("description", "").split()).replace("|", "\\|")
    return f"| `{parameter['name']}` | {parameter['in']} | {_type(parameter['schema'])}{needed} | {meaning} |"


def _type(schema: dict[str, Any]) -> str:
    """Return the type of a value in words."""
    if choices := schema.get("enum"):
        return " or ".join(f"`{choice}`" for choice in choices)
    if kinds := [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]:
        return " or ".join(map(_type, kinds))
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", schema.get("$ref", "object").rpartition("/")[2]))


def _success(operation: dict[str, Any]) -> dict[str, Any]:
    return next((answer for status, answer in operation["responses"].items() if status < "4"), {})


def _example(api: dict[str, Any], title: str, media_type: str, body: dict[str, Any]) -> Iterator[str]:
    """Yield the example of a body, or its media type if it is no JSON."""
    schema = _resolved(api, body.get("schema", {}))
    example = body.get("example", next(iter(schema.get("examples", ())), None))
    if "json" not in media_type or example is None:
        yield from ("", f"{title}: `{media_type}`.")
        return
    yield from ("", f"{title}:", "", "```json", _json(example), "```")


def _json(value: Any, indent: str = "") -> str:
    """Return JSON in few lines: what fits into one is not broken."""
    text = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(text) <= _WIDTH or not isinstance(value, (dict, list)):
        return text
    inner = f"{indent}  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_json(item, inner)}" for key, item in value.items()]
    else:
        items = [_json(item, inner) for item in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{end}"


def _resolved(api: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return api["components"]["schemas"][name] if name else schema


def main() -> int:
    """Rewrite the operations in the page; return the exit code."""
    PAGE.write_text(with_operations(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
