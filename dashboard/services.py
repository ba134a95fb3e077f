"""Services: what the operations and pages need, built from the settings and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from config import Settings
from dashboard.dataset.service import DatasetService
from dashboard.jobs.service import JobService
from dashboard.live.service import WatchService
from dashboard.models.service import ModelService
from dashboard.security.policy import Security
from dashboard.uploads.service import UploadService


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running dashboard."""

    settings: Settings
    security: Security
    dataset: DatasetService
    models: ModelService
    watch: WatchService
    jobs: JobService
    uploads: UploadService


def make_services(settings: Settings, security: Security) -> Services:
    """Return the services; nothing is opened yet."""
    models = ModelService(settings)
    return Services(
        settings=settings,
        security=security,
        dataset=DatasetService(settings),
        models=models,
        watch=WatchService(settings, models.recognizer, security.check_source),
        jobs=JobService(settings),
        uploads=UploadService(settings),
    )


@contextmanager
def open_services(settings: Settings, security: Security) -> Iterator[Services]:
    """Yield the services, started; close them afterwards, the last one first."""
    services = make_services(settings, security)
    with ExitStack() as stack:
        for service in (services.dataset, services.models, services.jobs, services.uploads, services.watch):
            stack.callback(service.close)
            service.start()
        yield services
