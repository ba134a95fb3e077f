"""Scripted responses of Twitch's video hosts, and grabbers that use a scripted server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence

from data.capture.grabber import Grabber, Sleep
from data.entities import Frame
from tests.sample_images import RED, flat, segment
from tests.scripted_server import Reply
from tests.standin import Clock

IMG_SIZE = 240


class SleepRecorder:
    """Records pauses; sleeps up to `max_sleep_s` of each, or sets a stand-in's `clock` forward instead."""

    def __init__(self, max_sleep_s: float = 60.0, clock: Clock | None = None) -> None:
        self.slept: list[float] = []
        self._max_sleep_s = max_sleep_s
        self._clock = clock

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self._clock:
            self._clock.advance(seconds)
        else:
            time.sleep(min(seconds, self._max_sleep_s))

    def now(self) -> float:
        """Return the time that passes in `sleep`, seconds."""
        return self._clock.now() if self._clock else time.monotonic()


def grabber(url: str, recorder: SleepRecorder | None = None, timeout_s: float = 30, **options) -> Grabber:
    """Return a grabber that uses the server at `url`; the timeout leaves the stand-in time to transcode."""
    recorder = recorder or SleepRecorder()
    values = {"img_size": IMG_SIZE, "jpeg_quality": 95, "standin": url, "sleep": recorder.sleep, "clock": recorder.now}
    return Grabber(**{**values, "timeout_s": timeout_s, **options})


def follow(
    open_grabber: Grabber,
    source: str,
    sleep: Sleep = time.sleep,
    initial_frames: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Frame]:
    """Yield the frames of all polls, until the stream ends or `sleep`, which lets `clock` pass, returns true."""
    follower = open_grabber.open_follower(source, initial_frames)
    while not follower.ended:
        polled_at = clock()
        yield from follower.poll()
        if not follower.ended and sleep(max(0.0, polled_at + follower.poll_interval_s - clock())):
            return


def grab(
    url: str, login: str, max_frames: int = 15, ad_wait_s: float = 0.0, *, spread_first: bool = False, **options
) -> list:
    """Return all frames of one grab."""
    with grabber(url, **options) as open_grabber:
        return list(open_grabber.frames(login, max_frames, ad_wait_s, spread_first))


VIDEO = "https://video.example"
TOKEN_VALUE = json.dumps({"chansub": {"restricted_bitrates": []}})
TOKEN = Reply(body={"data": {"streamPlaybackAccessToken": {"value": TOKEN_VALUE, "signature": "s"}}})


def renditions(*names: str) -> Reply:
    """Return the multivariant playlist of a channel with these renditions."""
    lines = ["#EXTM3U"]
    for name in names:
        size = "" if name.startswith("audio") else "RESOLUTION=640x360,FRAME-RATE=30.000,"
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH=630000,{size}STABLE-VARIANT-ID="{name}"', f"{VIDEO}/{name}.m3u8"]
    return Reply(body="\n".join(lines).encode())


def playlist(*kinds: str, first: int = 1, head: Sequence[str] = (), tail: Sequence[str] = ()) -> Reply:
    """Return a media playlist with segments of these kinds: playlist("ad", "live", "live", "prefetch")."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}", *head]
    for number, kind in enumerate(kinds, first):
        if kind == "prefetch":
            lines += [f"#EXT-X-TWITCH-PREFETCH:{VIDEO}/{number}.ts"]
        else:
            title = "Amazon|1" if kind == "ad" else kind
            date = f"2026-01-01T00:{number // 30:02d}:{number % 30 * 2:02d}.000Z"
            lines += [f"#EXT-X-PROGRAM-DATE-TIME:{date}", f"#EXTINF:2.000,{title}", f"{VIDEO}/{number}.ts"]
    return Reply(body="\n".join([*lines, *tail]).encode())


LIVE = (TOKEN, renditions("360p"))  # responses before the media playlist
PICTURE = Reply(body=segment(flat(RED)))
