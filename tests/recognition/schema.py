"""JSON Schema validation of events against docs/events.schema.json."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # the package has no type hints

from tests.recognition.commands import ROOT

SCHEMA_DOCUMENT = json.loads((ROOT / "docs" / "events.schema.json").read_text(encoding="utf-8"))


def valid(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event. Raises jsonschema.ValidationError if it does not match the schema."""
    jsonschema.Draft202012Validator(SCHEMA_DOCUMENT).validate(event)
    return event
