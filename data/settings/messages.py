"""Messages for invalid settings: a validation error of pydantic in the toolkit's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from data.errors import SettingsError
from data.settings.fields import Form

_UNITS = {"_s": " of seconds", "_min": " of minutes", "_gb": " of GB"}
_MAX_SHOWN = 60  # characters of a value


def settings_error(error: ValidationError, fields: Mapping[str, FieldInfo]) -> SettingsError:
    """Return the error that names every invalid setting, its value unless it is secret, and what it must be."""
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0])
        field = fields[name]
        value = "" if field.annotation is SecretStr else f" {_shorten(detail['input'])}"
        found.setdefault(name, f"{name.upper()}: invalid value{value}: must be {expected_form(name, field)}")
    return SettingsError("; ".join(found.values()))


def expected_form(name: str, field: FieldInfo) -> str:
    """Return in words what the setting must be, such as "a number of seconds above 0"."""
    forms = [part for part in field.metadata if isinstance(part, Form)]
    if forms:
        return forms[-1]
    if choices := get_args(field.annotation):  # Literal
        return f"one of {', '.join(map(str, choices))}"
    if field.annotation is bool:
        return "true or false"
    if field.annotation is int:
        return f"a whole number {_bounds(field)}".rstrip()
    if field.annotation is float:
        unit = next((words for suffix, words in _UNITS.items() if name.endswith(suffix)), "")
        return f"a number{unit} {_bounds(field)}".rstrip()
    return "text of at most 4096 characters"


def _bounds(field: FieldInfo) -> str:
    """Return the limits of a number, such as "above 0 and below 1"."""
    limits: dict[type, Any] = {type(part): part for part in field.metadata if isinstance(part, Ge | Gt | Le | Lt)}
    if Ge in limits and Le in limits:
        return f"from {limits[Ge].ge} to {limits[Le].le}"
    low = f"above {limits[Gt].gt}" if Gt in limits else f"of at least {limits[Ge].ge}" if Ge in limits else ""
    high = f"below {limits[Lt].lt}" if Lt in limits else f"at most {limits[Le].le}" if Le in limits else ""
    return " and ".join(filter(None, (low, high)))


def _shorten(value: Any) -> str:
    text = repr(value[: _MAX_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _MAX_SHOWN + 2 else f"{text[:_MAX_SHOWN]}…'"
