"""Console outputs: print events to stdout as text or JSON lines, and failures of text outputs to stderr.

Each line is flushed at once, so that a reader of a pipe has it while the next frame is still being recognised.
"""

from __future__ import annotations

import codecs
import json
import logging
import sys

from data.text import printable
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, as_json
from recognition.outputs.base import Output

log = logging.getLogger(__name__)


class TextLines(Output):
    """Print frames, changes and verdicts as text; log failures as errors."""

    def __init__(self, with_source: bool) -> None:
        """`with_source`: begin each line with its source; otherwise the lines are exactly those of the original."""
        self._with_source = with_source

    def emit(self, event: Event) -> None:
        """Print the event's line, or log the failure."""
        _print(event, f"{event.source}: " if self._with_source else "")


class ChangeLines(Output):
    """Print changes and verdicts as text, each line with its local time and source; log failures as errors."""

    def emit(self, event: Event) -> None:
        """Print the line of a change or verdict, or log the failure; ignore frames."""
        if not isinstance(event, FrameClassified):
            _print(event, f"{event.at.astimezone():%Y-%m-%d %H:%M:%S} {event.source}: ")


class FailureLines(Output):
    """Log failures as errors, print nothing."""

    def emit(self, event: Event) -> None:
        """Log a failure; ignore other events."""
        if isinstance(event, SourceFailed):
            _print(event, "")


class JsonLines(Output):
    """Print each event as a JSON object on one line, as docs/events.schema.json describes it."""

    def emit(self, event: Event) -> None:
        """Print the event, failures included. Characters that a terminal would obey are printed as \\u escapes."""
        # JSON for programs is UTF-8 (RFC 8259, 8.1): where stdout has another encoding, all of it is ASCII.
        text = json.dumps(as_json(event), ensure_ascii=codecs.lookup(sys.stdout.encoding).name != "utf-8")
        print(
            text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text),
            flush=True,
        )


def event_line(event: FrameClassified | VerdictReached | GameChanged) -> str:
    """Return the text line of an event: the original's line, followed by what further options add."""
    if isinstance(event, FrameClassified):
        others = [f"{r.game.name} {100 * r.confidence:.2f}%" for r in event.prediction.ranking[1:]]
        return event.prediction.to_line(event.number) + _list(" Then ", others, ".")
    # The streamer's category, and whether it is another game than the recognised one.
    remarks = [f"category: {event.category.name}"] if event.category else []
    remarks += ["mismatch"] if event.mismatch else []
    if isinstance(event, GameChanged):
        game = event.after.name if event.after else "Unknown"
        return f"Now {game}" + _list(" (", [f"{100 * event.confidence:.1f}%", f"frame {event.number}", *remarks], ")")
    verdict = event.verdict
    others = [f"{r.game.name} with {verdict.frames * r.confidence:.1f}" for r in verdict.ranking[1:]]
    if event.stopped_early:
        remarks.insert(0, f"certain after {verdict.frames} frames")
    return verdict.to_line() + _list(", then ", others) + _list(" (", remarks, ")")


def _list(before: str, items: list[str], after: str = "") -> str:
    return f"{before}{', '.join(items)}{after}" if items else ""


def _print(event: Event, prefix: str) -> None:
    if isinstance(event, SourceFailed):
        log.error("%s", event.error)
    else:
        print(printable(prefix + event_line(event)), flush=True)
