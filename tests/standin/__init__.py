"""Stand-in for Twitch on loopback: Helix, tokens, GQL, usher, HLS and previews, from recorded clips."""

from tests.standin.clock import Clock
from tests.standin.faults import Fault, RandomFaults
from tests.standin.media import looks_like_ad
from tests.standin.server import Standin
from tests.standin.world import CLIPS, Channel, World

__all__ = ["CLIPS", "Channel", "Clock", "Fault", "RandomFaults", "Standin", "World", "looks_like_ad"]
