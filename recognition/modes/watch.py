"""Watch mode: follow streams for hours; emit their frames, game changes, verdicts and failures."""

from __future__ import annotations

import argparse
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from data import cli, memory
from recognition.events import Event, GameChanged, SourceFailed, VerdictReached
from recognition.modes.single import combine_exit_codes, exit_code_of
from recognition.outputs.base import InferenceTimer
from recognition.outputs.factory import create_outputs
from recognition.outputs.fan_out import FanOut
from recognition.recognizer import Recognizer
from recognition.sources import read_sources

if TYPE_CHECKING:
    from config import Settings
    from recognition.categories import CategoryPoller

MAX_CONNECTIONS = 64  # as many as the watcher has threads: more would be idle


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Watch the sources that `args` names until they end, the time is over or the user stops.

    Return the combined exit code of each source's last result.
    """
    sources = read_sources(args.source, args.sources_file)
    exit_codes: dict[str, int] = {}  # by source
    with ExitStack() as stack:
        stop = threading.Event()
        stack.enter_context(cli.stop_on_signal(stop, args.minutes))
        stack.enter_context(memory.trim_periodically())
        recognizer = stack.enter_context(_load_recognizer(args, settings, len(sources)))
        outputs = [*create_outputs(args, settings, stack, len(sources))]
        for timer in outputs:
            if isinstance(timer, InferenceTimer):
                recognizer = recognizer.with_classifier(timer.time_inference(recognizer.classifier))
        output = stack.enter_context(FanOut(outputs))
        categories = recognizer.category_poller(sources) if args.category else None
        events = recognizer.watch(sources, wait=bool(args.wait), stop=stop)
        for event in stack.enter_context(closing(events)):
            if isinstance(event, VerdictReached | SourceFailed):
                exit_codes[event.source] = exit_code_of(event)
            output.emit(_with_category(event, categories))
    return combine_exit_codes(exit_codes.values())


def _with_category(event: Event, categories: CategoryPoller | None) -> Event:
    """Return the event with the streamer's category if it is a verdict or change; other events unchanged."""
    if categories and isinstance(event, VerdictReached | GameChanged):
        return replace(event, category=categories.get(event.source))
    return event


def _load_recognizer(args: argparse.Namespace, settings: Settings, sources: int) -> Recognizer:
    """Return a recogniser with a connection for each source, and the frame interval of --every."""
    update = {
        "frame_interval_s": args.every or settings.frame_interval_s,
        "parallel_streams": min(MAX_CONNECTIONS, max(sources, settings.parallel_streams)),
    }
    settings = settings.model_copy(update=update)
    # One thread for each inference: many streams keep the cores busy side by side.
    return Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence, threads=1)
