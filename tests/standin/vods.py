"""Recordings (VODs): the hosts give playback tokens, playlists and segments of files in a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.standin.http import Request, Response, json_response, text_response

HOST = "vod-secure.standin.cloudfront.net"
PLAYLIST = "index-dvr.m3u8"
_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4"}


class Vods:
    """A folder with one folder for each recording, named by its number: its playlist and its segments."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def gql(self, request: Request) -> Response | None:
        """Respond to POST /gql with a playback token of a recording; None for any other query."""
        try:
            query = json.loads(request.body)
            number = query["variables"]["vodID"] if query["operationName"] == "PlaybackAccessToken" else ""
        except (ValueError, TypeError, KeyError):
            return None
        if not number:
            return None
        value = json.dumps({"vod_id": number, "chansub": {"restricted_bitrates": []}})
        token = {"value": value, "signature": "0" * 40} if self._file(number, PLAYLIST) else None
        return json_response({"data": {"videoPlaybackAccessToken": token}})

    def usher(self, request: Request) -> Response | None:
        """Respond to GET /vod/v2/<number>.m3u8 with a multivariant playlist."""
        found = re.fullmatch(r"/vod/v2/([0-9]+)\.m3u8", request.path)
        if not (found and self._file(found[1], PLAYLIST)):
            return None
        head = (
            '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=630000,RESOLUTION=640x360,FRAME-RATE=30.000,STABLE-VARIANT-ID="360p"'
        )
        return text_response(f"{head}\nhttps://{HOST}/{found[1]}/360p30/{PLAYLIST}\n", _TYPES[".m3u8"])

    def media(self, request: Request) -> Response | None:
        """Respond to GET /<number>/360p30/<file>. A segment that was not muted for its music is refused."""
        found = re.fullmatch(r"/([0-9]+)/360p30/([\w.-]+)", request.path)
        if not found:
            return None
        if found[2].endswith("-unmuted.ts"):
            return Response(403)
        file = self._file(found[1], found[2])
        return Response(200, file.read_bytes(), _TYPES.get(file.suffix, "")) if file else Response(404)

    def _file(self, number: str, name: str) -> Path | None:
        file = self._folder / number / name if self._folder else None
        return file if file and file.is_file() else None
