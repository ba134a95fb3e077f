"""HLS playlists in Twitch's format (RFC 8216 and Twitch's own tags) for one viewer at one time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from tests.standin.transcode import SEGMENT_S, Rendition
from tests.standin.world import ENDINGS, Channel

MEDIA_HOST = "video-edge-1.standin.ttvnw.net"
WINDOW = 15  # segments
_BREAK_EVERY, _BREAK = 12, 4  # mid-roll: of every 12 segments the last 4 are an ad
_DISCONTINUITY_EVERY = 5
_SKIPPED_EVERY = 7


@dataclass(frozen=True)
class Session:
    """One viewer of one channel, with ads of its own; arguments as in `Standin`.

    start: epoch seconds. number: of the clip's viewers before this one.
    """

    id: str
    channel: Channel
    start: float
    preroll_s: float
    lifetime_s: float
    number: int = 0

    def is_ad(self, number: int) -> bool:
        """Return whether this viewer gets an ad instead of segment `number` (number x 2 s since the epoch)."""
        behaviour = self.channel.behaviour
        if behaviour == "preroll":
            return number * SEGMENT_S < self.start + self.preroll_s
        if behaviour in ("midroll", "hidden_ad"):
            return number % _BREAK_EVERY >= _BREAK_EVERY - _BREAK
        return behaviour == "only_ads"

    def has_ended(self, now: float) -> bool:
        """Return whether the session of a channel that ends, in whatever way, has ended at `now`."""
        return self.channel.behaviour in ENDINGS and now >= self.start + self.lifetime_s

    def edge(self, now: float) -> int:
        """Return the number of the segment that is incomplete at `now`, or was when the stream stopped."""
        stops = self.channel.behaviour in ("ended", "silent")
        return current_segment(min(now, self.start + self.lifetime_s) if stops else now)

    def origin(self, now: float) -> int:
        """Return which segment has media number 0: that of the epoch, or the last one before the encoder's restart."""
        restarted = self.channel.behaviour == "rewound" and self.has_ended(now)
        return current_segment(self.start + self.lifetime_s) - 1 if restarted else 0

    def is_listed(self, number: int) -> bool:
        """Return whether the playlist contains this segment."""
        return self.channel.behaviour != "skipping" or number % _SKIPPED_EVERY != 0

    def sequence(self, number: int, now: float) -> int:
        """Return a segment's media sequence number, which counts listed segments only (RFC 8216 6.2.2)."""
        skipped = number // _SKIPPED_EVERY if self.channel.behaviour == "skipping" else 0
        return number - self.origin(now) - skipped


def current_segment(now: float) -> int:
    """Return the number of the segment that is incomplete at `now`, epoch seconds."""
    return int(now // SEGMENT_S)


def multivariant_playlist(session: Session, renditions: Iterable[Rendition]) -> str:
    """Return usher's playlist, version 2: one EXT-X-STREAM-INF a rendition, no EXT-X-MEDIA."""
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


def media_playlist(session: Session, rendition: Rendition, begins: Callable[[int], bool], now: float) -> str:
    """Return the media playlist at `now`: the newest fifteen complete segments, and one to prefetch.

    Args:
        session: the viewer.
        rendition: of the segments' addresses.
        begins: whether a clip starts at a segment.
        now: epoch seconds.
    """
    last, origin = session.edge(now), session.origin(now)
    numbers = [number for number in range(max(last - WINDOW, origin), last) if session.is_listed(number)]
    first = session.sequence(numbers[0], now)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{SEGMENT_S}",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
        f"#EXT-X-TWITCH-LIVE-SEQUENCE:{first}",
        f"#EXT-X-TWITCH-ELAPSED-SECS:{numbers[0] * SEGMENT_S - int(session.start) + 3600}.000",
        *_ad_dateranges(session, numbers),
    ]
    was_ad = session.is_ad(numbers[0] - 1)
    init = [f'#EXT-X-MAP:URI="{_address(session, rendition, "init.mp4")}"'] * (session.channel.behaviour == "fmp4")
    lines += init
    for number in numbers:
        ad = session.is_ad(number)
        if ad != was_ad or (not ad and _is_seam(session, number, begins)):
            lines += ["#EXT-X-DISCONTINUITY", *init]
        was_ad = ad
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:{_date(number)}",
            f"#EXTINF:{SEGMENT_S}.000,{'Amazon|0123456789' if ad else 'live'}",
            _address(session, rendition, f"{number - origin}.{suffix(session)}"),
        ]
    return "\n".join([*lines, *_end(session, rendition, now)]) + "\n"


def _is_seam(session: Session, number: int, begins: Callable[[int], bool]) -> bool:
    """Return whether a discontinuity without an ad precedes this segment."""
    odd = session.channel.behaviour == "discontinuity" and number % _DISCONTINUITY_EVERY == 0
    return odd or begins(number)


def _end(session: Session, rendition: Rendition, now: float) -> list[str]:
    """Return the lines after the last segment: a prefetch hint, EXT-X-ENDLIST, or none."""
    if session.has_ended(now) and session.channel.behaviour in ("ended", "silent"):
        return ["#EXT-X-ENDLIST"] * (session.channel.behaviour == "ended")
    last = session.edge(now)
    if session.is_ad(last - 1) or session.is_ad(last) or not session.is_listed(last):
        return []
    file = f"{last - session.origin(now)}.{suffix(session)}"
    return [f"#EXT-X-TWITCH-PREFETCH:{_address(session, rendition, file)}"]


def _ad_dateranges(session: Session, numbers: Sequence[int]) -> list[str]:
    """Return one EXT-X-DATERANGE for each run of ads in the window."""
    tags: list[str] = []
    run = 0
    if session.channel.behaviour == "hidden_ad":
        return tags
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
    """Return the file suffix of segments: m4s (fragmented MP4) or ts (MPEG-TS)."""
    return "m4s" if session.channel.behaviour == "fmp4" else "ts"


def _address(session: Session, rendition: Rendition, file: str) -> str:
    return f"https://{MEDIA_HOST}/v1/segment/{session.id}/{rendition.name}/{file}"


def _date(number: int) -> str:
    moment = datetime.fromtimestamp(number * SEGMENT_S, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
