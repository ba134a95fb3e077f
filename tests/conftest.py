"""Fixtures that every test may use: the stand-in's world, and the stand-in itself."""

from __future__ import annotations

import pytest

from tests.standin import CLIPS, Standin, World


@pytest.fixture(scope="session")
def world() -> World:
    """The world of the clips that come with the project."""
    return World.load(CLIPS)


@pytest.fixture
def standin(world):
    """A Twitch on loopback. A request that it does not know fails the test."""
    with Standin(world, preroll_s=4.0) as running:
        yield running
    assert not running.unknown
