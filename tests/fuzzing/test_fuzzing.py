"""A short, seed-fixed part of the fuzz suite; `python -m benchmarks.fuzz` is the long form."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzzing.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_raises_errors_of_the_toolkit_only(name):
    """Damaged inputs are read, or refused by an error of the toolkit; each exception of another kind fails."""
    target = TARGETS[name]
    with target.open() as feed:

        @settings(
            max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(target.inputs)
        def check(data: object) -> None:
            feed(data)

        check()
