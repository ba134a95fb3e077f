"""Settings of this process for tests that train."""

from tests.model.conftest import pytest_configure

__all__ = ["pytest_configure"]
