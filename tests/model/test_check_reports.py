"""Tables, JSON and the page of a check."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import pytest

from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.storage.journal import Change, FileMove
from data.video.images import decode_jpeg, encode_jpeg
from model.cleaning.check_file import LoginNames
from model.cleaning.effect import Effect
from model.cleaning.findings import MENU, CheckResult
from model.cleaning.selection import SuspectFilter, to_moves
from model.reports import check_page, check_tables
from tests.model.conftest import RED, picture
from tests.model.findings import CHESS, GAME_NAMES, GO, frame, invented, invented_frames, stream

RESULT = invented(invented_frames())
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


def read_any(_frame: StoredFrame) -> bytes:
    """Return a picture of 240 x 240 pixels."""
    return encode_jpeg(picture(RED, 1, 240), 90)


def test_tables_show_suspect_streams_then_frames_of_others():
    """Both tables are ranked; a frame of a suspect stream is not repeated."""
    assert check_tables.summary_line(RESULT) == (
        "Checked 12 frames of 3 streams. Suspect: 1 stream with 4 frames, and 2 frames of other streams."
    )
    assert check_tables.stream_rows(RESULT, GAME_NAMES)[1:] == [
        ["ann", "Chess", "4", "95.0%", "other game", "Go", "looks like another game"]
    ]
    assert [row[0] for row in check_tables.frame_rows(RESULT, GAME_NAMES)] == ["frame", "7/ben-2.jpg", "7/cat-3.jpg"]


def test_tables_without_suspects_are_empty():
    """There are no headers without rows."""
    clean = CheckResult((stream(CHESS, "ann", 1),), (frame(StoredFrame(7, "ann", 1)),))
    assert check_tables.stream_rows(clean, {}) == check_tables.frame_rows(clean, {}) == []


@pytest.mark.parametrize(("agreement", "lines"), [(None, 0), (0.95, 0), (0.6, 1)])
def test_trust_lines_warn_where_games_look_alike(agreement: float | None, lines: int):
    """A check whose features tell the games apart poorly says so."""
    result = CheckResult((stream(CHESS, "ann", 1),), (frame(StoredFrame(7, "ann", 1)),), agreement)
    assert len(check_tables.trust_lines(result)) == lines


def test_tables_with_many_rows_say_how_many_more():
    """A terminal shows the worst; the last line counts the others."""
    many = tuple(frame(StoredFrame(7, "ann", n), 0.9, MENU) for n in range(1, 1_101))
    rows = check_tables.frame_rows(CheckResult((stream(CHESS, "ann", 1_100),), many), GAME_NAMES)
    assert len(rows) == 17
    assert rows[-1][0] == "and 1,085 more"


def test_render_fits_the_terminal_and_holds_no_escape_code():
    """The last column is cut at the terminal's width; control characters are replaced."""
    text = check_tables.render([["stream", "reason"], ["ann", HOSTILE + "x" * 200]], 60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.isprintable() or not re.search("[\x1b\u202e]", text)


def test_move_rows_count_by_stream_and_target():
    """The largest group comes first."""
    rows = check_tables.move_rows(to_moves(SuspectFilter().choose(RESULT), relabel=True), GAME_NAMES)
    assert rows[1] == ["ann", "Chess", "4", "Go", "other game: looks like another game"]
    assert [row[3] for row in rows[2:]] == ["trash", "trash"]


def test_change_rows_tell_what_is_undone_and_unfinished():
    """A change that another one undoes is marked."""
    move = FileMove(StoredFrame(7, "ann", 1), "7/ann-1.jpg", ".trash/1/7/ann-1.jpg")
    first = Change("1", "check", "", (move,), is_done=True)
    changes = [first, Change("2", "undo: check", "1", (), is_done=True), replace(first, id="3", is_done=False)]
    assert [row[3] for row in check_tables.change_rows(changes)] == ["state", "undone", "done", "unfinished"]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.03, "Cleaning helps"), (-0.01, 0.03, "No gain"), (-0.03, -0.01, "Cleaning harms")],
)
def test_effect_lines_say_plainly_whether_it_is_a_gain(low: float, high: float, verdict: str):
    """Only an interval above 0 counts as a gain."""
    numbers, line = check_tables.effect_lines(Effect(31, 0.912, 0.92, 0.008, low, high))
    assert "31 unsuspected streamers" in numbers
    assert "91.2%" in numbers
    assert "92.0%" in numbers
    assert "+0.8 points" in numbers
    assert verdict in line


def test_as_json_has_all_streams_the_suspect_frames_and_pseudonyms():
    """Scripts find every stream; no login is in the text."""
    text = check_tables.as_json(RESULT, None, "/data/frames", GAME_NAMES, LoginNames(lambda login: f"s_{login[0]}"))
    found = json.loads(text)
    assert (found["stream_count"], found["frame_count"], found["suspect_streams"], found["suspect_frames"]) == (
        3,
        12,
        1,
        6,
    )
    assert [one["login"] for one in found["streams"]] == ["s_a", "s_b", "s_c"]
    assert found["streams"][0]["suggested"] == {"id": 8, "name": "Go"}
    assert found["frames"][-1]["path"] == "7/s_c-3.jpg"
    assert found["effect"] is None
    assert not re.search(r"\b(ann|ben|cat)\b", text)


def test_page_shows_a_picture_of_each_suspect_and_no_login():
    """Streams come first; pictures are small JPEGs within the file; nothing is loaded from elsewhere."""
    page = check_page.render(RESULT, ["a line"], GAME_NAMES, read_any, LoginNames(lambda login: f"s_{login[0]}"))
    pictures = re.findall(r'src="data:image/jpeg;base64,([A-Za-z0-9+/=]+)"', page)
    assert len(pictures) == 6
    assert page.index("Chess · s_a") < page.index("Chess · s_b") < page.index("Chess · s_c")
    assert "a line" in page
    assert "same picture as 7/s_b-3.jpg" in page
    assert not re.search(r"\b(ann|ben|cat)\b|https?://|<script", page)


def test_page_escapes_names_of_games_and_reasons():
    """Names come from the network."""
    evil = Game(8, HOSTILE)
    own = frame(StoredFrame(7, "ann", 1), 0.9, "menu", HOSTILE, evil)
    result = CheckResult((stream(Game(7, HOSTILE), "ann", 1, 0.9, evil),), (own,))
    page = check_page.render(result, [HOSTILE], {7: HOSTILE}, read_any)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_page_is_bounded_and_says_what_is_left_out():
    """A page has at most 500 pictures, 8 of a stream; files that are gone leave an empty place."""

    def gone(_frame: StoredFrame) -> bytes:
        raise FolderError("gone")

    frames = [frame(StoredFrame(7, f"s{index % 80}", 1 + index // 80), 0.9, MENU) for index in range(80 * 16)]
    streams = tuple(stream(CHESS, f"s{index}", 16, 0.9, GO) for index in range(80))
    page = check_page.render(CheckResult(streams, tuple(frames)), [], GAME_NAMES, gone)
    assert page.count("<figcaption") == 500
    assert page.count("and 8 more") == 62
    assert "17 streams less suspicious are not on this page" in page
    assert "base64" not in page


def test_page_pictures_are_small():
    """A page of 500 pictures stays below 5 MB."""
    page = check_page.render(RESULT, [], GAME_NAMES, read_any)
    jpeg = base64.b64decode(re.findall(r"base64,([^\"]+)", page)[0])
    assert decode_jpeg(jpeg).shape == (120, 120, 3)
    assert len(jpeg) < 8_000
