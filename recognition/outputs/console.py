"""Events as lines on stdout, for people or for programs; flushed at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, as_json

log = logging.getLogger(__name__)


class TextLines:
    """For people. `named`: each line begins with its source; without, they are the original's."""

    def __init__(self, named: bool) -> None:
        self._named = named

    def emit(self, event: Event) -> None:
        """Print what there is to say of it; a failure's line goes to stderr."""
        if isinstance(event, SourceFailed):
            log.error("%s", event.error)
            return
        for line in event_lines(event):
            print(f"{event.source}: {line}" if self._named else line, flush=True)

    def close(self) -> None:
        """Nothing is kept."""


class ChangeLines:
    """For people who watch: changes, verdicts and failures, each line with its time of day here; no frames."""

    def emit(self, event: Event) -> None:
        """Print what there is to say of it; a failure's line goes to stderr."""
        if isinstance(event, SourceFailed):
            log.error("%s", event.error)
        elif not isinstance(event, FrameClassified):
            for line in event_lines(event):
                print(f"{event.at.astimezone():%Y-%m-%d %H:%M:%S} {event.source}: {line}", flush=True)

    def close(self) -> None:
        """Nothing is kept."""


class JsonLines:
    """For programs: an object a line, as docs/events.schema.json has it."""

    def emit(self, event: Event) -> None:
        """Print it."""
        print(json.dumps(as_json(event), ensure_ascii=False), flush=True)

    def close(self) -> None:
        """Nothing is kept."""


def event_lines(event: FrameClassified | VerdictReached | GameChanged) -> Iterator[str]:
    """What is said of an event: the original's line, and behind it what was asked for besides."""
    if isinstance(event, FrameClassified):
        yield event.prediction.to_line(event.number) + _others(event)
    elif isinstance(event, VerdictReached):
        yield event.verdict.to_line() + _others(event) + _remarks(event)
    else:
        game = event.after.name if event.after else "Unknown"
        yield f"Now {game} ({', '.join([f'{100 * event.confidence:.1f}%', f'frame {event.number}', *_word(event)])})"


def _others(event: FrameClassified | VerdictReached) -> str:
    """The games after the first, where a ranking of more was asked for: a frame's in percent, a verdict's as scores."""
    said = event.prediction if isinstance(event, FrameClassified) else event.verdict
    if len(said.ranking) < 2:
        return ""
    if isinstance(event, FrameClassified):
        return " Then " + ", ".join(f"{r.game.name} {100 * r.confidence:.2f}%" for r in said.ranking[1:]) + "."
    frames = event.verdict.frames
    return ", then " + ", ".join(f"{r.game.name} with {frames * r.confidence:.1f}" for r in said.ranking[1:])


def _remarks(event: VerdictReached) -> str:
    """In brackets, how many frames it took where that was open, and what the streamer says."""
    remarks = [f"certain after {event.verdict.frames} frames"] if event.stopped_early else []
    remarks += _word(event)
    return f" ({', '.join(remarks)})" if remarks else ""


def _word(event: VerdictReached | GameChanged) -> list[str]:
    """What the streamer says, and whether that is something else."""
    named = [f"category: {event.category.name}"] if event.category else []
    return named + ["mismatch"] * bool(event.mismatch)
