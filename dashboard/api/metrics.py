"""Metrics of the dashboard for Prometheus: requests, the dataset, the wall, jobs and the process.

The names are those of recognition.outputs.prometheus where both count the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any

import prometheus_client
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dashboard.jobs.service import SURVEYS, WORK
from dashboard.services import Services
from data.errors import ToolkitError

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_API = "/api/v1"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

router = APIRouter(tags=["metrics"])


class RequestMetrics:
    """Middleware: counts the requests by the route, never by the path: a visitor could make up endless ones."""

    def __init__(self, app: Callable[..., Awaitable[None]], registry: CollectorRegistry) -> None:
        self._app = app
        labels = ["method", "route"]
        self._count = prometheus_client.Counter(
            "requests", "Answered requests.", [*labels, "status"], namespace="twitchcategory", registry=registry
        )
        self._seconds = Histogram(
            "request_seconds",
            "Time from a request to the end of its response; streams of events are left out.",
            labels,
            namespace="twitchcategory",
            registry=registry,
            buckets=_SECONDS,
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle a request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, is_stream, start = 500, False, time.perf_counter()

        async def counting_send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = any(value.startswith(b"text/event-stream") for _, value in message.get("headers", ()))
            await send(message)

        try:
            await self._app(scope, receive, counting_send)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = _route(scope)
            self._count.labels(method, route, str(status)).inc()
            if not is_stream:
                self._seconds.labels(method, route).observe(time.perf_counter() - start)


def _route(scope: MutableMapping[str, Any]) -> str:
    """Return the template of the path. Some versions of FastAPI leave a router's prefix out of it."""
    path: str = getattr(scope.get("route"), "path", "/static" if scope["path"].startswith("/static/") else "other")
    is_api = scope["path"].startswith(_API) and path.startswith("/")
    return _API + path if is_api and not path.startswith(_API) else path


class ServiceMetrics(Collector):
    """What the services say at the time of a scrape."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; a part that fails, such as one without its database, is left out."""
        for read in (_dataset, _wall, _jobs):
            with suppress(ToolkitError):
                yield from read(self._services)


def install(app: FastAPI, services: Services) -> None:
    """Count the app's requests, and make its metrics ready for the operation."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(ServiceMetrics(services))
    app.state.metrics = registry
    app.add_middleware(RequestMetrics, registry=registry)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def get_metrics(request: Request) -> Response:
    """Return the metrics in the text format of Prometheus. They need the token, where one is set."""
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_LATEST)


def _dataset(services: Services) -> Iterator[Metric]:
    if not services.dataset.is_loaded:  # a scrape does not wait
        return
    summary = services.dataset.summary(services.dataset.current)
    yield _gauge("dataset_frames", "Frames of the dataset.", summary.frames)
    yield _gauge("dataset_games", "Games of the dataset.", len(summary.games))
    yield _gauge("database_up", "1 while the database answers.", not services.dataset.outage)


def _wall(services: Services) -> Iterator[Metric]:
    states = Counter(tile["state"] for tile in services.watch.tiles()[0])
    metric = GaugeMetricFamily("twitchcategory_wall_channels", "Watched channels.", labels=["state"])
    for state, count in sorted(states.items()):
        metric.add_metric([state], count)
    yield metric


def _jobs(services: Services) -> Iterator[Metric]:
    states = Counter((job.kind, job.state) for job in services.jobs.jobs(WORK + SURVEYS))
    metric = GaugeMetricFamily("twitchcategory_jobs", "Jobs that are not deleted.", labels=["kind", "state"])
    for (kind, state), count in sorted(states.items()):
        metric.add_metric([kind, state], count)
    yield metric


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"twitchcategory_{name}", text, value)
