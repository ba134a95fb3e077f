"""Recordings of a game as pictures to import: files, Twitch's recordings and clips, channels and other addresses.

Their frames pass the filter of the download. A source that cannot be read is counted, and the others go on.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from data.entities import Frame, FrameDetails, is_login
from data.errors import StreamError
from data.exchange.class_folders import ARCHIVE, find_pictures, is_archive, is_picture, one_picture
from data.exchange.import_stats import ImportStats
from data.exchange.importer import Picture
from data.exchange.logins import Streamer, named_logins, picture_login, safe_login
from data.text import printable, redacted
from data.twitch.addresses import canonical, is_url, twitch_url

# Addresses of Twitch that name the channel of a clip or a recording.
_BEFORE_MEDIA = re.compile(r"(.*twitch\.tv/[^/?#]+)/(?:clip|v|videos?)/[^/].*", re.IGNORECASE)


class RecordingReader:
    """Yields the frames of recordings.

    Args:
        frames: yields the frames of a source; raises StreamError.
        reject_reason: of a source and a frame's JPEG returns why the frame is rejected; "" to keep it.
        stats: counts what is left out.
        is_unwanted: returns whether no frame of a login may be added. Its sources are not opened.
    """

    def __init__(
        self,
        frames: Callable[[str], Iterable[Frame]],
        reject_reason: Callable[[str, bytes], str],
        stats: ImportStats,
        is_unwanted: Callable[[str], bool],
    ) -> None:
        self._frames_of, self._reject_reason, self._stats = frames, reject_reason, stats
        self._is_unwanted = is_unwanted
        self.failure: StreamError | None = None  # the last one

    def pictures(self, game: str, sources: Iterable[str], streamer: Streamer = "folder") -> Iterator[Picture]:
        """Yield the frames of all sources in turn. Of a picture or a folder of pictures that is each picture.

        game: its name, or its id. streamer: as in `data.exchange.class_folders.find_pictures`; "prefix" also makes the
        recordings ann-1.mp4 and ann-2.mp4 those of ann.
        """
        for source in sources:
            path = Path(canonical(source))
            if os.path.isdir(path):  # noqa: PTH112 - false for a text that is too long for a path
                yield from find_pictures(path, self._stats, game, streamer)
            elif is_url(canonical(source)) or not (is_picture(path) or is_archive(path)):
                yield from self._frames(game, source, streamer)
            elif is_picture(path):
                yield one_picture(path, game)
            else:
                self._stats.leave_out(source, ARCHIVE)

    def _frames(self, game: str, source: str, streamer: Streamer) -> Iterator[Picture]:
        name, login = canonical(source), source_login(source, streamer)
        origin = printable(redacted(twitch_url(name) or name))
        path = Path(name)
        named = frozenset() if is_url(name) else named_logins((path.parent.name,), path.stem)
        if any(map(self._is_unwanted, {login, *named})):
            self._stats.leave_out(source, "its streamer was forgotten, or is in EXCLUDE_STREAMERS")
            return
        try:
            for frame in self._frames_of(source):
                # By source, not by login: each recording is compared with itself.
                if reason := self._reject_reason(source, frame.jpeg):
                    self._stats.rejected[reason] += 1
                    continue
                grabbed_at = time.time() if is_login(name) and frame.date is None else frame.date
                yield Picture(
                    f"{source}, frame {frame.number}",
                    game,
                    login,
                    partial(bytes, frame.jpeg),
                    FrameDetails(grabbed_at, origin=origin),
                    size_bytes=len(frame.jpeg),
                )
        except StreamError as error:
            self.failure = error
            self._stats.leave_out(source, str(error).removeprefix(f"{source}: "))


def source_login(source: str, streamer: Streamer = "folder") -> str:
    """Return the login of a source: of the channel that its address names, otherwise one derived from its name."""
    name = canonical(source)
    if is_login(name):
        return name
    if (match := _BEFORE_MEDIA.fullmatch(source.strip())) and is_login(channel := canonical(match[1])):
        return channel
    if twitch_url(name) or is_url(name):  # by the whole address, as many end in index.m3u8
        return safe_login(name.partition("?")[0].rstrip("/").rpartition("/")[2], name)
    path = Path(name)
    folder = os.path.abspath(path.parent)  # noqa: PTH100 - links stay as they are
    return picture_login((), path.stem, "prefix" if streamer == "prefix" else "file", folder)
