"""Chapters mode: when which game is played in recordings."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config import Settings
from data.errors import SettingsError, StreamError
from data.text import printable
from recognition.decision.segmentation import LOOK_EVERY_S, Chapter, OnLook
from recognition.events import SourceFailed, as_json, now
from recognition.modes.single import EXIT_UNKNOWN, combine_exit_codes
from recognition.outputs.chapter_files import (
    check_chapter_file,
    to_json,
    to_youtube,
    write_chapter_file,
    youtube_problem,
)
from recognition.recognizer import Recognizer
from recognition.sources import read_sources

log = logging.getLogger(__name__)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print and write the chapters of the sources that `args` names; return their combined exit code."""
    sources = read_sources(args.source, args.sources_file)
    files = [Path(name) for name in args.chapters_file or ()]
    if files and len(sources) > 1:
        raise SettingsError("--chapters-file: it takes the chapters of one recording; name a single source")
    for file in files:
        check_chapter_file(file)
    with Recognizer.load(settings, min_confidence=args.min_confidence) as recognizer:
        return combine_exit_codes([_print_chapters(recognizer, source, files, args, sources) for source in sources])


def _print_chapters(
    recognizer: Recognizer, source: str, files: Sequence[Path], args: argparse.Namespace, sources: Sequence[str]
) -> int:
    """Print and write the chapters of one source; return its exit code."""
    try:
        with _shown_looks(args.quiet) as on_look:
            chapters = recognizer.chapters(source, args.look_every or LOOK_EVERY_S, on_look=on_look)
    except StreamError as error:
        log.error("%s", error)
        log.debug("traceback of this error:", exc_info=True)
        if args.json:
            _write(json.dumps(as_json(SourceFailed(source, now(), error)), ensure_ascii=False) + "\n")
        return error.exit_code
    try:
        for file in files:
            write_chapter_file(file, chapters, source)
    finally:  # a full disk costs no more than the file; the reader of stdout may have gone
        heading = f"{printable(source)}\n" * (len(sources) > 1)
        _write(to_json(chapters, source) if args.json else heading + to_youtube(chapters))
    if not args.json or any(file.suffix.lower() == ".txt" for file in files):
        _warn_for_youtube(chapters)
    return 0 if any(chapter.known for chapter in chapters) else EXIT_UNKNOWN


@contextmanager
def _shown_looks(quiet: bool) -> Iterator[OnLook | None]:
    """Show the number of looks in a line on stderr if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    from recognition.outputs.terminal_table import make_progress

    with make_progress(Console(stderr=True, highlight=False), has_bar=True) as progress:
        task = progress.add_task("looks", total=None)
        yield lambda done, wanted: progress.update(task, completed=done, total=wanted)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _warn_for_youtube(chapters: Sequence[Chapter]) -> None:
    if problem := youtube_problem(chapters):
        log.warning("YouTube makes no chapters of this list: %s.", problem)
