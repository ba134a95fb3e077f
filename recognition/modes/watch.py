"""Watch mode: follow streams for hours; emit their frames, game changes, verdicts and failures."""

from __future__ import annotations

import argparse
import threading
from contextlib import ExitStack, closing

from config import Settings
from data import cli, interruption, memory
from recognition.modes.single import emit_all
from recognition.outputs.base import FanOut
from recognition.outputs.factory import create_outputs
from recognition.recognizer import Recognizer
from recognition.sources import read_sources

MAX_CONNECTIONS = 64  # as many as the watcher has threads: more would be idle


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Watch the sources that `args` names until they end, the time is over or the user stops.

    Return the combined exit code of each source's last result.
    """
    sources = read_sources(args.source, args.sources_file)
    update = {
        "frame_interval_s": args.every or settings.frame_interval_s,
        "parallel_streams": min(MAX_CONNECTIONS, max(len(sources), settings.parallel_streams)),
    }
    settings = settings.model_copy(update=update)
    with ExitStack() as stack:
        stop = threading.Event()
        stack.enter_context(cli.stop_on_signal(stop, args.minutes))
        stack.enter_context(memory.trim_periodically())
        # One thread for each inference: many streams keep the cores busy side by side.
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence, threads=1)
        stack.enter_context(recognizer)
        categories = recognizer.category_poller(sources) if args.category else None
        category_of = categories.get if categories else None
        outputs = create_outputs(args, settings, len(sources), sources=sources, category_of=category_of, stop=stop)
        output = stack.enter_context(closing(FanOut(outputs)))
        if settings.ray_address:
            from recognition.cluster.watch_coordinator import WatchCoordinator, open_watch_workers
            from recognition.cluster.watch_worker import WatchOptions

            has_pictures, has_batches = bool(args.category), args.metrics is not None
            options = WatchOptions(args.top, args.min_confidence, bool(args.wait), has_pictures, has_batches)
            with interruption.handled(interruption.raise_interrupt):  # ends the connecting at once
                workers = stack.enter_context(open_watch_workers(settings, sources, options))
            events = WatchCoordinator(workers, sources, stop, output.on_batch).events(recognizer.new_accumulator)
        else:
            events = recognizer.watch(sources, wait=bool(args.wait), stop=stop, on_batch=output.on_batch)
        exit_code = emit_all(stack.enter_context(closing(events)), output, categories)
    return output.exit_code or exit_code
