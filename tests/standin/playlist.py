"""Playlists as Twitch writes them (RFC 8216 and Twitch's own tags): what a viewer sees at a moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from tests.standin.transcode import SEGMENT_S, Rendition
from tests.standin.world import Channel

MEDIA_HOST = "video-edge-1.standin.ttvnw.net"
WINDOW = 15  # segments
_BREAK_EVERY, _BREAK = 12, 4  # mid-roll: of every 12 segments the last 4 are an ad


@dataclass(frozen=True)
class Session:
    """One viewer of one channel: ads are shown to each of their own. `start`: epoch seconds."""

    id: str
    channel: Channel
    start: float
    preroll_s: float

    def is_ad(self, number: int) -> bool:
        """Whether this viewer gets an ad instead of the stream's segment `number` (number x 2 s since the epoch)."""
        behaviour = self.channel.behaviour
        if behaviour == "preroll":
            return number * SEGMENT_S < self.start + self.preroll_s
        if behaviour == "midroll":
            return number % _BREAK_EVERY >= _BREAK_EVERY - _BREAK
        return behaviour == "only_ads"


def current(now: float) -> int:
    """The segment that is being made at `now`; the one before it is the newest complete one."""
    return int(now // SEGMENT_S)


def variants(session: Session, renditions: Iterable[Rendition]) -> str:
    """The answer of usher, version 2: one EXT-X-STREAM-INF a rendition, and nothing else about them."""
    lines = ["#EXTM3U", f'#EXT-X-TWITCH-INFO:NODE="video-edge-1",BROADCAST-ID="{session.channel.user_id}"']
    for index, rendition in enumerate(renditions):
        source = "source" if index == 0 else "transcode"
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={rendition.bandwidth},RESOLUTION={rendition.width}x{rendition.height},"
            f'CODECS="avc1.4D401F",FRAME-RATE={rendition.fps:.3f},STABLE-VARIANT-ID="{rendition.name}",'
            f'IVS-NAME="{rendition.name}",IVS-VARIANT-SOURCE="{source}"',
            f"https://{MEDIA_HOST}/v1/playlist/{session.id}/{rendition.name}.m3u8",
        ]
    return "\n".join(lines) + "\n"


def media(session: Session, rendition: Rendition, clip_segments: int, now: float) -> str:
    """The media playlist at `now`: the newest fifteen complete segments, and one to prefetch."""
    last = current(now)
    numbers = range(last - WINDOW, last)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{SEGMENT_S}",
        f"#EXT-X-MEDIA-SEQUENCE:{numbers[0]}",
        f"#EXT-X-TWITCH-LIVE-SEQUENCE:{numbers[0]}",
        f"#EXT-X-TWITCH-ELAPSED-SECS:{numbers[0] * SEGMENT_S - int(session.start) + 3600}.000",
        *_ad_dateranges(session, numbers),
    ]
    was_ad = session.is_ad(numbers[0] - 1)
    init = [f'#EXT-X-MAP:URI="{_address(session, rendition, "init.mp4")}"'] * (session.channel.behaviour == "fmp4")
    lines += init
    for number in numbers:
        ad = session.is_ad(number)
        if ad != was_ad or (not ad and number % clip_segments == 0):  # an ad's border, or the loop's seam
            lines += ["#EXT-X-DISCONTINUITY", *init]
        was_ad = ad
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:{_date(number)}",
            f"#EXTINF:{SEGMENT_S}.000,{'Amazon|0123456789' if ad else 'live'}",
            _address(session, rendition, _file(session, number)),
        ]
    if not was_ad and not session.is_ad(last):
        lines.append(f"#EXT-X-TWITCH-PREFETCH:{_address(session, rendition, _file(session, last))}")
    return "\n".join(lines) + "\n"


def _ad_dateranges(session: Session, numbers: range) -> list[str]:
    """One DATERANGE for each run of ads in the window, from its first segment there to its last."""
    tags, run = [], 0
    for number in [*numbers, None]:
        if number is not None and session.is_ad(number):
            run += 1
        elif run:
            first = (numbers[-1] + 1 if number is None else number) - run
            seconds = run * SEGMENT_S
            tags.append(
                f'#EXT-X-DATERANGE:ID="stitched-ad-{first}-{seconds}",CLASS="twitch-stitched-ad",'
                f'START-DATE="{_date(first)}",DURATION={seconds}.000,'
                f'X-TV-TWITCH-AD-ROLL-TYPE="{"PREROLL" if session.channel.behaviour == "preroll" else "MIDROLL"}",'
                f'X-TV-TWITCH-AD-POD-FILLED-DURATION="{seconds}.000"'
            )
            run = 0
    return tags


def suffix(session: Session) -> str:
    """What the names of the segments end with: fragments of MP4, or MPEG-TS."""
    return "m4s" if session.channel.behaviour == "fmp4" else "ts"


def _file(session: Session, number: int) -> str:
    return f"{number}.{suffix(session)}"


def _address(session: Session, rendition: Rendition, file: str) -> str:
    return f"https://{MEDIA_HOST}/v1/segment/{session.id}/{rendition.name}/{file}"


def _date(number: int) -> str:
    moment = datetime.fromtimestamp(number * SEGMENT_S, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
