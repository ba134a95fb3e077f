"""Single mode: recognise one source after the other and print each frame and verdict."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain

from config import Settings
from data.errors import StreamError
from recognition.categories import CategoryLookup, CategoryPoller
from recognition.events import Event, GameChanged, Result, SourceFailed, VerdictReached, now
from recognition.outputs.base import FanOut, Output
from recognition.outputs.factory import create_outputs
from recognition.recognizer import Recognizer
from recognition.sources import read_sources

EXIT_UNKNOWN = 8  # an unknown verdict is no error; the codes of errors, up to 7, stand in data.errors
DEFAULT_CERTAINTY = 0.99  # of early stopping with --frames


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Recognise the sources that `args` names; return their combined exit code."""
    sources = read_sources(args.source, args.sources_file)
    with ExitStack() as stack:
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence)
        stack.enter_context(recognizer)
        categories = recognizer.category_lookup(sources) if args.category else None
        output = stack.enter_context(closing(FanOut(create_outputs(args, settings, len(sources)))))
        events = chain.from_iterable(_events(recognizer, source, args) for source in sources)
        exit_code = emit_all(events, output, categories)
    return output.exit_code or exit_code


def emit_all(events: Iterable[Event], output: Output, categories: CategoryLookup | CategoryPoller | None) -> int:
    """Emit all events; add the declared category to verdicts and changes.

    Return the combined exit code of each source's last result.
    """
    exit_codes: dict[str, int] = {}  # by source
    for event in events:
        if isinstance(event, Result):
            exit_codes[event.source] = exit_code_of(event)
        if categories and isinstance(event, VerdictReached | GameChanged):
            output.emit(replace(event, category=categories.get(event.source)))
        else:
            output.emit(event)
    return combine_exit_codes(exit_codes.values())


def combine_exit_codes(codes: Iterable[int]) -> int:
    """Return 0 if all codes are 0, the common code of all failures if they have one, otherwise 1."""
    failures = set(codes) - {0}
    return failures.pop() if len(failures) == 1 else int(bool(failures))


def exit_code_of(result: Result) -> int:
    """Return the exit code for a source with this result."""
    if isinstance(result, SourceFailed):
        return result.error.exit_code
    return 0 if result.verdict.known else EXIT_UNKNOWN


def required_certainty(args: argparse.Namespace) -> float:
    """Return the certainty at which a source needs no more frames, 0 to 1; 1 means all frames."""
    return 1.0 if args.frames is None else DEFAULT_CERTAINTY if args.sure is None else args.sure


def _events(recognizer: Recognizer, source: str, args: argparse.Namespace) -> Iterator[Event]:
    """Yield one source's frames, then its verdict or failure."""
    try:
        yield from recognizer.events(source, args.frames, required_certainty(args))
    except StreamError as error:
        yield SourceFailed(source, now(), error)
