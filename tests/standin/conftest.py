"""Fixtures of the stand-in's own tests: one clip, as a channel of each behaviour."""

from __future__ import annotations

import dataclasses

import pytest

from data.http.session import new_session
from tests.standin import Standin, World
from tests.standin.clients import streamlink_session
from tests.standin.transcode import Rendition
from tests.standin.world import BEHAVIOURS

PREROLL_S = 4.0


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Transcodes of this session: nothing that was made before it."""
    return tmp_path_factory.mktemp("standin-cache")


@pytest.fixture(scope="session")
def zoo(world):
    """A channel of each behaviour, named after it, all playing one clip: few transcodes."""
    first = min(world.channels, key=lambda channel: channel.file.stat().st_size)
    return World(tuple(dataclasses.replace(first, login=name, behaviour=name) for name in sorted(BEHAVIOURS)))


@pytest.fixture(scope="module")
def running(zoo, cache):
    """A stand-in with the channels of `zoo`, and a small source."""
    source = Rendition(854, 480, 60, 1_400_000)
    with Standin(zoo, cache=cache, preroll_s=PREROLL_S, source=source) as standin:
        yield standin
    assert not standin.unknown


@pytest.fixture(scope="module")
def streamlink(running):
    """Streamlink with its own Twitch plugin, led to `running`."""
    with streamlink_session(running) as session:
        yield session


@pytest.fixture
def http(running):
    """A plain session that leads to `running`."""
    with new_session(20, running.url) as session:
        yield session
