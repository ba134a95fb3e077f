"""Watching: streams followed for hours; what changes is printed, posted and counted."""

from __future__ import annotations

import argparse
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from data import cli, memory
from recognition.engine.watcher import MAX_THREADS
from recognition.events import Event, GameChanged, SourceFailed, VerdictReached
from recognition.modes.single import combine_exit_codes, exit_code_of
from recognition.outputs.base import Output
from recognition.outputs.console import ChangeLines, JsonLines
from recognition.outputs.fan_out import FanOut
from recognition.recognizer import Recognizer
from recognition.sources import sources

if TYPE_CHECKING:
    from config import Settings
    from recognition.categories import CategoryPoller


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Watch what `args` names; returns the exit code: 0 where all had an answer, what all failures share, or 1."""
    asked = sources(args.source, args.sources_file)
    codes: dict[str, int] = {}  # by source, of its last stream
    with ExitStack() as stack:
        stop = threading.Event()
        stack.enter_context(cli.stop_on_signal(stop, args.minutes))
        stack.enter_context(memory.trim_periodically())
        recognizer = stack.enter_context(_recognizer(args, settings, len(asked)))
        outputs, recognizer = _outputs(args, settings, stack, recognizer)
        output = stack.enter_context(FanOut(outputs))
        categories = recognizer.category_poller(asked) if args.category else None
        events = recognizer.watch(asked, wait=bool(args.wait), stop=stop)
        for event in stack.enter_context(closing(events)):
            if isinstance(event, VerdictReached | SourceFailed):
                codes[event.source] = exit_code_of(event)
            output.emit(_with_category(event, categories))
    return combine_exit_codes(list(codes.values()))


def _with_category(event: Event, categories: CategoryPoller | None) -> Event:
    """The event with the streamer's own word beside the answer, where it is one."""
    if categories and isinstance(event, VerdictReached | GameChanged):
        return replace(event, category=categories.of(event.source))
    return event


def _recognizer(args: argparse.Namespace, settings: Settings, count: int) -> Recognizer:
    """One for so many streams: with as many connections."""
    update = {
        "frame_interval_s": args.every or settings.frame_interval_s,
        "parallel_streams": min(MAX_THREADS, max(count, settings.parallel_streams)),
    }
    fitted = settings.model_copy(update=update)
    return Recognizer.load(fitted, top=args.top, min_confidence=args.min_confidence, threads=1)


def _outputs(
    args: argparse.Namespace, settings: Settings, stack: ExitStack, recognizer: Recognizer
) -> tuple[list[Output], Recognizer]:
    """Where events go, and the recogniser, timed where there are metrics. Raises SettingsError, ModelError."""
    outputs: list[Output] = [JsonLines() if args.json else ChangeLines()]
    if args.webhook:
        from data.http import session as web
        from recognition.outputs.webhook import Webhook

        # Not led to a stand-in: only Twitch has one.
        session = stack.enter_context(web.new_session(settings.timeout_s, deadline_s=settings.deadline_s))
        secret = settings.webhook_secret.get_secret_value()
        outputs.append(Webhook(args.webhook, session, secret=secret, deadline_s=settings.deadline_s))
    if args.metrics is not None:
        from recognition.outputs.prometheus import PrometheusMetrics

        metrics = PrometheusMetrics(args.metrics, settings.metrics_host)
        outputs.append(metrics)
        recognizer = recognizer.with_classifier(metrics.time_inference(recognizer.classifier))
    return outputs, recognizer
