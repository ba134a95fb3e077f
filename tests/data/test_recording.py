"""Recordings: which frames come of files in all containers, with the faults that recorders, phones and disks give them.

Frames of `recording` tell their time, so each test says from where in the video the frames came.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
import pytest

from data.errors import StreamUnavailable, UndecodableVideo
from data.video.images import decode_jpeg
from data.video.recording import sample_recording
from tests.sample_images import BLUE, GREEN, RED, flat, segment, split_init_section
from tests.sample_videos import colored, lossy, recording, remuxed, sound, time_of, two_tracks

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
# Of each container that a recorder, a phone or a converter writes: the arguments of `recording`.
CONTAINERS: dict[str, dict] = {
    "mp4": {},
    "fragmented mp4": {"options": FRAGMENTED},
    "mov": {"container": "mov"},
    "3gp": {"container": "3gp"},
    "matroska": {"container": "matroska"},
    "matroska without a length": {"container": "matroska", "options": {"live": "1"}},
    "matroska with one key frame": {"container": "matroska", "key_every_s": 100.0},
    "webm": {"container": "webm", "codec": "libvpx"},
    "mpeg-ts": {"container": "mpegts"},
    "mpeg-ts with one key frame": {"container": "mpegts", "key_every_s": 100.0},
    "mpeg-ts of HEVC": {"container": "mpegts", "codec": "libx265"},
    "flv": {"container": "flv"},
    "avi": {"container": "avi", "codec": "mpeg4"},
    "asf": {"container": "asf", "codec": "wmv2"},
    "mpeg-ps": {"container": "mpeg", "codec": "mpeg2video"},
    "vob": {"container": "vob", "codec": "mpeg2video"},
    "raw mpeg-2": {"container": "mpeg2video", "codec": "mpeg2video"},
    "raw h.264": {"container": "h264"},
    "raw hevc": {"container": "hevc", "codec": "libx265"},
    "raw mjpeg": {"container": "mjpeg", "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "ivf": {"container": "ivf", "codec": "libvpx"},
    "gif": {"container": "gif", "codec": "gif", "pix_fmt": "rgb8"},
    "animated png": {"container": "apng", "codec": "apng", "pix_fmt": "rgb24"},
    "yuv4mpeg": {"container": "yuv4mpegpipe", "codec": "wrapped_avframe"},
    "nut": {"container": "nut", "codec": "mpeg4"},
    "longer sound, mp4": {"sound_s": 60.0},
    "longer sound, matroska": {"container": "matroska", "sound_s": 60.0},
    "longer sound, mpeg-ts": {"container": "mpegts", "sound_s": 60.0},
    "longer sound, flv": {"container": "flv", "sound_s": 60.0},
    "longer sound, avi": {"container": "avi", "codec": "mpeg4", "sound_s": 60.0},
}
SPREAD = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]


@cache
def of_container(name: str) -> bytes:
    """Return a recording in a container of CONTAINERS."""
    return recording(**CONTAINERS[name])


def times(video: bytes, max_frames: int | None = 10, interval_s: float = 0.0, **options) -> list[float]:
    """Return the times of the frames that are taken of a recording."""
    options = {"spread_first": False, **options}
    return [time_of(jpeg) for jpeg in sample_recording(io.BytesIO(video), interval_s, max_frames, 32, 95, **options)]


def images(video: bytes, max_frames: int = 3, img_size: int = 32) -> list[np.ndarray]:
    """Return the frames of a recording as uint8 RGB (img_size, img_size, 3)."""
    jpegs = sample_recording(io.BytesIO(video), 0, max_frames, img_size, 95, spread_first=False)
    return [decode_jpeg(jpeg) for jpeg in jpegs]


@pytest.mark.parametrize("container", CONTAINERS)
def test_recording_in_any_container_gives_frames_of_all_its_length(container):
    """Ten frames, at the tenths of the picture's length, forwards and spread first."""
    video = of_container(container)
    # HEVC has open groups: frames that are shown before a key frame, but need the group before it, are left out.
    tolerance = 0.6 if CONTAINERS[container].get("codec") == "libx265" else 0.35
    assert times(video) == pytest.approx(SPREAD, abs=tolerance)
    spread_first = times(video, spread_first=True)
    assert spread_first[:4] == pytest.approx([0.0, 16.0, 8.0, 4.0], abs=tolerance)
    assert sorted(spread_first) == pytest.approx(SPREAD, abs=tolerance)


@pytest.mark.parametrize("container", CONTAINERS)
def test_large_recording_is_read_by_seeks_with_the_same_frames(container):
    """With `read_all_bytes` 0 every file counts as large; one that cannot seek is read instead."""
    assert times(of_container(container), read_all_bytes=0) == pytest.approx(SPREAD, abs=0.7)


@pytest.mark.parametrize("read_all_bytes", [0, 1 << 30])
def test_frame_that_is_shown_for_long_comes_once(read_all_bytes):
    """Two frames with four times between them: by seeks, and by reading."""
    video = recording("matroska", times=[*(n / 10 for n in range(40)), *(n / 10 for n in range(120, 200))])
    found = times(video, 20, read_all_bytes=read_all_bytes)
    assert len(set(found)) == len(found)
    assert found[-1] == pytest.approx(19.0, abs=0.5)


@pytest.mark.parametrize("container", ["mpegts", "matroska", "flv", "mp4"])
def test_interval_takes_frames_from_the_first_to_the_last(container):
    """A frame every five seconds, and every half second, without a limit."""
    video = recording(container)
    assert times(video, None, 5.0) == pytest.approx([0.0, 5.0, 10.0, 15.0], abs=0.3)
    assert times(video, None, 0.5) == pytest.approx(np.arange(0, 20, 0.5), abs=0.3)
    assert times(video, 3, 0.5) == pytest.approx([0.0, 0.5, 1.0], abs=0.3)


def test_mpegts_gives_the_pictures_of_the_same_video_in_mp4():
    """Its first group of pictures included, which a seek passes over; byte for byte."""
    segment_ = recording("mpegts", 2.0, key_every_s=2.0, sound_s=2.0)
    for options in ({}, {"read_all_bytes": 0}):
        ours, theirs = (
            list(sample_recording(io.BytesIO(video), 0, 15, 32, 95, spread_first=False, **options))
            for video in (segment_, remuxed(segment_, "mp4"))
        )
        assert len(ours) == 15
        assert ours == theirs


@pytest.mark.parametrize("container", ["matroska", "flv", "mpegts", "avi", "fragmented", "index first", "mpeg"])
@pytest.mark.parametrize("options", [{}, {"read_all_bytes": 0}], ids=["read", "seek"])
def test_recording_that_was_cut_off_is_spread_over_what_is_there(container, options, tmp_path):
    """As after a full disk or a killed recorder, also where the header states the whole length."""
    kinds = {"fragmented": {"options": FRAGMENTED}, "avi": {"container": "avi", "codec": "mpeg4"}}
    kinds |= {"mpeg": {"container": "mpeg", "codec": "mpeg2video"}, "index first": {}}
    video = recording(**kinds.get(container, {"container": container}))
    if container == "index first":
        video = _index_first(video)
    found = times(video[: len(video) * 6 // 10], **options)
    assert len(found) >= 8
    assert found[0] == pytest.approx(0.0, abs=0.3)
    assert len({round(time_s, 1) for time_s in found}) == len(found)
    if not options:  # by seeks, the first frames are those of the header's length
        assert max(np.diff(found)) < 2.5 * min(np.diff(found)) + 0.5


def _index_first(mp4: bytes) -> bytes:
    """Return an MP4 with the box moov before mdat, as servers want it, with its offsets put right."""
    moov = mp4.index(b"moov") - 4
    mdat = mp4.index(b"mdat") - 4
    index = bytearray(mp4[moov:])
    at = index.index(b"stco") + 8  # version and flags, number of entries, entries: ISO 14496-12, 8.7.5
    for place in range(at + 4, at + 4 + 4 * int.from_bytes(index[at : at + 4], "big"), 4):
        offset = int.from_bytes(index[place : place + 4], "big") + len(index)
        index[place : place + 4] = offset.to_bytes(4, "big")
    return mp4[:mdat] + bytes(index) + mp4[mdat:moov]


@pytest.mark.parametrize("jump_s", [60.0, 30_000.0])
@pytest.mark.parametrize("container", ["mpegts", "matroska"])
def test_jump_of_the_timestamps_is_hardly_playing_time(container, jump_s):
    """As after a reconnect of the recorder: half of the frames are from before the jump."""
    video = remuxed(recording(container), container, jump_at_s=10.0, jump_s=jump_s, avoid_negative_ts="disabled")
    assert times(video) == pytest.approx(SPREAD, abs=1.5)
    assert times(video, None, 4.0) == pytest.approx([0.0, 4.0, 8.0, 10.0, 14.0, 18.0], abs=0.3)


def test_slides_that_are_shown_for_half_a_minute_are_all_seen():
    """A screen recorder writes a frame only when something changes."""
    slides = recording("matroska", times=[number * 30.0 for number in range(20)])
    assert len(times(slides, None, 2.0)) == 20
    assert len(times(slides, 10)) == 10


def test_joined_recordings_are_one_recording():
    """Timestamps start again at 0 in the middle, as after `cat a.ts b.ts`."""
    assert times(recording("mpegts", 10.0) * 2, 4) == pytest.approx([0.0, 5.0, 0.0, 5.0], abs=0.3)


def test_packet_loss_costs_no_more_than_the_frames_it_hits():
    """One percent of the packets, and every frame without a timestamp, of recordings and every half second of them."""
    video = recording("mpegts", size=(320, 240))
    for seed in range(5):
        assert times(lossy(video, 0.01, seed)) == pytest.approx(SPREAD, abs=0.7)
    assert len(times(lossy(video, 0.01, 1), None, 0.5)) == pytest.approx(40, abs=3)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([5 + number / 10 for number in range(150)], [5.0, 8.0, 11.0, 14.0, 17.0]),
        ([*range(10), *(10 + number / 10 for number in range(100))], [0.0, 4.0, 8.0, 12.0, 16.0]),
        ([0.0], [0.0]),
        ([0.0, 7.0], [0.0, 7.0]),
    ],
    ids=["begins late", "variable rate", "one frame", "two frames"],
)
@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_frames_at_uneven_times_are_spread_by_time(container, seconds, expected):
    """Each frame comes once only, however long it is shown."""
    video = recording(container, times=seconds, sound_s=20.0)
    assert times(video, 5) == pytest.approx(expected, abs=1.2 if len(expected) > 2 else 0.3)


def test_length_of_zero_in_the_header_is_measured():
    """An FLV whose recorder was killed before it wrote the duration."""
    video = bytearray(recording("flv"))
    at = video.index(b"duration") + 9
    video[at : at + 8] = bytes(8)
    assert times(bytes(video)) == pytest.approx(SPREAD, abs=0.3)
    assert times(bytes(video), read_all_bytes=0) == pytest.approx(SPREAD, abs=0.3)


# --- what a player shows --------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (False, True)], ids=["", "hflip", "vflip"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_display_matrix_turns_and_mirrors_the_picture(degrees, mirrored, container):
    """Counterclockwise by quarters, then mirrored, as phones say how they were held."""
    image = np.vstack([np.hstack([flat(RED), flat(BLUE)]), np.hstack([flat(GREEN), flat((90, 90, 90))])])
    expected = np.rot90(images(colored(image, container), 1)[0], degrees // 90)
    expected = np.fliplr(expected) if mirrored[0] else np.flipud(expected) if mirrored[1] else expected
    shown = images(colored(image, container, rotation=(degrees, *mirrored)), 1)[0]
    assert np.abs(shown.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("size", [(2, 2), (34, 18)])
@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv422p10le"),
        ("libx264rgb", "rgb24"),
        ("ffv1", "bgra"),
        ("ffv1", "yuva420p"),
        ("ffv1", "rgb48le"),
        ("ffv1", "gray16le"),
        ("mjpeg", "yuvj444p"),
    ],
)
def test_pixel_formats_keep_the_brightness(codec, pix_fmt, size):
    """Ten bits, RGB, alpha, 4:4:4, and pictures of two pixels."""
    found = times(recording("matroska", 2.0, codec=codec, pix_fmt=pix_fmt, size=size), 2)
    assert found == pytest.approx([0.0, 1.0], abs=0.3)


def test_frames_of_another_size_in_mid_stream_are_taken():
    """A streamer changes the resolution: both parts give frames."""
    video = segment(*[flat(RED)] * 20) + segment(*[flat(GREEN, 320, 180)] * 20)
    found = [image.mean((0, 1)) for image in images(video, 4)]
    assert [int(np.argmax(color)) for color in found] == [0, 0, 1, 1]


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_largest_of_several_tracks_is_taken(container):
    """Not a second camera's small picture, and in MP4 not a cover, however large it is."""
    small, large = flat(RED, 64, 48), flat(GREEN, 128, 96)
    for tracks in ((small, large), (large, small)):
        shown = images(two_tracks(*tracks, container), 1)[0].mean((0, 1))
        assert int(np.argmax(shown)) == 1
    if container == "mp4":
        assert int(np.argmax(images(two_tracks(large, small, first_frames=1), 1)[0].mean((0, 1)))) == 0


def test_metadata_that_is_not_utf8_does_not_matter():
    """Titles in Shift JIS, in each container that keeps them."""
    for container, options in [("mp4", {}), ("mp4", FRAGMENTED), ("avi", {}), ("matroska", {}), ("mpegts", {})]:
        assert np.abs(images(colored(flat(RED), container, **options), 1)[0] - np.array(RED)).max() < 12


# --- no picture -----------------------------------------------------------------------------------


def _encrypted() -> bytes:
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    return recording("mp4", 2.0, options=scheme)


def _lying_header() -> bytes:
    """Return an MP4 of 4128 x 2400 pixels whose header says 64 x 48."""
    video = colored(flat(RED, 4128, 2400), frames=1)
    return video.replace((4128).to_bytes(2, "big") + (2400).to_bytes(2, "big"), b"\x00\x40\x00\x30")


NO_PICTURE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "one byte": (lambda: b"x", "not a video of a known format"),
    "text": (lambda: b"hello world\n" * 500, "not a video of a known format"),
    "playlist": (lambda: b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "not a video of a known format"),
    "list of files": (lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video of a known format"),
    "zeros": (lambda: bytes(100_000), "not a video of a known format"),
    "noise": (lambda: random.Random(1).randbytes(100_000), "not a video of a known format|no picture"),
    "subtitles": (lambda: b"1\n00:00:00,000 --> 00:00:02,000\nhi\n\n" * 20, "no video, only subtitle"),
    "sound": (lambda: sound("mp4"), "no video, only audio"),
    "sound in mpeg-ts": (lambda: sound("mpegts"), "no video, only audio"),
    "sound in wav": (lambda: sound("wav", "pcm_s16le"), "no video, only audio"),
    "sound with a cover": (lambda: sound("mp4", cover=flat(RED)), "no video, only audio"),
    "moov missing": (lambda: recording()[:3000], "its index .* is missing"),
    "segment without its init section": (lambda: split_init_section(recording(options=FRAGMENTED))[1], "moov"),
    "encrypted": (_encrypted, "the video is encrypted"),
    "no key frame": (lambda: segment(flat(RED), flat(GREEN))[:400] * 2, "no picture|no video|not a video"),
    "too large": (lambda: colored(flat(RED, 4128, 2400), frames=1), "4128x2400 pixels"),
    "too large in raw h.264": (lambda: colored(flat(RED, 4128, 2400), "h264", frames=1), "4128x2400 pixels"),
    "too large behind a small header": (_lying_header, "no picture of the video can be decoded"),
}


@pytest.mark.parametrize("kind", NO_PICTURE)
def test_file_without_a_picture_raises_one_line_that_says_why(kind):
    """Always UndecodableVideo, in all three ways of taking frames."""
    make, message = NO_PICTURE[kind]
    video = make()
    for arguments in ((10, 0.0), (None, 0.5), (10, 0.0, 0)):
        options = {"read_all_bytes": arguments[2]} if len(arguments) == 3 else {}
        with pytest.raises(UndecodableVideo, match=message) as raised:
            times(video, *arguments[:2], **options)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "container", ["mp4", "fragmented mp4", "matroska", "mpeg-ts", "flv", "avi", "webm", "mpeg-ps", "gif"]
)
def test_damaged_recording_gives_frames_or_undecodable_video(container):
    """Flipped bits, zeroed and lost parts: no other exception comes, by reading and by seeking."""
    rng, whole = random.Random(5), of_container(container)
    for number in range(8):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 10, 100))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        cut = rng.randrange(len(damaged))
        damaged[cut : cut + rng.choice((0, 100, 1000))] = bytes(rng.choice((0, 100)))
        with suppress(UndecodableVideo):
            assert times(bytes(damaged), 3, read_all_bytes=(number % 2) << 28)


class FailingFile(io.BytesIO):
    """A file on a disk that fails after some bytes."""

    good_bytes = 3000

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.good_bytes:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_error_of_the_disk_is_raised_as_it_is(container):
    """It is no fault of the video; PyAV must not keep it for the next one."""
    whole = recording(container)
    with pytest.raises(OSError, match="Input/output error"):
        list(sample_recording(FailingFile(whole), 0.5, None, 32, 95, spread_first=False))
    assert len(times(whole)) == 10


def test_stopped_reading_ends_at_once():
    """A command that ends does not wait for the end of a long file."""
    with pytest.raises(StreamUnavailable, match="stopped"):
        times(recording("mpegts"), stopped=lambda: True)
