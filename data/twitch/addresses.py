"""Addresses of sources: the one place that understands what users write for a channel, a recording, a clip or a file.

    login, LOGIN, @login, twitch.tv/login, m.twitch.tv/login/videos, HTTPS://…          → login
    twitch.tv/popout/login/chat, twitch.tv/moderator/login, player.twitch.tv/?channel=login → login
    twitch.tv/videos/1, twitch.tv/login/v/1, player.twitch.tv/?video=v1                 → https://www.twitch.tv/videos/1
    clips.twitch.tv/Slug, twitch.tv/login/clip/Slug, clips.twitch.tv/embed?clip=Slug    → https://clips.twitch.tv/Slug
    file:///a%20b.mp4                                                                   → /a b.mp4
    HTTPS://Example.com/A.m3u8, HLS://example.com/live                                  → scheme, host in lower case

Standard library only.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

from data.entities import is_login

FORMS = (
    "a Twitch login (1 to 25 letters, digits or _), the address of a channel, a recording or a clip, "
    "another URL (https://, hls://), or a file, a picture or a folder of pictures (write ./name for a file "
    "without a dot in its name)"
)
# `hls://` may be followed by a whole URL.
_URL = re.compile(r"((?:(?:https?|hls|hlsvariant|httpstream|dash)://)+)(.*)", re.IGNORECASE | re.DOTALL)
_TWITCH = re.compile(r"(?:(?:https?:)?//)?(?:[^/?#@]*\.)?twitch\.tv\.?(?::\d*)?(?:[/?#]|$)", re.IGNORECASE)
_MEDIA = re.compile(r"https://(?:www\.twitch\.tv/videos/[0-9]+|clips\.twitch\.tv/[A-Za-z0-9_-]+)\b")
# The first part of a path that is followed by a login, and those that never are a login.
_BEFORE_LOGIN = {"popout", "embed", "moderator", "u"}
_NO_LOGIN = {"clip", "collections", "directory", "downloads", "search", "settings", "team", "v", "video", "videos"}


def canonical(source: str) -> str:
    """Return the source in the form of which it has exactly one; return what is not understood unchanged."""
    text = source.strip()
    login = text.removeprefix("@").lower()
    if is_login(login):
        return login
    with suppress(ValueError):  # of urlsplit, as for http://[::1
        if _TWITCH.match(text):
            return _twitch_address(text) or source
        if text.lower().startswith("file:/"):
            return _file_path(text) or source
    if match := _URL.fullmatch(text):
        return match[1].lower() + _lower_case_host(match[2])
    return source


def is_twitch(source: str) -> bool:
    """Return whether a source is an address of Twitch, in a form that is understood or not."""
    return _TWITCH.match(source) is not None


def twitch_url(source: str) -> str:
    """Return the URL of a canonical login, recording or clip, as Streamlink takes it; "" for any other source."""
    return f"https://www.twitch.tv/{source}" if is_login(source) else source if _MEDIA.match(source) else ""


def without_start(source: str) -> str:
    """Return a source without the time at which a recording of Twitch shall begin."""
    name = canonical(source)
    return name.partition("?t=")[0] if twitch_url(name) else source


def is_url(source: str) -> bool:
    """Return whether a canonical source is a URL that Streamlink may support."""
    if not (match := _URL.fullmatch(source)):
        return False
    with suppress(ValueError):  # as for http://[ and http://a:99999
        return urlsplit(f"//{match[2]}").port != 0
    return False


def _twitch_address(address: str) -> str:
    """Return the login of a channel's address, or the canonical address of a recording or a clip; "" for others."""
    parts = urlsplit(address if re.match("(?:https?:)?//", address, re.IGNORECASE) else f"//{address}")
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    folders = [unquote(folder) for folder in parts.path.split("/") if folder]
    host = (parts.hostname or "").lower()
    if host.startswith("clips.") and folders and folders[0] != "embed":
        folders = ["clip", *folders]
    video = query.get("video", "").removeprefix("v")
    match = re.search(r"(?:^|/)v(?:ideos?)?/v?([0-9]+)(?:/|$)", "/".join(folders))
    if number := match[1] if match else video if video.isascii() and video.isdigit() else "":
        start = query.get("t", "")
        return f"https://www.twitch.tv/videos/{number}" + (f"?t={start}" if re.fullmatch("[0-9hms]+", start) else "")
    clip = folders[folders.index("clip") + 1 :][:1] if "clip" in folders[:2] else [query.get("clip", "")]
    if clip and re.fullmatch("[A-Za-z0-9_-]+", clip[0]):
        return f"https://clips.twitch.tv/{clip[0]}"
    login = next((folder for folder in folders if folder.lower() not in _BEFORE_LOGIN), query.get("channel", ""))
    login = login.removeprefix("@").lower()
    return login if is_login(login) and login not in _NO_LOGIN else ""


def _file_path(address: str) -> str:
    """Return the path of a file: URL on this machine; "" for one on another machine."""
    parts = urlsplit(address)
    return os.fsdecode(unquote_to_bytes(parts.path)) if parts.netloc.lower() in ("", "localhost") else ""


def _lower_case_host(rest: str) -> str:
    """Return a URL without its scheme, with the host in lower case."""
    host, path = re.split("(?=[/?#])", rest + "/", maxsplit=1)
    user, at, name = host.rpartition("@")
    return f"{user}{at}{name.lower()}{path[:-1]}"
