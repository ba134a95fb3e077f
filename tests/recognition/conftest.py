"""Fixtures of the recognition tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from data.factories import connect_database
from tests.data.conftest import settings
from tests.recognition.commands import BRIGHT, DARK, save_model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    """Return the folder of a model that separates a dark game from a bright one."""
    return save_model(tmp_path_factory.mktemp("model"), (DARK, BRIGHT))


@pytest.fixture
def engine(postgres) -> Iterator[Engine]:
    """Yield an engine on a database without tables of audits and surveys; remove them at the end."""
    drop = text("DROP TABLE IF EXISTS audit_streams, audits, survey_rows, surveys")
    with connect_database(settings(**postgres)) as engine:
        with engine.begin() as connection:
            connection.execute(drop)
        yield engine
        with engine.begin() as connection:
            connection.execute(drop)
