"""static-cdn.jtvnw.net: previews, pictures of what channels showed when their previews were last made.

Helix: "a URL to an image of a frame from the last 5 minutes of the stream"; any size may be asked for. For a channel
that is not live the answer leads to a picture that says so, as browsers show it.
"""

from __future__ import annotations

import functools
import re
import time
from pathlib import Path

import av
import cv2
import numpy as np

from tests.standin.http import Request, Response
from tests.standin.media import segment_count
from tests.standin.playlist import current
from tests.standin.transcode import SEGMENT_S, Rendition, clip_frames, still_frames
from tests.standin.world import STILLS, World

HOST = "static-cdn.jtvnw.net"
EVERY_S = 300  # seconds between two previews of a channel
_PREVIEW = re.compile(r"/previews-ttv/live_user_([a-z0-9_]{1,25})-(\d{1,4})x(\d{1,4})\.jpg")
_NONE = re.compile(r"/ttv-static/404_preview-(\d{1,4})x(\d{1,4})\.jpg")
_SIDES = range(16, 1921)  # pixels
_QUALITY = 85
_GREY = 40


class Previews:
    """Answers for all channels of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: Request) -> Response | None:
        """A preview, or where it leads instead; None for what is not here."""
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
        still, number = channel.behaviour if channel.behaviour in STILLS else "", made(time.time())
        return _jpeg(picture(channel.file_at(number * SEGMENT_S), still, number, width, height))


def made(now: float) -> int:
    """The segment that previews show at `now`: the newest complete one when they were made."""
    return current(now // EVERY_S * EVERY_S) - 1


@functools.lru_cache(maxsize=256)
def picture(file: Path, still: str, number: int, width: int, height: int) -> bytes:
    """The first frame of the segment `number`, as JPEG; of a clip, or of one of the stills."""
    index = number % segment_count(file)
    rendition = Rendition(width, height, 1, 0)
    first_only = (rendition, index, index + 1)
    frame = next(still_frames(still, file, *first_only) if still else clip_frames(file, *first_only))
    return as_preview(frame)


def as_preview(frame: av.VideoFrame) -> bytes:
    """The frame as previews are encoded."""
    return _encoded(frame.to_ndarray(format="bgr24"))


@functools.cache
def _no_preview(width: int, height: int) -> bytes:
    return _encoded(np.full((height, width, 3), _GREY, np.uint8))


def _encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _jpeg(body: bytes) -> Response:
    return Response(200, body, "image/jpeg")
