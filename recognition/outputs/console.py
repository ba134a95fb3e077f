"""Console outputs: print events to stdout as text or JSON lines, and failures of text outputs to stderr.

Each line is flushed at once, so that a reader of a pipe has it while the next frame is still being recognised.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, as_json

log = logging.getLogger(__name__)


class _Console:
    def close(self) -> None:
        """Do nothing: no line is buffered."""


class TextLines(_Console):
    """Print frames, changes and verdicts as text.

    Args:
        with_source: begin each line with its source; otherwise the lines are exactly those of the original.
    """

    def __init__(self, with_source: bool) -> None:
        self._with_source = with_source

    def emit(self, event: Event) -> None:
        """Print the event's lines; log a failure as an error."""
        if isinstance(event, SourceFailed):
            log.error("%s", event.error)
            return
        for line in event_lines(event):
            print(f"{event.source}: {line}" if self._with_source else line, flush=True)


class ChangeLines(_Console):
    """Print changes and verdicts as text, each line with its local time and source; skip frames."""

    def emit(self, event: Event) -> None:
        """Print the lines of a change or verdict; log a failure as an error."""
        if isinstance(event, SourceFailed):
            log.error("%s", event.error)
        elif not isinstance(event, FrameClassified):
            for line in event_lines(event):
                print(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S} {event.source}: {line}", flush=True)


class JsonLines(_Console):
    """Print each event as a JSON object on one line, as docs/events.schema.json describes it."""

    def emit(self, event: Event) -> None:
        """Print the event, failures included."""
        print(json.dumps(as_json(event), ensure_ascii=False), flush=True)


def event_lines(event: FrameClassified | VerdictReached | GameChanged) -> Iterator[str]:
    """Yield the text lines of an event: the original's line, followed by what further options add."""
    if isinstance(event, FrameClassified):
        yield event.prediction.to_line(event.number) + _alternatives(event)
    elif isinstance(event, VerdictReached):
        yield event.verdict.to_line() + _alternatives(event) + _suffix(event)
    else:
        game = event.after.name if event.after else "Unknown"
        details = [f"{100 * event.confidence:.1f}%", f"frame {event.number}", *_category_text(event)]
        yield f"Now {game} ({', '.join(details)})"


def _alternatives(event: FrameClassified | VerdictReached) -> str:
    """Return the games after the first, with --top: percentages for a frame, scores for a verdict."""
    result = event.prediction if isinstance(event, FrameClassified) else event.verdict
    if len(result.ranking) < 2:
        return ""
    if isinstance(event, FrameClassified):
        return " Then " + ", ".join(f"{r.game.name} {100 * r.confidence:.2f}%" for r in result.ranking[1:]) + "."
    frames = event.verdict.frames
    return ", then " + ", ".join(f"{r.game.name} with {frames * r.confidence:.1f}" for r in result.ranking[1:])


def _suffix(event: VerdictReached) -> str:
    """Return, in brackets, the number of frames after early stopping and the streamer's category."""
    remarks = [f"certain after {event.verdict.frames} frames"] if event.stopped_early else []
    remarks += _category_text(event)
    return f" ({', '.join(remarks)})" if remarks else ""


def _category_text(event: VerdictReached | GameChanged) -> list[str]:
    """Return the streamer's category, and "mismatch" if it is another game than the recognised one."""
    category = [f"category: {event.category.name}"] if event.category else []
    return category + ["mismatch"] * bool(event.mismatch)
