"""Fixtures of recognition."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recognition.commands import BRIGHT, DARK, save_model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    """The folder of a model that knows a dark game and a bright one."""
    return save_model(tmp_path_factory.mktemp("model"), (DARK, BRIGHT))
