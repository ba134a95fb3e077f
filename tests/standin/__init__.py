"""A Twitch on loopback: Helix, tokens, GQL, usher, HLS and previews, played from recorded clips."""

from tests.standin.faults import Fault, Weather
from tests.standin.media import looks_like_ad
from tests.standin.server import Standin
from tests.standin.world import CLIPS, Channel, World

__all__ = ["CLIPS", "Channel", "Fault", "Standin", "Weather", "World", "looks_like_ad"]
