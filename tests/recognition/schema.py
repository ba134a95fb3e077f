"""docs/events.schema.json, to hold events against."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types

from tests.recognition.commands import ROOT

DESCRIBED = json.loads((ROOT / "docs" / "events.schema.json").read_text(encoding="utf-8"))


def valid(event: dict[str, Any]) -> dict[str, Any]:
    """The event itself. Raises jsonschema.ValidationError: it is not as described."""
    jsonschema.Draft202012Validator(DESCRIBED).validate(event)
    return event
