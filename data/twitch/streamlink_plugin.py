"""Twitch's own addresses: Streamlink's plugin for them, changed in two places."""

from __future__ import annotations

import atexit
from typing import Any

from streamlink import Streamlink
from streamlink.exceptions import NoStreamsError, PluginError
from streamlink.plugins.twitch import Twitch, TwitchHLSStream
from streamlink.stream.hls import parse_m3u8

from data.errors import SourceNotFound, StreamOffline, StreamUnavailable


class TwitchPlugin(Twitch):
    """A channel, a recording or a clip.

    It keeps apart what the plugin reports as one: no such channel, not live, and servers that fail or refuse. And
    it fetches the multivariant playlist alone, where the plugin fetches each rendition's own besides, to see
    whether the channel is live still: the grabber sees that by the one that it reads.
    """

    def __init__(self, session: Streamlink, url: str) -> None:
        super().__init__(session, url)
        # Each plugin has its cache saved at exit, and would be kept until then: one for every stream ever tried.
        atexit.unregister(self.cache._save)

    @classmethod
    def matches_url(cls, url: str) -> bool:
        """Whether this is the form of such an address."""
        return any(matcher.pattern.match(url) for matcher in cls.matchers or ())

    @property
    def _label(self) -> str:
        return self.channel or self.url

    def _access_token(self, is_live: bool, channel_or_vod: str) -> Any:
        try:
            return super()._access_token(is_live, channel_or_vod)
        except NoStreamsError as error:
            what = "channel" if is_live else "recording"
            raise SourceNotFound(f"Twitch has no {what} {channel_or_vod!r}, or it is banned") from error

    def _get_hls_streams(self, url: str, restricted_bitrates: list[str], **extra_params: Any) -> Any:
        del restricted_bitrates  # qualities for subscribers alone: the playlist does not list them
        try:
            response = self.session.http.get(url)
        except PluginError as error:  # Streamlink's way to say that the request failed
            status = getattr(getattr(error.err, "response", None), "status_code", 0)
            if status == 404:
                raise StreamOffline(f"{self._label} is not live") from error
            reason = f"answers {status}" if status else "does not answer"
            raise StreamUnavailable(f"{self._label}: Twitch's playlist server {reason}") from error
        multivariant = parse_m3u8(response.content.decode("utf-8", "replace"), url, TwitchHLSStream.__parser__)
        # Not Streamlink's own parse_variant_playlist: it looks for sound tracks, which Twitch has none of, by the
        # names of all languages, which take 50 ms to load.
        return {
            rendition.get_name(key="name"): TwitchHLSStream(
                self.session, rendition.uri, multivariant=multivariant, start_offset=self.time_offset, **extra_params
            )
            for rendition in multivariant.playlists
            if not rendition.is_iframe
        }
