"""Stored results: a verdict or failure as text that gives it back with every number unchanged.

The JSON of the events is for other programs, and rounds. This one is for the same version of the toolkit: a survey
that goes on after a kill prints from it what it would have printed. Single frames and pictures are not kept.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from data.entities import Game
from data.errors import StreamError, UnexpectedStreamError
from recognition.decision.verdict import RankedGame, Verdict
from recognition.events import Result, SourceFailed, VerdictReached


def portable(result: Result, *, with_picture: bool = False) -> Result:
    """Return the result as other processes take it; without its picture unless `with_picture`.

    A verdict goes without predictions of single frames, which are only counted. A failure has an error of data.errors:
    one of a private class may be impossible to pickle.
    """
    if isinstance(result, SourceFailed):
        return replace(result, error=_error(result.error.reason, str(result.error)))
    verdict = result.verdict
    counted = replace(verdict, predictions=(), dropped=verdict.frames, dropped_unknown=verdict.unknown_frames)
    return replace(result, jpeg=result.jpeg if with_picture else b"", verdict=counted)


def to_text(result: Result) -> str:
    """Return the result as one line of ASCII."""
    if isinstance(result, SourceFailed):
        values = {"source": result.source, "reason": result.error.reason, "message": str(result.error)}
    else:
        values = _fields(portable(result))
        del values["jpeg"]
    return json.dumps(values | {"at": result.at.isoformat()}, default=_fields)


def from_text(text: str) -> Result:
    """Return the result. Raises ValueError for a text that is not of `to_text`."""
    try:
        values = json.loads(text)
        values |= {"source": str(values["source"]), "at": datetime.fromisoformat(values["at"])}
        if "reason" in values:
            return SourceFailed(values["source"], values["at"], _error(values["reason"], str(values["message"])))
        category = values["category"] and Game(**values["category"])
        return VerdictReached(**values | {"verdict": _to_verdict(values["verdict"]), "category": category})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("invalid stored result") from error


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name; asdict would copy all that they hold."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _to_verdict(values: dict[str, Any]) -> Verdict:
    ranking = tuple(RankedGame(Game(**item["game"]), item["confidence"]) for item in values["ranking"])
    return Verdict(**values | {"game": Game(**values["game"]), "ranking": ranking, "predictions": ()})


def _error(reason: str, message: str) -> StreamError:
    """Return an error of the class in data.errors with this reason. Private classes have a reason of those."""
    classes = (StreamError, *StreamError.__subclasses__())
    public = {kind.reason: kind for kind in classes if kind.__module__ == StreamError.__module__}
    return public.get(reason, UnexpectedStreamError)(message)
