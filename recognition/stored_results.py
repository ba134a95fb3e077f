"""Stored results: a verdict or failure as text that gives it back with every number unchanged.

The JSON of the events is for other programs, and rounds. This one is for the same version of the toolkit: a survey
that goes on after a kill prints from it what it would have printed. Single frames and pictures are not kept.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from data.entities import Game
from data.errors import StreamError, UnexpectedStreamError
from recognition.decision.verdict import RankedGame, Verdict
from recognition.events import Result, SourceFailed, VerdictReached

_VERDICT = ("score", "confidence", "is_confident", "dropped", "dropped_unknown", "by_majority", "screen")
_RESULT = ("stopped_early", "from_preview")


def portable(result: Result, *, with_picture: bool = False) -> Result:
    """Return the result as other processes take it.

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
    values: dict[str, Any] = {"source": result.source, "at": result.at.isoformat()}
    result = portable(result)
    if isinstance(result, SourceFailed):
        return json.dumps(values | {"reason": result.error.reason, "message": str(result.error)})
    verdict = result.verdict
    values |= {name: getattr(verdict, name) for name in _VERDICT} | {name: getattr(result, name) for name in _RESULT}
    values |= {"game": _to_list(verdict.game), "category": result.category and _to_list(result.category)}
    return json.dumps(values | {"ranking": [[*_to_list(item.game), item.confidence] for item in verdict.ranking]})


def from_text(text: str) -> Result:
    """Return the result. Raises ValueError for a text that is not of `to_text`."""
    try:
        values = json.loads(text)
        source, at = str(values["source"]), datetime.fromisoformat(values["at"])
        if "reason" in values:
            return SourceFailed(source, at, _error(values["reason"], str(values["message"])))
        ranking = tuple(RankedGame(Game(number, name), confidence) for number, name, confidence in values["ranking"])
        numbers = {name: values[name] for name in _VERDICT}
        verdict = Verdict(Game(*values["game"]), predictions=(), ranking=ranking, **numbers)
        category = Game(*values["category"]) if values["category"] else None
        return VerdictReached(source, at, verdict, category, **{name: values[name] for name in _RESULT})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("invalid stored result") from error


def _to_list(game: Game) -> list[int | str]:
    return [game.id, game.name]


def _error(reason: str, message: str) -> StreamError:
    """Return an error of the class in data.errors with this reason. Private classes have a reason of those."""
    classes = (StreamError, *StreamError.__subclasses__())
    public = {kind.reason: kind for kind in classes if kind.__module__ == StreamError.__module__}
    return public.get(reason, UnexpectedStreamError)(message)
