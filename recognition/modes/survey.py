"""Survey mode: recognise many streams at a time, named or listed by Helix, and print a summary."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice

from config import Settings
from data import memory
from data.entities import Stream
from data.errors import DirectoryError, SettingsError, StreamOffline
from data.text import printable
from recognition.modes.single import combine_exit_codes, exit_code_of, required_certainty
from recognition.outputs.base import FanOut
from recognition.outputs.factory import create_outputs
from recognition.outputs.survey_summary import SurveyStats
from recognition.recognizer import Recognizer
from recognition.sources import read_sources, twitch_login

_HELIX_PAGE = 100  # logins of one request: https://dev.twitch.tv/docs/api/reference/#get-streams

log = logging.getLogger(__name__)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Survey the streams that `args` names; return 0 if a verdict names a game, otherwise the combined exit code."""
    settings = survey_settings(settings, args.parallel)
    if args.window and not settings.ray_address:
        raise SettingsError("--window needs --ray or RAY_ADDRESS: other surveys do not keep their answers")
    named = read_sources(args.source, args.sources_file) if args.source or args.sources_file else ()
    stats, exit_codes = SurveyStats(), set()
    with ExitStack() as stack:
        stack.enter_context(memory.trim_periodically())
        # One thread for each inference: many streams keep the cores busy side by side.
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence, threads=1)
        stack.enter_context(recognizer)
        sources, total = _resolve_sources(args, recognizer, named)
        stack.callback(_print_summary, stats, args.quiet)
        output = stack.enter_context(closing(FanOut(create_outputs(args, settings, total, stats))))
        options = {"max_frames": args.frames, "certainty": required_certainty(args), "preview": bool(args.preview)}
        if settings.ray_address:
            from recognition.modes.cluster_survey import open_cluster_survey

            results = stack.enter_context(open_cluster_survey(args, settings, named, **options))(sources)
        else:
            results = recognizer.survey(sources, **options)
        for result in stack.enter_context(closing(results)):
            stats.add(result)
            exit_codes.add(exit_code_of(result))
            output.emit(result)
    if not exit_codes:
        raise StreamOffline("no live stream matches --game/--top-streams")
    return output.exit_code or (0 if 0 in exit_codes else combine_exit_codes(exit_codes))


def survey_settings(settings: Settings, parallel: int | None) -> Settings:
    """Return the settings of a survey: with INT8=auto the 8-bit model, because the network is most of its work."""
    int8 = "true" if settings.int8 == "auto" else settings.int8
    return settings.model_copy(update={"int8": int8, "parallel_streams": parallel or settings.parallel_streams})


def _print_summary(stats: SurveyStats, quiet: bool) -> None:
    """Print the summary to stderr, also after an interrupt."""
    if stats.total and not quiet:
        print(*map(printable, stats.summary()), sep="\n", file=sys.stderr)


def _resolve_sources(
    args: argparse.Namespace, recognizer: Recognizer, named: Sequence[str]
) -> tuple[Iterable[str | Stream], int | None]:
    """Return the sources, listed lazily, and their number, None if unknown. Raises SettingsError, DirectoryError."""
    has_listing = args.game or args.top_streams
    if not (has_listing or args.category):
        return named, len(named)
    helix = recognizer.open_helix()
    sources = _with_categories(helix.streams_by_login, named) if args.category else named
    if not has_listing:
        return sources, len(named)
    game_id = helix.game_by_name(args.game).id if args.game else None
    listed = islice(helix.iter_streams(game_id), args.top_streams)
    return _distinct(chain(sources, listed)), args.top_streams and args.top_streams + len(named)


def _distinct(sources: Iterable[str | Stream]) -> Iterator[str | Stream]:
    """Yield the sources, of those that name the same channel the first only."""
    seen: set[str] = set()
    for source in sources:
        key = source.login if isinstance(source, Stream) else twitch_login(source) or source
        if key not in seen:
            seen.add(key)
            yield source


def _with_categories(
    streams_by_login: Callable[[Iterable[str]], dict[str, Stream]], sources: Iterable[str]
) -> Iterator[str | Stream]:
    """Yield the sources, live logins as streams with their category; Helix is asked page by page.

    If Helix fails, yield the remaining sources unchanged: recognition itself does not need categories.
    """
    remaining = iter(sources)
    while page := list(islice(remaining, _HELIX_PAGE)):
        try:
            live = streams_by_login(filter(None, map(twitch_login, page)))
        except DirectoryError as error:
            log.warning("%s; continuing without categories", error)
            yield from chain(page, remaining)
            return
        yield from (live.get(twitch_login(source), source) for source in page)
