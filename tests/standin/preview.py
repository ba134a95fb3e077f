"""Preview host: static-cdn.jtvnw.net gives an image of each live channel, renewed every five minutes.

Helix: "a URL to an image of a frame from the last 5 minutes of the stream", in any size. For a channel that is not live
the host redirects to a placeholder image.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import av
import cv2
import numpy as np

from tests.standin.clock import Clock
from tests.standin.frame_sources import clip_frames, still_frames
from tests.standin.http import Request, Response
from tests.standin.media import segment_count
from tests.standin.playlist import current_segment
from tests.standin.transcode import SEGMENT_S, Rendition
from tests.standin.world import STILLS, World

HOST = "static-cdn.jtvnw.net"
EVERY_S = 300  # between two previews of a channel
_PREVIEW = re.compile(r"/previews-ttv/live_user_([a-z0-9_]{1,25})-(\d{1,4})x(\d{1,4})\.jpg")
_NONE = re.compile(r"/ttv-static/404_preview-(\d{1,4})x(\d{1,4})\.jpg")
_SIDES = range(16, 1921)  # pixels
_QUALITY = 85
_GREY = 40


class Previews:
    """The previews of all channels."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    def respond(self, request: Request) -> Response | None:
        """Return a preview or a redirect to the placeholder; None for an unknown path."""
        if none := _NONE.fullmatch(request.path):
            return _jpeg(_no_preview(*map(int, none.groups())))
        found = _PREVIEW.fullmatch(request.path)
        if not found:
            return None
        login, width, height = found[1], int(found[2]), int(found[3])
        if width not in _SIDES or height not in _SIDES:
            return Response(404)
        channel = self._world.channel(login)
        if channel is None or channel.behaviour == "offline":
            return Response(302, headers={"Location": f"https://{HOST}/ttv-static/404_preview-{width}x{height}.jpg"})
        still, number = channel.behaviour if channel.behaviour in STILLS else "", preview_segment(self._clock.now())
        return _jpeg(preview_image(channel.file_at(number * SEGMENT_S), still, number, width, height))


def preview_segment(now: float) -> int:
    """Return the number of the segment that previews show at `now`, epoch seconds."""
    return current_segment(now // EVERY_S * EVERY_S) - 1


@functools.lru_cache(maxsize=256)
def preview_image(file: Path, still: str, number: int, width: int, height: int) -> bytes:
    """Return the first frame of a segment, of a clip or of one of the stills, as JPEG."""
    index = number % segment_count(file)
    rendition = Rendition(width, height, 1, 0)
    first_only = (rendition, index, index + 1)
    frame = next(still_frames(still, file, *first_only) if still else clip_frames(file, *first_only))
    return as_preview(frame)


def as_preview(frame: av.VideoFrame) -> bytes:
    """Return a frame as JPEG in the previews' quality."""
    return _encoded(frame.to_ndarray(format="bgr24"))


@functools.cache
def _no_preview(width: int, height: int) -> bytes:
    return _encoded(np.full((height, width, 3), _GREY, np.uint8))


def _encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _jpeg(body: bytes) -> Response:
    return Response(200, body, "image/jpeg")
