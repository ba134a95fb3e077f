"""Metrics for Prometheus: what a scrape tells of requests, the dataset, the wall, jobs and the process."""

from __future__ import annotations

import time

from dashboard.api import metrics
from tests.dashboard.datasets import GAMES


def test_metrics_count_requests_by_route(client):
    """A path that a visitor makes up is no time series of its own."""
    client.get("/api/v1/session")
    client.get("/made-up-path")
    client.request("MADE-UP", "/api/v1/session")
    text = client.get("/metrics").text
    assert 'twitchcategory_requests_total{method="GET",route="/api/v1/session",status="200"} 1.0' in text
    assert 'twitchcategory_request_seconds_count{method="GET",route="other"} 1.0' in text
    assert "made-up" not in text.lower()
    assert "process_resident_memory_bytes" in text


def test_metrics_tell_of_the_dataset_and_its_parts(client, small_dataset):
    """Frames, games, channels and jobs; the format is that of Prometheus."""
    end = time.monotonic() + 20
    while "twitchcategory_dataset_frames 120.0" not in (text := client.get("/metrics").text):
        assert time.monotonic() < end, text
    assert f"twitchcategory_dataset_games {len(GAMES)}.0" in text
    assert "twitchcategory_database_up 1.0" in text
    assert "# TYPE twitchcategory_wall_channels gauge" in text
    assert "# TYPE twitchcategory_jobs gauge" in text


def test_static_files_share_a_route(client):
    """The route of a request that no operation handles is one of two words."""
    client.get("/static/base/style.css")
    assert 'route="/static"' in client.get("/metrics").text
    assert metrics._route({"path": "/nowhere"}) == "other"
