"""Survey on a Ray cluster: workers on the nodes recognise, this process lists the sources and keeps the answers."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from config import Settings
from data import factories
from data.entities import Stream
from data.storage.surveys import SurveyStore
from recognition.cluster.stored_survey import open_stored_survey
from recognition.cluster.survey_worker import open_survey_pool
from recognition.events import Result
from recognition.model_loading import model_sha256
from recognition.sources import refuse_files

_WINDOW_S = 3600.0
# What makes two commands the same survey. Where the results go does not matter.
_OPTIONS = ("game", "top_streams", "category", "frames", "sure", "preview", "top", "min_confidence")
_SETTINGS = ("int8", "frames_per_stream", "frame_interval_s", "quality", "ad_wait_s", "languages")


@contextmanager
def open_cluster_survey(
    args: argparse.Namespace, settings: Settings, named: Iterable[str], **options: Any
) -> Iterator[Callable[[Iterable[str | Stream]], Generator[Result, None, None]]]:
    """Yield what recognises sources on the cluster, those without a stored answer.

    named: the sources that the command names. options: of Recognizer.survey. Raises SettingsError, ClusterError,
    CatalogUnavailable, ModelError.
    """
    refuse_files(named, "survey")
    scope, model = survey_scope(args, settings, named), model_sha256(settings)
    with (
        factories.open_catalog(settings) as catalog,
        open_survey_pool(settings, top=args.top, min_confidence=args.min_confidence) as pool,
        open_stored_survey(SurveyStore(catalog.transactions), scope, model, args.window or _WINDOW_S) as stored,
    ):
        yield partial(stored, partial(pool.survey, **options))


def survey_scope(args: argparse.Namespace, settings: Settings, named: Iterable[str]) -> str:
    """Return the hash of what the command surveys, and how."""
    values = [sorted(named), [getattr(args, name) for name in _OPTIONS]]
    values.append([str(getattr(settings, name)) for name in _SETTINGS])
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
