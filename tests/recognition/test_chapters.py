"""recognition.recognize --chapters: the real command and the library on files and on VODs of the stand-in.

The model calls a picture dark or bright. The sample recordings get brighter; at 8.4 of their 20 seconds dark ends.
"""

from __future__ import annotations

import io
import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from config import Settings
from data.errors import UndecodableVideo
from data.video.images import encode_jpeg
from data.video.sampling import FrameRequest, RecordedFrame
from model.inference.calibration import Calibration
from model.inference.screens import ScreenHead
from recognition import Recognizer
from recognition.decision.segmentation import Chapter
from tests.data.hls_server import grabber
from tests.pseudo_terminal import PseudoTerminal
from tests.recognition.commands import BRIGHT, DARK, command, environment, recognize
from tests.recognition.fakes import ColourClassifier
from tests.recognition.test_tables import limited_disk
from tests.sample_images import BLUE, GREEN, RED, flat
from tests.sample_videos import lossy, recording, sound
from tests.standin import Standin, World
from tests.standin.vods import PLAYLIST

CUT_S = 8.4
VOD = "https://www.twitch.tv/videos/1"


@cache
def video(container: str) -> bytes:
    """Return `recording` in this container, encoded once."""
    return recording(container)


def vod(folder: Path, edit: Callable[[str], str] = str, content: bytes = b"", **options: str) -> Path:
    """Write the playlist and the segments of a recording as VOD 1; return its folder. edit: changes the playlist."""
    target = folder / "1"
    target.mkdir(parents=True)
    hls = {"hls_time": "4", "hls_list_size": "0", "hls_playlist_type": "vod", **options}
    with (
        av.open(io.BytesIO(content or video("mpegts"))) as source,
        av.open(str(target / PLAYLIST), "w", format="hls", options=hls) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    (target / PLAYLIST).write_text(edit((target / PLAYLIST).read_text()))
    return folder


@contextmanager
def vod_server(folder: Path) -> Iterator[Standin]:
    """Yield a stand-in whose recordings lie in `folder`."""
    with Standin(World((), frozenset()), vods=folder) as standin:
        yield standin


def chapters(standin: Standin, model_path: Path, source: str, *arguments: str, **options: Any) -> list[dict[str, Any]]:
    """Return the chapters that the command prints as JSON, with a look every four seconds."""
    done = recognize(standin, model_path, "--chapters", source, "--json", "--look-every", "4", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["chapters"]


def assert_dark_then_bright(found: Sequence[dict[str, Any]], cut_s: float = CUT_S, end_s: float = 20.0) -> None:
    """Check that there are two chapters, of the two games, with the cut within a second."""
    assert [chapter["game"]["name"] for chapter in found] == [DARK.name, BRIGHT.name]
    assert found[0]["start_s"] == 0
    assert found[0]["end_s"] == found[1]["start_s"] == pytest.approx(cut_s, abs=1.0)
    assert found[1]["end_s"] == pytest.approx(end_s, abs=0.3)


# --- files ----------------------------------------------------------------------------------------


def test_chapters_of_a_file_are_printed_and_written(standin, model_path, tmp_path):
    """YouTube's list on stdout, which says on stderr why YouTube ignores it, and the four files."""
    (tmp_path / "a.mp4").write_bytes(video("mp4"))
    names = ["a.ffmetadata", "a.vtt", "a.txt", "a.json"]
    files = [word for name in names for word in ("--chapters-file", name)]
    done = recognize(standin, model_path, "--chapters", "a.mp4", "--look-every", "4", *files, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"0:00 {DARK.name}\n0:08 {BRIGHT.name}\n"
    assert done.stderr.count("at least 3 chapters") == 1
    assert (tmp_path / "a.txt").read_text() == done.stdout
    assert_dark_then_bright(json.loads((tmp_path / "a.json").read_text())["chapters"])
    assert "title=Extreme Tux Racer" in (tmp_path / "a.ffmetadata").read_text()
    assert (tmp_path / "a.vtt").read_text().count(" --> ") == 2


@pytest.mark.parametrize(
    "make_video",  # each worker of a run imports this module, and one runs its tests
    [
        lambda: video("mpegts"),
        lambda: recording("flv"),  # cannot seek
        lambda: recording("matroska", options={"live": "1"}),
        lambda: recording("matroska", times=[*range(8), *(8 + n / 10 for n in range(120))]),
        lambda: lossy(recording("mpegts", size=(320, 240)), 0.01, 2),
    ],
    ids=["mpeg-ts", "flv", "no length", "variable rate", "packet loss"],
)
def test_cut_is_found_in_any_file(standin, model_path, tmp_path, make_video):
    """Whatever the container has of an index, and whatever was lost."""
    (tmp_path / "a.video").write_bytes(make_video())
    assert_dark_then_bright(chapters(standin, model_path, "a.video", cwd=tmp_path))


def test_shortest_file_is_one_chapter(standin, model_path, tmp_path):
    """Half a second, with the looks of the default interval."""
    (tmp_path / "a.mp4").write_bytes(recording(seconds=0.5))
    done = recognize(standin, model_path, "--chapters", "a.mp4", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"0:00 {DARK.name}\n")


def test_sources_fail_alone_with_their_own_lines(standin, model_path, tmp_path):
    """Sound only, an empty file, a picture, a live channel and a missing file; the last one has its chapters."""
    (tmp_path / "sound.mp4").write_bytes(sound("mp4"))
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "still.jpg").write_bytes(encode_jpeg(flat(RED), 95))
    (tmp_path / "good.mp4").write_bytes(video("mp4"))
    bad = ["sound.mp4", "empty.mp4", "still.jpg", "bzflag_ctf", "none.mp4"]
    done = recognize(standin, model_path, "--chapters", "--json", *bad, "good.mp4", cwd=tmp_path)
    *failures, good = [json.loads(line) for line in done.stdout.splitlines()]
    assert [failure["source"] for failure in failures] == bad
    assert [failure["exit_code"] for failure in failures] == [6, 6, 6, 5, 5]
    assert "is a live stream; name a recording" in failures[3]["message"]
    assert good["source"] == "good.mp4"
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_chapters_file_that_does_not_fit_is_refused_at_once(standin, model_path, tmp_path):
    """An unknown suffix, several recordings for one file, a missing folder: before anything is read."""
    for arguments, code in (
        (["a.mp4", "--chapters-file", "a.srt"], 2),
        (["a.mp4", "b.mp4", "--chapters-file", "a.vtt"], 2),
        (["a.mp4", "--chapters-file", "none/a.vtt"], 1),
    ):
        done = recognize(standin, model_path, "--chapters", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("error: --chapters-file:")
    assert not [*tmp_path.iterdir()]


def test_full_disk_costs_the_file_only(standin, model_path, tmp_path):
    """The list is printed, the earlier file stays, no other is left, and one line names the option."""
    (tmp_path / "a.mp4").write_bytes(video("mp4"))
    (tmp_path / "a.json").write_text("old")
    words = ["-q", "--chapters", "a.mp4", "--look-every", "4", "--chapters-file", "a.json"]
    with limited_disk(250):
        done = recognize(standin, model_path, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, f"0:00 {DARK.name}")
    assert done.stderr.startswith("error: --chapters-file: cannot write a.json: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.mp4"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_terminal_shows_looks_and_then_the_list_alone(standin, model_path, tmp_path):
    """The line with the number of looks disappears."""
    (tmp_path / "a.mp4").write_bytes(video("mp4"))
    words = command("--chapters", str(tmp_path / "a.mp4"), "--look-every", "4")
    with PseudoTerminal(words, environment(standin, model_path), 80, 24) as terminal:
        lines = [line for line in terminal.finish() if line and not line.startswith("warning: YouTube")]
    assert re.search(rb"[0-9]+/[0-9]+.* looks", terminal.written)
    assert lines[:2] == [f"0:00 {DARK.name}", f"0:08 {BRIGHT.name}"]
    assert terminal.process.returncode == 0


# --- VODs -----------------------------------------------------------------------------------------


def _without_fourth(playlist: str) -> str:
    lines = playlist.splitlines()
    at = next(index for index, line in enumerate(lines) if line.endswith("3.ts"))
    return "\n".join([*lines[:at], "missing.ts", *lines[at + 1 :], ""])


@pytest.mark.parametrize(
    ("edit", "options"),
    [
        (str, {}),
        (str, {"hls_segment_type": "fmp4"}),
        (str, {"hls_flags": "single_file"}),  # byte ranges
        (lambda text: text.replace("#EXTINF", "#EXT-X-DISCONTINUITY\n#EXTINF"), {}),
        (lambda text: text.replace("#EXT-X-ENDLIST\n", ""), {}),  # of a broadcast that still runs
        (lambda text: text.replace("index-dvr0.ts", "index-dvr0-unmuted.ts"), {}),
    ],
    ids=["mpeg-ts", "fmp4", "byte ranges", "discontinuities", "still live", "muted"],
)
def test_cut_is_found_in_a_vod(model_path, tmp_path, edit, options):
    """Segments of four seconds; the time in the address of the VOD changes nothing."""
    folder = vod(tmp_path, edit, **options)
    if "unmuted" in edit("index-dvr0.ts"):
        (folder / "1" / "index-dvr0.ts").rename(folder / "1" / "index-dvr0-muted.ts")
    with vod_server(folder) as standin:
        assert_dark_then_bright(chapters(standin, model_path, f"{VOD}?t=0h0m6s"))


def test_missing_segments_cost_their_own_time_only(model_path, tmp_path):
    """One that the server has not, and one that the playlist calls a gap."""
    with vod_server(vod(tmp_path / "a", _without_fourth)) as standin:
        assert_dark_then_bright(chapters(standin, model_path, VOD))
    gap = vod(tmp_path / "b", lambda text: text.replace("#EXTINF", "#EXT-X-GAP\n#EXTINF", 1))
    with vod_server(gap) as standin:
        assert_dark_then_bright(chapters(standin, model_path, VOD))


def test_vod_without_any_segment_fails(model_path, tmp_path):
    """All are gone: exit code 7, and a line that names the VOD and says why."""
    folder = vod(tmp_path)
    for file in (folder / "1").glob("*.ts"):
        file.unlink()
    with vod_server(folder) as standin:
        done = recognize(standin, model_path, "--chapters", VOD)
    assert done.returncode == 7
    assert done.stderr == f"error: {VOD}: no segment could be decoded (the video server returned HTTP 404)\n"


def test_vod_is_read_in_ranges_and_not_twice(model_path, tmp_path):
    """Of two big segments: each look but the first ones needs bytes within, which are sent once."""
    noise = recording("mpegts", size=(640, 480), options={}, codec="mpeg2video", key_every_s=0.2)
    folder = vod(tmp_path, content=noise, hls_time="10")
    size = sum(file.stat().st_size for file in (folder / "1").glob("*.ts"))
    with vod_server(folder) as standin:
        assert_dark_then_bright(chapters(standin, model_path, VOD))
        sent = sum(request.bytes for request in standin.requests if request.path.endswith(".ts"))
    assert sent < 1.3 * size


def test_end_of_a_segment_is_read_again_from_what_was_kept(tmp_path):
    """Three frames at the end of the first segment, in turn: the last two need no byte, and no range beyond the end."""
    counts = []
    with (
        vod_server(vod(tmp_path)) as standin,
        grabber(standin.url) as open_grabber,
        open_grabber.open_recording(VOD) as opened,
    ):
        for time_s in (3.6, 3.7, 3.8):
            ((_, frame),) = opened.frames([FrameRequest(time_s, time_s - 0.05)])
            assert frame.time_s == pytest.approx(time_s, abs=0.11)
            counts.append(len(standin.requests))
    assert counts[1] == counts[2]
    assert counts[2] - counts[0] <= 1
    assert {request.status for request in standin.requests} <= {200, 206, 416}


def test_end_of_a_segment_that_is_kept_whole_is_a_frame(tmp_path):
    """Its length was not stated yet, so the server is asked for more once: its 416 says that there is none."""
    with (
        vod_server(vod(tmp_path)) as standin,
        grabber(standin.url) as open_grabber,
        open_grabber.open_recording(VOD) as opened,
    ):
        found = [frame.time_s for time_s in (3.5, 4.78) for _, frame in opened.frames([FrameRequest(time_s, time_s)])]
    assert found == pytest.approx([3.5, 4.7], abs=0.05)
    assert standin.requests[-1].status == 416


# --- the search -----------------------------------------------------------------------------------


class PaintedRecording:
    """A recording whose picture at each time has the colour that `colour_at` returns; None: it cannot be decoded."""

    decoded_frames = 0

    def __init__(self, duration_s: float, colour_at: Callable[[float], tuple[int, int, int] | None]) -> None:
        self.duration_s, self._colour_at = duration_s, colour_at
        self.times: list[float] = []

    def frames(self, requests: Sequence[FrameRequest]) -> Iterator[tuple[FrameRequest, RecordedFrame]]:
        for request in requests:
            self.times.append(request.time_s)
            if (colour := self._colour_at(request.time_s)) is not None:
                yield request, RecordedFrame(request.time_s, encode_jpeg(flat(colour, 16, 16), 95))


class PaintedGrabber:
    """A grabber of one painted recording."""

    def __init__(self, recording: PaintedRecording) -> None:
        self._recording = recording

    frames = None

    @contextmanager
    def open_recording(self, source: str) -> Iterator[PaintedRecording]:
        yield self._recording

    def close(self) -> None:
        """Do nothing."""


def search(painted: PaintedRecording, screens: ScreenHead | None = None, **options: Any) -> list[Chapter]:
    """Return the chapters by a model that calls black unknown."""
    calibration = Calibration(score_name="max_probability", threshold=0.5, stream_threshold=0.5, screens=screens)
    model: Any = ColourClassifier(9.0, calibration)
    grabber: Any = PaintedGrabber(painted)
    return Recognizer(Settings(), grabber, lambda: model, stop=threading.Event()).chapters("x", **options)


def names(found: Sequence[Chapter]) -> list[str]:
    """Return the first word of each chapter's title, without its punctuation."""
    return [chapter.title.split()[0].strip(":") for chapter in found]


BLACK = (0, 0, 0)
HOUR_S = 3600.0


def test_two_visits_are_found_within_a_second():
    """One of 40 seconds, with at most two of the looks, and one at the end; from few looks."""

    def colour_at(time_s: float) -> tuple[int, int, int]:
        return GREEN if 1000.3 <= time_s < 1040.3 else BLUE if time_s >= 3400.7 else RED

    painted = PaintedRecording(HOUR_S, colour_at)
    found = search(painted)
    assert names(found) == ["Red", "Green", "Red", "Bleu"]
    assert [chapter.start_s for chapter in found] == pytest.approx([0, 1000.3, 1040.3, 3400.7], abs=0.5)
    assert found[-1].end_s == HOUR_S
    assert len(painted.times) < 120 + 40


def test_wrong_look_makes_no_chapter():
    """A frame of another game at one of the looks, and at both ends: each look beside it shows the game."""
    wrong = {15.0, 1515.0, 3585.0}
    found = search(PaintedRecording(HOUR_S, lambda time_s: GREEN if time_s in wrong else RED))
    assert names(found) == ["Red"]
    assert (found[0].start_s, found[0].end_s) == (0, HOUR_S)


def test_wrong_frame_at_a_cut_does_not_move_it():
    """The first frame that the bisection looks at shows the other game; later looks outvote it."""
    found = search(PaintedRecording(HOUR_S, lambda time_s: RED if time_s < 1813.0 and time_s != 1800.0 else GREEN))
    assert [chapter.start_s for chapter in found] == pytest.approx([0, 1813.0], abs=0.6)


def test_menu_between_two_games_is_no_chapter():
    """A minute without a known game, and a black second within a game: the cut lies in the menu."""

    def colour_at(time_s: float) -> tuple[int, int, int]:
        return BLACK if 1800 <= time_s < 1860 or 900 <= time_s < 920 else RED if time_s < 1800 else GREEN

    found = search(PaintedRecording(HOUR_S, colour_at))
    assert names(found) == ["Red", "Green"]
    assert 1799 <= found[1].start_s <= 1861


def test_long_time_without_a_known_game_is_a_chapter():
    """Twenty minutes; its confidence is that of no game."""
    found = search(PaintedRecording(HOUR_S, lambda time_s: BLACK if 1200 <= time_s < 2400 else RED))
    assert names(found) == ["Red", "Unknown", "Red"]
    assert [chapter.start_s for chapter in found] == pytest.approx([0, 1200, 2400], abs=0.6)
    assert [chapter.known for chapter in found] == [True, False, True]


def test_menu_of_five_minutes_is_a_chapter_if_the_model_tells_menus():
    """Its features, the logits of the three games, have their largest sum in black. Without that head it is a break."""

    def colour_at(time_s: float) -> tuple[int, int, int]:
        return BLACK if 1200 <= time_s < 1500 else RED

    menus = ScreenHead(np.eye(1, 4).repeat(3, axis=0), np.array([-13.0, -1.0, -1.0, -1.0]))  # menu: the sum above 13
    assert names(search(PaintedRecording(HOUR_S, colour_at), menus)) == ["Red", "Menu", "Red"]
    assert names(search(PaintedRecording(HOUR_S, colour_at))) == ["Red"]


def test_noise_gives_chapters_in_order():
    """Frames of random colours: whatever is found has no gap, no overlap, no empty chapter and no two of the same."""
    rng = random.Random(1)
    for _ in range(3):
        found = search(PaintedRecording(1200.0, lambda _: rng.choice([RED, GREEN, BLUE, BLACK])))
        times = [0.0, *(chapter.end_s for chapter in found)]
        assert [chapter.start_s for chapter in found] == times[:-1]
        assert times == sorted(set(times))
        assert times[-1] == 1200.0
        assert all(before.title != after.title for before, after in pairwise(found))


def test_damage_is_passed_over(caplog):
    """A third of all places cannot be decoded, with the cut in one of them."""
    found = search(
        PaintedRecording(HOUR_S, lambda time_s: None if time_s % 30 < 10 else RED if time_s < 1805 else GREEN)
    )
    assert names(found) == ["Red", "Green"]
    assert found[1].start_s == pytest.approx(1805, abs=6)
    assert not caplog.messages


def test_recording_that_breaks_off_is_warned_of(caplog):
    """Its server fails from the middle on: the chapters there are a guess."""
    search(PaintedRecording(HOUR_S, lambda time_s: RED if time_s < HOUR_S / 2 else None))
    assert caplog.messages == ["60 of the 120 looks found no picture; chapters may be missing"]


def test_looks_are_counted_while_they_are_taken():
    """Each look is reported, with the number that is planned so far, which grows by those that locate the cut."""
    counts: list[tuple[int, int]] = []
    painted = PaintedRecording(HOUR_S, lambda time_s: RED if time_s < 1805 else GREEN)
    search(painted, on_look=lambda *count: counts.append(count))
    assert [done for done, _ in counts] == [*range(1, len(painted.times) + 1)]
    assert (counts[0], counts[-1]) == ((1, 120), (len(painted.times),) * 2)


def test_recording_without_any_frame_is_undecodable():
    """Every place is damaged."""
    with pytest.raises(UndecodableVideo, match="no picture"):
        search(PaintedRecording(HOUR_S, lambda _: None))


def test_recording_of_a_year_costs_a_bounded_number_of_looks():
    """The looks are further apart then; so are those of an interval of zero."""
    painted = PaintedRecording(86400.0 * 365, lambda _: RED)
    painted.frames = lambda requests: iter([] if len(requests) > 6000 else [(r, _RED) for r in requests[:5]])
    assert names(search(painted)) == ["Red"]
    assert names(search(painted, look_every_s=0.0)) == ["Red"]


_RED = RecordedFrame(1.0, encode_jpeg(flat(RED, 16, 16), 95))
