"""Answering: each source is looked at once, and its verdict printed."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

from data.errors import StreamError
from recognition.asked import sources
from recognition.events import Answered, Failed, Output, now
from recognition.printed import JsonLines, Lines
from recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from config import Settings

UNKNOWN = 8  # the exit code of an answer that is none; data.errors has the others


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Answer what `args` names; returns the exit code: 0 when all were answered, what all failures share, or 1."""
    asked = sources(args.source, args.sources_file)
    with ExitStack() as stack:
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence)
        stack.enter_context(recognizer)
        output: Output = JsonLines() if args.json else Lines(named=len(asked) > 1)
        stack.callback(output.close)
        codes = {_answer(recognizer, source, args, output) for source in asked}
    failures = codes - {0}
    return failures.pop() if len(failures) == 1 else int(bool(failures))


def _answer(recognizer: Recognizer, source: str, args: argparse.Namespace, output: Output) -> int:
    try:
        for event in recognizer.events(source, args.frames):
            output.tell(event)
    except StreamError as error:
        output.tell(Failed(source, now(), error))
        return error.exit_code
    assert isinstance(event, Answered)
    return 0 if event.verdict.known else UNKNOWN
