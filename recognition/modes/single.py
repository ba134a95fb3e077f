"""Single mode: recognise one source after the other and print each frame and verdict."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from data.errors import StreamError
from recognition.events import SourceFailed, VerdictReached, now
from recognition.outputs.base import Output
from recognition.outputs.factory import create_outputs
from recognition.outputs.fan_out import FanOut
from recognition.recognizer import Recognizer
from recognition.sources import read_sources

if TYPE_CHECKING:
    from config import Settings
    from recognition.categories import CategoryLookup

EXIT_UNKNOWN = 8  # exit code of an unknown verdict; data.errors has the codes of failures
DEFAULT_CERTAINTY = 0.99  # of early stopping with --frames


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Recognise the sources that `args` names; return their combined exit code."""
    sources = read_sources(args.source, args.sources_file)
    with ExitStack() as stack:
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence)
        stack.enter_context(recognizer)
        categories = recognizer.category_lookup(sources) if args.category else None
        output = stack.enter_context(FanOut(create_outputs(args, settings, stack, len(sources))))
        return combine_exit_codes([_recognize(recognizer, source, args, categories, output) for source in sources])


def combine_exit_codes(codes: Iterable[int]) -> int:
    """Return 0 if all codes are 0, the code of the failures if they have the same, otherwise 1."""
    failures = set(codes) - {0}
    return failures.pop() if len(failures) == 1 else int(bool(failures))


def exit_code_of(result: VerdictReached | SourceFailed) -> int:
    """Return the exit code for a source with this result."""
    if isinstance(result, SourceFailed):
        return result.error.exit_code
    return 0 if result.verdict.known else EXIT_UNKNOWN


def required_certainty(args: argparse.Namespace) -> float:
    """Return the certainty at which a source needs no more frames, 0 to 1; 1 means all frames."""
    return 1.0 if args.frames is None else DEFAULT_CERTAINTY if args.sure is None else args.sure


def _recognize(
    recognizer: Recognizer,
    source: str,
    args: argparse.Namespace,
    categories: CategoryLookup | None,
    output: Output,
) -> int:
    """Recognise one source, emit its events as they happen, and return its exit code."""
    result: VerdictReached | SourceFailed
    try:
        for event in recognizer.events(source, args.frames, required_certainty(args)):
            if isinstance(event, VerdictReached):
                # Helix is asked in the background meanwhile: only the verdict waits for its response.
                result = replace(event, category=categories.get(source)) if categories else event
            else:
                output.emit(event)
    except StreamError as error:
        result = SourceFailed(source, now(), error)
    output.emit(result)
    return exit_code_of(result)
