"""Chapter files: each is read back by a reader of its format; names that mean something in a format are only names."""

from __future__ import annotations

import html
import json
import re

import av
import pytest

from data.entities import Game
from data.errors import FolderError, SettingsError
from recognition.decision.segmentation import Chapter
from recognition.outputs.chapter_files import (
    check_chapter_file,
    to_ffmetadata,
    to_json,
    to_webvtt,
    to_youtube,
    write_chapter_file,
    youtube_problem,
)

HOSTILE = [
    "Plain",
    r"a=b;c#d\e",
    "<script>alert(1)</script> & --> x",
    "two\nlines\r\n[CHAPTER]\nSTART=1",
    "right\u202eto left",
    "WEBVTT",
    "half \ud800",
    "\x00\x1b[2J",
    "",
    "게임 🎮",
]
SHOWN = [
    "Plain",
    r"a=b;c#d\e",
    "<script>alert(1)</script> & --> x",
    "two lines [CHAPTER] START=1",
    "right to left",
    "WEBVTT",
    "half \ufffd",
    "[2J",
    "Game 9",
    "게임 🎮",
]


def chapters(*names: str, seconds: float = 1800.5) -> list[Chapter]:
    """Return chapters of equal length, of games with these names."""
    return [Chapter(n * seconds, (n + 1) * seconds, Game(n + 1, name), True, 0.9) for n, name in enumerate(names)]


def written(path, found):
    """Write a chapter file and return its path."""
    check_chapter_file(path)
    write_chapter_file(path, found, "x.mp4")
    return path


@pytest.mark.parametrize("suffix", [".ffmetadata", ".ffmeta"])
def test_ffmetadata_is_read_back_by_ffmpeg(tmp_path, suffix):
    """Times to the millisecond and each title, whatever characters it has."""
    path = written(tmp_path / f"a{suffix}", chapters(*HOSTILE))
    with av.open(str(path), format="ffmetadata") as file:
        found = file.chapters()
    assert [chapter["metadata"]["title"] for chapter in found] == SHOWN
    assert [(c["start"], c["end"]) for c in found] == [(n * 1800500, (n + 1) * 1800500) for n in range(10)]
    assert {str(chapter["time_base"]) for chapter in found} == {"1/1000"}


def test_webvtt_is_read_back_as_the_specification_says(tmp_path):
    """A signature, then cues: a line of two times with at least two digits of hours, and a line of escaped text."""
    text = written(tmp_path / "a.VTT", chapters(*HOSTILE)).read_text(encoding="utf-8")
    head, *cues = text.removesuffix("\n").split("\n\n")
    assert head == "WEBVTT"
    found = [re.fullmatch(r"(\d\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d\d+):(\d\d):(\d\d)\.(\d{3})\n(.+)", c) for c in cues]
    assert [html.unescape(match[9]) for match in found if match] == SHOWN
    assert not [match[9] for match in found if match and re.search("<|>|&(?!amp;|lt;|gt;)", match[9])]
    assert cues[1].splitlines()[0] == "00:30:00.500 --> 01:00:01.000"
    with av.open(str(tmp_path / "a.VTT"), format="webvtt") as file:
        starts = [float(packet.pts * packet.time_base) for packet in file.demux() if packet.size]
    assert starts == [n * 1800.5 for n in range(10)]


def test_youtube_list_has_whole_seconds_and_no_angle_brackets(tmp_path):
    """Minutes alone below an hour; YouTube refuses a description with < or >."""
    lines = written(tmp_path / "a.txt", chapters(*HOSTILE)).read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[0] for line in lines[:5]] == ["0:00", "30:00", "1:00:01", "1:30:01", "2:00:02"]
    assert len(lines) == 10
    assert not re.search("[<>]", "".join(lines))


def test_json_has_all_values(tmp_path):
    """A game, and a menu without one, whose confidence of more than 1 is rounded."""
    menu = Chapter(10.0, 20.1234, None, False, 1.0000001, "menu")
    value = json.loads(written(tmp_path / "a.json", [*chapters("Chess", seconds=10.0), menu]).read_bytes())
    assert value == {
        "schema": 1,
        "source": "x.mp4",
        "duration_s": 20.123,
        "chapters": [
            {"start_s": 0, "end_s": 10, "known": True, "game": {"id": 1, "name": "Chess"}, "confidence": 0.9,
             "screen": None},
            {"start_s": 10, "end_s": 20.123, "known": False, "game": None, "confidence": 1, "screen": "menu"},
        ],
    }  # fmt: skip
    assert json.loads(to_json(chapters(*HOSTILE), "\udc80.mp4"))["source"] == "\ufffd.mp4"


def test_chapter_without_a_game_is_named_by_its_screen():
    """Or "Unknown", if no screen is known either."""
    found = [Chapter(0, 60, None, False, 0.3, "intermission"), Chapter(60, 120, None, False, 0.3)]
    assert to_youtube(found) == "0:00 Intermission\n1:00 Unknown\n"
    assert "title=Intermission\n" in to_ffmetadata(found)
    assert "\nUnknown\n" in to_webvtt(found)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (chapters("a", "b", "c", seconds=10.0), ""),
        (chapters("a", "b"), "at least 3 chapters, and there are 2"),
        (chapters("a", "b", "c", seconds=9.9), "the one at 0:00 is shorter"),
        ([*chapters("a", "b", seconds=60.0), Chapter(120, 125, None, False, 0.1)], "the one at 2:00 is"),
        (chapters(*["long " * 20] * 60), "5000 characters"),
    ],
)
def test_youtube_problem_names_the_rule_that_is_broken(found, reason):
    """YouTube ignores lists of fewer than three chapters, or with one below ten seconds."""
    assert reason in youtube_problem(found)
    assert bool(reason) == bool(youtube_problem(found))


def test_file_that_cannot_be_written_is_refused_before_the_search(tmp_path):
    """Another suffix, a folder that is missing, a folder in place of the file, a video."""
    (tmp_path / "video.vtt").write_bytes(b"\0\0\0\x18ftyp")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SettingsError, match=r"\.ffmetadata, \.ffmeta, \.vtt"):
        check_chapter_file(tmp_path / "a.mp4")
    for name in ("none/a.vtt", "folder.json", "video.vtt"):
        with pytest.raises(FolderError, match="--chapters-file: cannot write"):
            check_chapter_file(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.json", "video.vtt"]
