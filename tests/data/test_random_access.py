"""Random access: which frames come from any time of a recording in a file, in all containers and with all faults."""

from __future__ import annotations

import io

import pytest

from data.errors import UndecodableVideo
from data.video.random_access import FileRecording
from data.video.sampling import FrameRequest
from tests.data.test_recording import of_container
from tests.sample_videos import lossy, recording, remuxed, sound, time_of

_TIMES = [1.0, 5.0, 9.5, 15.0, 19.7]
_CONTAINERS = (
    "mp4",
    "fragmented mp4",
    "matroska without a length",
    "matroska with one key frame",
    "webm",
    "mpeg-ts",
    "mpeg-ts with one key frame",
    "mpeg-ts of HEVC",
    "flv",
    "avi",
    "asf",
    "mpeg-ps",
    "raw h.264",
    "gif",
    "longer sound, mp4",
)


def opened(video: bytes) -> FileRecording:
    """Return random access to a video."""
    return FileRecording(io.BytesIO(video), 32, 95, lambda: False)


def found(video: FileRecording, times: list[float], back_s: float = float("inf")) -> list[tuple[float, float]]:
    """Return (time, time that the picture shows) of the frames at `times`, or up to `back_s` before each."""
    requests = [FrameRequest(time_s, time_s - back_s) for time_s in times]
    return [(frame.time_s, time_of(frame.jpeg)) for _, frame in video.frames(requests)]


@pytest.mark.parametrize("container", _CONTAINERS)
def test_frame_of_any_time_is_the_one_that_a_player_shows(container):
    """Within a tenth of a second if that is asked for; otherwise a key frame before it, with its own time."""
    video = opened(of_container(container))
    assert video.duration_s == pytest.approx(20, abs=0.15)
    exact = found(video, _TIMES, 0.05)
    assert [at for at, _ in exact] == pytest.approx(_TIMES, abs=0.11)
    assert [shown for _, shown in exact] == pytest.approx(_TIMES, abs=0.5)
    for wanted, (at, shown) in zip(_TIMES, found(video, _TIMES), strict=True):
        assert at <= wanted + 0.11
        assert shown == pytest.approx(at, abs=0.5)


def test_key_frame_costs_one_frame_and_an_exact_one_its_group():
    """Key frames every two seconds: a look at any of them decodes a frame, one right before a key frame 20."""
    video = opened(recording(key_every_s=2.0, options={}, codec="mpeg4"))
    before = video.decoded_frames
    assert [at for at, _ in found(video, [10.5])] == pytest.approx([9.5], abs=1.0)
    assert video.decoded_frames == before + 1
    found(video, [9.9], 0.05)
    assert video.decoded_frames <= before + 1 + 20


@pytest.mark.parametrize("container", ["mpegts", "matroska"])
@pytest.mark.parametrize("jump_s", [5.0, 30_000.0])
def test_jump_of_the_timestamps_keeps_the_times_of_a_player_or_counts(container, jump_s):
    """Frames are found on both sides of the jump, in ascending order."""
    video = opened(
        remuxed(recording(container), container, jump_at_s=10.0, jump_s=jump_s, avoid_negative_ts="disabled")
    )
    shown = [time for _, time in found(video, [1.0, 5.0, video.duration_s / 2, video.duration_s - 1], 0.05)]
    assert shown == sorted(shown)
    assert shown[0] < 2
    assert shown[-1] > 15


def test_slide_that_is_shown_for_a_minute_is_found_within_it():
    """A screen recorder writes a frame only when something changes; a player shows the latest one."""
    video = opened(recording("matroska", times=[0.0, 5.0, 15.0, 75.0, 76.0]))
    assert [at for at, _ in found(video, [10.0, 40.0, 70.0], 0.5)] == pytest.approx([5.0, 15.0, 15.0], abs=0.01)


@pytest.mark.parametrize("seconds", [0.1, 0.5])
@pytest.mark.parametrize("container", ["mp4", "mpegts", "matroska", "flv"])
def test_shortest_recording_has_a_frame(container, seconds):
    """One frame, and half a second."""
    video = opened(recording(container, seconds))
    assert video.duration_s == pytest.approx(seconds, abs=0.15)
    assert found(video, [seconds / 2])


@pytest.mark.parametrize("container", ["matroska", "flv", "mpegts", "fragmented"])
def test_recording_that_was_cut_off_ends_where_its_pictures_end(container):
    """As one that is being written: its length is that of what is there, whatever the header says."""
    kinds = {"fragmented": {"options": {"movflags": "frag_keyframe+empty_moov"}}}
    content = recording(**kinds.get(container, {"container": container}))
    video = opened(content[: len(content) * 6 // 10])
    assert 8 < video.duration_s < 16
    assert [at for at, _ in found(video, [2.0, 7.0], 0.05)] == pytest.approx([2.0, 7.0], abs=0.2)


def test_packet_loss_costs_hardly_any_time():
    """One percent of the packets of MPEG-TS: nine of ten times still have their frame."""
    video = opened(lossy(recording("mpegts", size=(320, 240)), 0.01, 1))
    times = found(video, [float(n) for n in range(20)])
    assert len(times) >= 18
    assert all(abs(at - shown) < 0.7 for at, shown in times)


def test_joined_files_are_read_in_order():
    """Timestamps start again at 0 in the middle, as after `cat a.ts b.ts`: the whole is as long as both."""
    video = opened(recording("mpegts", 10.0) * 2)
    assert video.duration_s == pytest.approx(20, abs=0.3)
    assert [shown for _, shown in found(video, [2.0, 8.0, 12.0, 18.0])] == pytest.approx([2, 8, 2, 8], abs=0.5)


def test_growing_file_is_read_up_to_its_length_at_the_beginning():
    """What a recorder adds while chapters are sought does not count."""
    content = recording("mpegts")
    file = io.BytesIO(content[: len(content) // 188 // 2 * 188])
    video = FileRecording(file, 32, 95, lambda: False)
    length_s = video.duration_s
    file.seek(0, io.SEEK_END)
    file.write(content[len(content) // 188 // 2 * 188 :])
    assert video.duration_s == length_s
    assert found(video, [1.0, 5.0], 0.05)


@pytest.mark.parametrize(
    "make_content",
    [
        lambda: b"",
        lambda: b"no video\n" * 99,
        lambda: sound("mp4"),
        lambda: sound("mpegts"),
        lambda: recording()[:3000],
    ],
    ids=["empty", "text", "sound only", "sound only, mpeg-ts", "no index"],
)
def test_file_without_pictures_is_undecodable(make_content):
    """The error says what the file is."""
    content = make_content()
    with pytest.raises(UndecodableVideo):
        opened(content)
