"""Chapter files: chapters as FFmetadata, WebVTT, YouTube's list and JSON.

- FFmetadata: https://ffmpeg.org/ffmpeg-formats.html#Metadata-2
- WebVTT, chapter text tracks: https://www.w3.org/TR/webvtt1/#introduction-chapters
- YouTube's list: https://support.google.com/youtube/answer/9884579
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from data.atomic import atomic_file, temporary_files
from data.errors import SettingsError
from data.text import printable_line, valid_unicode
from recognition.decision.segmentation import Chapter
from recognition.outputs.base import check_replaceable, folder_errors

SCHEMA = 1  # version of the JSON
_OPTION = "--chapters-file"
_FFMETADATA_SPECIAL = re.compile(r"[=;#\\]")
_YOUTUBE_CHAPTERS, _YOUTUBE_SECONDS = 3, 10  # the least that YouTube takes
_YOUTUBE_CHARACTERS = 5000  # of a description
_NO_BRACKETS = str.maketrans("<>", "＜＞")  # YouTube refuses < and > in descriptions

Format = Callable[[Sequence[Chapter], str], str]  # (chapters, source) → text


def to_ffmetadata(chapters: Sequence[Chapter], source: str = "") -> str:
    """Return FFmetadata, with times in milliseconds."""
    del source
    lines = [";FFMETADATA1"]
    for chapter in chapters:
        title = _FFMETADATA_SPECIAL.sub(r"\\\g<0>", _title(chapter))
        start, end = round(chapter.start_s * 1000), round(chapter.end_s * 1000)
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={end}", f"title={title}"]
    return "\n".join([*lines, ""])


def to_webvtt(chapters: Sequence[Chapter], source: str = "") -> str:
    """Return a WebVTT chapter track."""
    del source
    cues = [
        f"{_clock(chapter.start_s)} --> {_clock(chapter.end_s)}\n{html.escape(_title(chapter), quote=False)}\n"
        for chapter in chapters
    ]
    return "\n".join(["WEBVTT\n", *cues])


def to_youtube(chapters: Sequence[Chapter], source: str = "") -> str:
    """Return a list for the description of a video on YouTube: a line of start and title for each chapter."""
    del source
    lines = [f"{_minutes(chapter.start_s)} {_title(chapter).translate(_NO_BRACKETS)}" for chapter in chapters]
    return "\n".join([*lines, ""])


def to_json(chapters: Sequence[Chapter], source: str = "") -> str:
    """Return one line of JSON."""
    value = {
        "schema": SCHEMA,
        "source": valid_unicode(source),
        "duration_s": round(chapters[-1].end_s, 3),
        "chapters": [chapter.as_json() for chapter in chapters],
    }
    return json.dumps(value, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Format] = {
    ".ffmetadata": to_ffmetadata,
    ".ffmeta": to_ffmetadata,
    ".vtt": to_webvtt,
    ".txt": to_youtube,
    ".json": to_json,
}


def youtube_problem(chapters: Sequence[Chapter]) -> str:
    """Return why YouTube ignores the list of these chapters; "" if it does not."""
    if len(chapters) < _YOUTUBE_CHAPTERS:
        return f"it needs at least {_YOUTUBE_CHAPTERS} chapters, and there are {len(chapters)}"
    starts = [int(chapter.start_s) for chapter in chapters]
    for start, end in pairwise([*starts, int(chapters[-1].end_s)]):
        if end - start < _YOUTUBE_SECONDS:
            return f"each chapter needs at least {_YOUTUBE_SECONDS} s, and the one at {_minutes(start)} is shorter"
    if len(to_youtube(chapters)) > _YOUTUBE_CHARACTERS:
        return f"a description has at most {_YOUTUBE_CHARACTERS} characters"
    return ""


def check_chapter_file(path: Path) -> None:
    """Raise SettingsError for an unknown suffix, FolderError if the file cannot be written."""
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"{_OPTION}: {path} has none of the suffixes {', '.join(FORMATS)}; choose one of them")
    with folder_errors(_OPTION, path):
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        check_replaceable(path)
        with temporary_files(path.resolve().parent, [b""]):
            pass


def write_chapter_file(path: Path, chapters: Sequence[Chapter], source: str) -> None:
    """Write the file, in the form that its suffix names. Raises FolderError."""
    text = FORMATS[path.suffix.lower()](chapters, source)
    with folder_errors(_OPTION, path), atomic_file(path.resolve()) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _title(chapter: Chapter) -> str:
    """Return the title as one line."""
    return printable_line(valid_unicode(chapter.title)) or f"Game {chapter.game.id if chapter.game else 0}"


def _minutes(seconds: float) -> str:
    """Return a time as YouTube has it: M:SS or H:MM:SS, rounded down."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _clock(seconds: float) -> str:
    """Return a time as WebVTT has it: HH:MM:SS.mmm."""
    whole, thousandth = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{thousandth:03d}"
