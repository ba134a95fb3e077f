"""Streamlink plugin for Twitch: Streamlink's own one, with separate errors and fewer requests."""

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

    It separates errors that Streamlink's plugin reports as one: unknown channel, not live, and failing servers.
    It fetches only the multivariant playlist; Streamlink's also fetches that of each rendition.
    """

    def __init__(self, session: Streamlink, url: str) -> None:
        super().__init__(session, url)
        # Each plugin registers its cache to be saved at exit, which would keep one object for every stream ever tried.
        atexit.unregister(self.cache._save)

    def _access_token(self, is_live: bool, channel_or_vod: str) -> Any:
        try:
            return super()._access_token(is_live, channel_or_vod)
        except NoStreamsError as error:
            what = "channel" if is_live else "recording"
            raise SourceNotFound(f"Twitch has no {what} {channel_or_vod!r}, or it is banned") from error

    def _get_hls_streams(self, url: str, restricted_bitrates: list[str], **extra_params: Any) -> Any:
        del restricted_bitrates  # qualities for subscribers only: the playlist does not list them
        source = self.channel or self.url
        try:
            response = self.session.http.get(url)
        except PluginError as error:  # Streamlink's error for a failed request
            status = getattr(getattr(error.err, "response", None), "status_code", 0)
            if status == 404:
                raise StreamOffline(f"{source} is not live") from error
            reason = f"returned HTTP {status}" if status else "does not answer"
            raise StreamUnavailable(f"{source}: Twitch's playlist server {reason}") from error
        text = response.content.decode("utf-8", "replace")
        multivariant = parse_m3u8(text, response.url, TwitchHLSStream.__parser__)
        # Not Streamlink's parse_variant_playlist: it compares sound tracks, which Twitch does not have, with the
        # names of all languages, and loading those takes 50 ms.
        return {
            name: TwitchHLSStream(
                self.session, rendition.uri, multivariant=multivariant, start_offset=self.time_offset, **extra_params
            )
            for rendition in multivariant.playlists
            if not rendition.is_iframe and (name := _name(rendition))
        }


def _name(rendition: Any) -> str:
    """Return the name of a rendition; "" without a usable one: Streamlink sorts by the numbers in names."""
    try:
        name = rendition.get_name(key="name") or ""
    except OverflowError:  # of an absurd bandwidth
        return ""
    return name if len(name) < 100 else ""
