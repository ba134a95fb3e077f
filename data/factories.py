"""Workers made from the settings, for the commands that use the same ones. Heavy imports happen in the calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

    from config import Settings
    from data.capture.grabber import Grabber
    from data.filters.frame_filter import OpenSieve, Sieve
    from data.twitch.helix import Helix
    from data.twitch.previews import Previews


def helix(settings: Settings, session: requests.Session, sleep: Callable[[float], object] = time.sleep) -> Helix:
    """A client of the API on `session`, which the caller closes. Raises SettingsError for missing credentials."""
    from data.twitch.helix import Helix

    return Helix(
        session,
        settings.client_id,
        access_token=settings.access_token.get_secret_value(),
        client_secret=settings.client_secret.get_secret_value(),
        budget_s=settings.helix_budget_s,
        deadline_s=settings.deadline_s,
        languages=settings.languages,
        sleep=sleep,
    )


def sieve(settings: Settings) -> Sieve | OpenSieve:
    """What decides which frames are kept."""
    from data.filters.frame_filter import OpenSieve, Sieve

    return Sieve() if settings.filter_frames else OpenSieve()


def grabber(settings: Settings, sleep: Callable[[float], object] = time.sleep) -> Grabber:
    """A grabber, which the caller closes."""
    from data.capture.grabber import Grabber

    return Grabber(
        img_size=settings.img_size,
        jpeg_quality=settings.jpeg_quality,
        quality=settings.quality,
        frame_interval_s=settings.frame_interval_s,
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline_s,
        standin=settings.twitch_standin,
        pool_size=max(16, 2 * settings.parallel_streams),  # connections: a stream's playlists and its segments
        sleep=sleep,
    )


def previews(settings: Settings) -> Previews:
    """What fetches previews; the caller closes it."""
    from data.twitch.previews import Previews

    return Previews(
        img_size=settings.img_size,
        jpeg_quality=settings.jpeg_quality,
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline_s,
        standin=settings.twitch_standin,
        pool_size=max(16, settings.parallel_streams),
    )
