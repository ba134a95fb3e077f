"""Audit command: build the auditor from options and settings, and make one audit, or one every hour."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from config import Settings
from data import factories, memory
from data.entities import Game
from data.errors import CatalogUnavailable, DirectoryUnavailable, FolderError, ModelError, SettingsError, StreamOffline
from data.storage.audits import AuditStore
from data.storage.pseudonyms import Pseudonyms
from model.evaluation.game_metrics import GameMetrics, read_game_metrics
from model.inference.location import find_model
from recognition.auditing.progress import show_progress
from recognition.auditing.reporting import ReportWriter
from recognition.auditing.run import Auditor, AuditRequest, LookOptions
from recognition.auditing.selection import Scope
from recognition.cluster.survey_worker import open_survey_pool
from recognition.model_loading import model_sha256
from recognition.modes.single import DEFAULT_CERTAINTY
from recognition.modes.survey import survey_settings
from recognition.recognizer import Recognizer
from recognition.reports.files import prepare_folder
from recognition.reports.outcomes import Judgement
from recognition.sources import read_sources, twitch_login

log = logging.getLogger(__name__)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Make the audits that `args` asks for; return 0."""
    settings = survey_settings(settings, args.parallel)
    if args.language:
        settings = settings.model_copy(update={"languages": tuple(dict.fromkeys(args.language))})
    with ExitStack() as stack:
        stack.enter_context(memory.trim_periodically())
        # One thread for each inference: many streams keep the cores busy side by side.
        recognizer = stack.enter_context(Recognizer.load(settings, threads=1))
        pseudonyms = Pseudonyms(factories.make_frame_store(settings).files)
        request = _request(args, settings, pseudonyms)
        folder = Path(args.out) if args.out else settings.audit_path
        prepare_folder(folder)  # an audit may take hours: an unwritable folder must be reported before it begins
        helix = recognizer.open_helix()
        judgement = make_judgement(settings, recognizer.classifier.classes, args.min_precision)
        catalog = stack.enter_context(factories.open_catalog(settings, recognizer.stop.wait))
        store = AuditStore(catalog.transactions)
        store.prepare()
        # Pictures: a report shows what streams of another game showed.
        pool = stack.enter_context(open_survey_pool(settings, pictures=True)) if settings.ray_address else None
        auditor = Auditor(
            recognizer,
            helix,
            store,
            judgement,
            _look_options(args, settings),
            is_excluded=factories.make_exclusion(settings),
            show_progress=partial(show_progress, quiet=args.quiet),
            pool=pool,
        )
        name = (lambda login: login) if args.logins else pseudonyms.of
        writer = ReportWriter(store, judgement, folder, str(request.scope), find_model(settings.model_path).name, name)
        audit = partial(auditor.run, request, writer.write)
        if args.every:
            repeat(audit, args.every, recognizer.stop.wait)
        else:
            audit()
    return 0


def repeat(audit: Callable[[], object], every_s: float, wait: Callable[[float], object]) -> None:
    """Make an audit every `every_s` seconds, or at once where the last one took longer, until `wait` returns true.

    An outage costs that audit only; the next one goes on with it.
    """
    while True:
        began = time.monotonic()
        try:
            audit()
        except (DirectoryUnavailable, CatalogUnavailable, FolderError, StreamOffline) as error:
            log.error("%s; the next audit begins %.0f s after this one", error, every_s)
        if wait(max(0.0, began + every_s - time.monotonic())):
            return


def make_judgement(settings: Settings, classes: tuple[Game, ...], min_precision: float) -> Judgement:
    """Return which categories count, by the metrics of the model. Raises ModelError: there are none, or none counts.

    With a bound of 0 a model without metrics does, too: all its games count.
    """
    folder = find_model(settings.model_path)
    metrics = read_game_metrics(folder)
    if metrics is None and min_precision > 0:
        raise ModelError(
            f"The model in {folder} comes without the precision of each game by stream, by which an audit chooses its "
            "categories; train it again (python -m model.create), or let all its games count: --min-precision 0"
        )
    judgement = Judgement(
        metrics or {game.id: GameMetrics(game, 0.0, 0, 0, 0, 0, 0, 0) for game in classes}, min_precision
    )
    if not any(map(judgement.judges, classes)):
        raise ModelError(f"No game of the model in {folder} has the precision {min_precision}; lower --min-precision")
    return judgement


def _request(args: argparse.Namespace, settings: Settings, pseudonyms: Pseudonyms) -> AuditRequest:
    """Return what to audit. Raises SettingsError, ModelError, FolderError."""
    sources = read_sources(args.source, args.sources_file) if args.source or args.sources_file else ()
    named = tuple(sorted({_login(source) for source in sources}))
    scope = Scope(
        games=tuple(sorted(set(args.game))),
        languages=tuple(sorted(settings.languages)),
        top=args.top,
        named=pseudonyms.hash(" ".join(named)) if named else "",
        named_count=len(named),
        listed=bool(args.game or args.language or args.top or not named),
        sample=args.sample,
        min_precision=args.min_precision,
    )
    return AuditRequest(scope, named, model_sha256(settings), args.seed, args.new)


def _login(source: str) -> str:
    if login := twitch_login(source):
        return login
    raise SettingsError(f"sources: {source!r} is no channel of Twitch, so nobody declares its category")


def _look_options(args: argparse.Namespace, settings: Settings) -> LookOptions:
    certainty = DEFAULT_CERTAINTY if args.sure is None else args.sure
    return LookOptions(args.frames or settings.frames_per_stream, certainty, args.preview, 60 * args.again)
