"""Answering: each source is looked at once, one after the other, and its verdict printed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import StreamError
from recognition.events import SourceFailed, VerdictReached, now
from recognition.outputs.base import Output
from recognition.outputs.console import JsonLines, TextLines
from recognition.outputs.fan_out import FanOut
from recognition.recognizer import Recognizer
from recognition.sources import sources

if TYPE_CHECKING:
    from config import Settings
    from recognition.categories import CategoryLookup

EXIT_UNKNOWN = 8  # the exit code of an answer that is none; data.errors has the others
DEFAULT_CERTAINTY = 0.99  # how certain an answer is that needs no more frames


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Answer what `args` names; returns the exit code: 0 when all were answered, what all failures share, or 1."""
    asked = sources(args.source, args.sources_file)
    with ExitStack() as stack:
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence)
        stack.enter_context(recognizer)
        categories = recognizer.categories(asked) if args.category else None
        output = stack.enter_context(FanOut(_outputs(args, named=len(asked) > 1)))
        return combine_exit_codes([_answer(recognizer, source, args, categories, output) for source in asked])


def combine_exit_codes(codes: Sequence[int]) -> int:
    """The exit code for several sources, each of which would have had its own: 0, what all failures share, or 1."""
    failures = set(codes) - {0}
    return failures.pop() if len(failures) == 1 else int(bool(failures))


def exit_code_of(event: VerdictReached | SourceFailed) -> int:
    """The exit code for one source that ended with this event."""
    if isinstance(event, SourceFailed):
        return event.error.exit_code
    return 0 if event.verdict.known else EXIT_UNKNOWN


def required_certainty(args: argparse.Namespace) -> float:
    """How certain an answer must be to need no more frames, 0 to 1; 1: all are looked at."""
    return 1.0 if args.frames is None else DEFAULT_CERTAINTY if args.sure is None else args.sure


def _answer(
    recognizer: Recognizer,
    source: str,
    args: argparse.Namespace,
    categories: CategoryLookup | None,
    output: Output,
) -> int:
    """Tell of one source as it is looked at; returns its exit code."""
    last: VerdictReached | SourceFailed
    try:
        for event in recognizer.events(source, args.frames, required_certainty(args)):
            if isinstance(event, VerdictReached):
                last = replace(event, category=categories.of(source)) if categories else event
            else:
                output.emit(event)
    except StreamError as error:
        last = SourceFailed(source, now(), error)
    output.emit(last)
    return exit_code_of(last)


def _outputs(args: argparse.Namespace, named: bool) -> list[Output]:
    outputs: list[Output] = [JsonLines() if args.json else TextLines(named)]
    if args.save:
        from recognition.outputs.annotated_images import AnnotatedImages

        outputs.append(AnnotatedImages(Path(args.save)))
    return outputs
