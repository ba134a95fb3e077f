"""Fixtures of the recognition tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recognition.commands import BRIGHT, DARK, save_model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    """Return the folder of a model that separates a dark game from a bright one."""
    return save_model(tmp_path_factory.mktemp("model"), (DARK, BRIGHT))
