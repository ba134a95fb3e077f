"""Video decoder and images: real H.264 in MPEG-TS and fMP4 becomes JPEG; everything else raises UndecodableVideo."""

from __future__ import annotations

import io
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import av
import cv2
import numpy as np
import pytest

from data.errors import UndecodableVideo
from data.video.decoder import Decoder, first_frame, frames_at
from data.video.images import decode_jpeg, encode_jpeg
from tests.sample_images import (
    BLUE,
    GREEN,
    RED,
    flat,
    resize_by_area,
    segment,
    sound_segment,
    split_init_section,
    ssim,
    without_key_frames,
)
from tests.sample_videos import colored, lossy, recording, time_of
from tests.standin.media import TRANSCODES, Media, default_cache, segment_count

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """Return a gray image without repeated parts, uint8 (144, 256, 3)."""
    coarse = np.random.default_rng(1).integers(0, 256, (9, 16, 1), dtype=np.uint8)
    return cv2.resize(coarse.repeat(3, axis=2), (256, 144), interpolation=cv2.INTER_CUBIC)


def first_jpeg(data: bytes, img_size: int, jpeg_quality: int) -> bytes:
    """Return the first frame of a segment in memory, as JPEG."""
    return first_frame(io.BytesIO(data), img_size, jpeg_quality)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference, in levels of 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_first_frame_keeps_the_color_channels(colour, container):
    """Through decoding and JPEG, in MPEG-TS and in fMP4."""
    jpeg = first_jpeg(segment(flat(colour), container=container), 64, 95)
    assert difference(decode_jpeg(jpeg), flat(colour, 64, 64)) < 6
    assert np.abs(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[0, 0, ::-1] - [*colour]).max() < 12


def test_reused_decoder_gives_the_same_frames_as_a_new_one():
    """For segments of two sizes, TS and fMP4, complete and damaged."""
    parts = [
        segment(flat(RED)),
        segment(flat(GREEN, 320, 180)),
        segment(flat(BLUE), container="mp4"),
        segment(flat(RED, 320, 180), container="mp4"),
        segment(flat(GREEN))[:600],
        without_key_frames(segment(flat(RED), flat(BLUE), flat(RED))),
        segment(flat(BLUE)),
        segment(flat(GREEN)),
    ]

    def outcome_of(part: bytes, decoder: Decoder) -> bytes | str:
        try:
            return first_frame(io.BytesIO(part), 32, 95, decoder)
        except UndecodableVideo as error:
            return str(error)

    kept = Decoder()
    outcomes = [outcome_of(part, kept) for part in parts]
    assert outcomes == [outcome_of(part, Decoder()) for part in parts]
    assert [isinstance(outcome, bytes) for outcome in outcomes] == [True] * 4 + [False] * 2 + [True] * 2


def test_decoder_shared_by_threads_gives_the_same_frames():
    """Each thread has its own codec context, so segments of several streams do not mix."""
    parts = [segment(flat(colour), container=kind) for colour in (RED, GREEN, BLUE) for kind in ("mpegts", "mp4")] * 10
    shared = Decoder()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda part: first_frame(io.BytesIO(part), 32, 95, shared), parts))
    assert found == [first_jpeg(part, 32, 95) for part in parts]


def test_first_frame_is_the_first_of_the_segment():
    """Of a red, a green and a blue frame it is the red one."""
    assert (
        difference(decode_jpeg(first_jpeg(segment(flat(RED), flat(GREEN), flat(BLUE)), 32, 95)), flat(RED, 32, 32)) < 6
    )


@pytest.mark.parametrize("img_size", [32, 101, 240])
def test_first_frame_is_resized_by_area_averaging(noise, img_size):
    """The image fills the square as INTER_AREA scales it: nothing is cropped or padded."""
    jpeg = first_jpeg(segment(noise), img_size, 95)
    assert jpeg[:2] == b"\xff\xd8"
    expected = cv2.resize(noise, (img_size, img_size), interpolation=cv2.INTER_AREA)
    assert decode_jpeg(jpeg).shape == (img_size, img_size, 3)
    assert difference(decode_jpeg(jpeg), expected) < 6
    assert difference(decode_jpeg(jpeg)[:, ::-1], expected) > 20  # a mirrored image differs, so the measure works


def test_resize_averages_all_pixels():
    """A checkerboard of single pixels becomes gray; nearest-neighbor scaling would give black or white."""
    checkers = np.indices((96, 96)).sum(axis=0) % 2 * 255
    jpeg = first_jpeg(segment(np.repeat(checkers[:, :, None], 3, axis=2).astype(np.uint8)), 48, 95)
    assert np.abs(decode_jpeg(jpeg).astype(int) - 127).max() <= 3


@pytest.mark.parametrize("login", ["stk_hacienda", "minetest_carpathian", "wesnoth_hamlets"])
def test_first_frame_matches_full_decoding(world, login):
    """On real gameplay (fast, dark, detailed) the SSIM with full decoding and INTER_AREA is at least 0.98."""
    media, file = Media(default_cache()), world.channel(login).file
    try:
        for index in range(0, segment_count(file), 4):
            data = media.segment(file, TRANSCODES[0], index)
            with av.open(io.BytesIO(data), format="mpegts") as container:
                expected = resize_by_area(next(container.decode(video=0)).to_ndarray(format="rgb24"), 240)
            assert ssim(decode_jpeg(first_jpeg(data, 240, 95)), expected) >= 0.98
    finally:
        media.close()


def test_first_frame_with_b_frames_reads_no_further_frames():
    """A decoder holds a frame back until it has seen two more; they are not even fetched."""
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (144, 256, 1), dtype=np.uint8).repeat(3, axis=2) for _ in range(9)]
    data = segment(*images, preset="veryfast")
    file = io.BytesIO(data)
    jpeg = first_frame(file, 144, 95)
    with av.open(io.BytesIO(data), format="mpegts") as container:
        assert container.streams.video[0].codec_context.has_b_frames
        sizes = [packet.size for packet in container.demux(video=0)]
    assert file.tell() < sizes[0] + sizes[1] / 2 + 20_000
    assert difference(decode_jpeg(jpeg), resize_by_area(images[0], 144)) < 12


def test_segment_without_a_key_frame_raises():
    """Frames that depend on missing ones are not returned."""
    data = segment(*(np.roll(flat(RED), shift, axis=1) // (shift + 1) for shift in range(9)))
    assert first_jpeg(data, 32, 95)
    with pytest.raises(UndecodableVideo, match="no key frame"):
        first_jpeg(without_key_frames(data), 32, 95)


def test_truncated_segment_gives_its_first_frame():
    """The key frame comes first, so half of the bytes are enough."""
    frames = [flat(RED), *(np.random.default_rng(i).integers(0, 256, (72, 128, 3), dtype=np.uint8) for i in range(9))]
    whole = segment(*frames)
    assert difference(decode_jpeg(first_jpeg(whole[: len(whole) // 2], 32, 95)), flat(RED, 32, 32)) < 6


@pytest.mark.parametrize(
    "segment_bytes",
    [
        b"",
        b"\0" * 5000,
        random.Random(1).randbytes(50_000),
        b"<html><h1>503 Service Unavailable</h1></html>",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nhttp://127.0.0.1:9/1.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 1.ts\n",
        encode_jpeg(flat(RED), 95),
        segment(flat(RED))[:564],
        split_init_section(segment(flat(RED), container="mp4"))[0],
        split_init_section(segment(flat(RED), container="mp4"))[1],
    ],
    ids=["empty", "zeros", "noise", "HTML", "playlist", "list of files", "JPEG", "stump", "init section", "fragment"],
)
def test_invalid_segment_raises(segment_bytes):
    """Whatever a server may send instead of a segment; only TS and MP4 are tried."""
    with pytest.raises(UndecodableVideo):
        first_jpeg(segment_bytes, 64, 95)


def test_segment_without_video_raises():
    """An audio segment has no video stream."""
    with pytest.raises(UndecodableVideo, match="no video"):
        first_jpeg(sound_segment(), 64, 95)


def test_frame_larger_than_twitchs_raises():
    """The error states the size, and comes before the frame is decoded."""
    with pytest.raises(UndecodableVideo, match="4128x2400"):
        first_jpeg(segment(flat(RED, 4128, 2400)), 64, 95)


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_damaged_segment_decodes_or_raises_undecodable_video(container):
    """Random bytes never cause another exception."""
    rng, whole = random.Random(7), segment(*[flat(GREEN)] * 5, container=container)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 10, 200))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        with suppress(UndecodableVideo):
            assert decode_jpeg(first_jpeg(bytes(damaged), 32, 95)).shape == (32, 32, 3)


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_damaged_segment_gives_frames_at_offsets_or_raises_undecodable_video(container):
    """Flipped bits may add tracks, for which PyAV raises an IndexError at the end, or take timestamps away."""
    rng, whole = random.Random(8), segment(*[flat(GREEN)] * 30, container=container)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 10, 200))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        with suppress(UndecodableVideo):
            assert len(list(frames_at(io.BytesIO(damaged), (0.0, 0.3, 0.6), 32, 95))) <= 3


@pytest.mark.parametrize("fraction", [0.01, 0.05])
def test_frames_at_offsets_of_a_segment_with_packet_loss_come_at_their_times(fraction):
    """Frames without a timestamp have one of their own between their neighbours'."""
    whole = recording("mpegts", 2.0, key_every_s=1.0, size=(320, 240))
    for seed in range(10):
        jpegs = list(frames_at(io.BytesIO(lossy(whole, fraction, seed)), (0.0, 0.5, 1.0, 1.5), 32, 95))
        assert [time_of(jpeg) for jpeg in jpegs] == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.6)


def test_segment_that_ends_early_gives_the_frames_it_has():
    """Its playlist says four seconds, and it has one."""
    whole = recording("mpegts", 1.0)
    assert len(list(frames_at(io.BytesIO(whole), (0.0, 0.5, 1.0, 3.5), 32, 95))) == 3
    with pytest.raises(UndecodableVideo, match=r"shows nothing 3.5 s after its start"):
        list(frames_at(io.BytesIO(whole), (3.5,), 32, 95))


class BrokenConnection(io.BytesIO):
    """A response that breaks off after `good_bytes`."""

    good_bytes = 6000

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.good_bytes:
            raise ConnectionResetError("reset by peer")
        return super().read(size)


def test_error_of_the_connection_passes_through_after_the_frames_before_it():
    """PyAV would raise it later, for another segment."""
    whole = recording("mpegts", 8.0, key_every_s=1.0)
    found = []
    with pytest.raises(ConnectionResetError):
        found.extend(frames_at(BrokenConnection(whole), (0.0, 0.1, 7.0), 32, 95))
    assert len(found) == 2
    assert len(list(frames_at(io.BytesIO(whole), (0.0, 7.0), 32, 95))) == 2


@pytest.mark.parametrize("options", [{"container": "mpegts"}, FRAGMENTED], ids=["mpegts", "init section"])
def test_metadata_that_is_not_utf8_does_not_matter(options):
    """A title in Shift JIS."""
    assert difference(decode_jpeg(first_jpeg(colored(flat(RED), **options), 32, 95)), flat(RED, 32, 32)) < 6


def test_display_matrix_of_an_init_section_turns_its_own_segments_only():
    """The decoder is shared by upright and by turned streams."""
    shared, image = Decoder(), np.vstack([flat(RED), flat(BLUE)])
    for degrees in (0, 90, 0, 180, 270):
        data = colored(image, rotation=(degrees, False, False), **FRAGMENTED)
        expected = np.rot90(resize_by_area(image, 32), degrees // 90)
        assert difference(decode_jpeg(first_frame(io.BytesIO(data), 32, 95, shared)), expected) < 8
        assert difference(decode_jpeg(next(frames_at(io.BytesIO(data), [0.1], 32, 95))), expected) < 8


def test_higher_jpeg_quality_gives_more_bytes_and_less_error(noise):
    """The file grows, and the image comes closer to the original."""
    low, high = encode_jpeg(noise, 20), encode_jpeg(noise, 95)
    assert len(low) < len(high)
    assert difference(decode_jpeg(low), noise) > difference(decode_jpeg(high), noise)
    assert difference(decode_jpeg(high), noise) < 3


@pytest.mark.parametrize("jpeg", [b"", b"no JPEG", encode_jpeg(flat(RED), 95)[:20]], ids=["empty", "text", "stump"])
def test_decode_jpeg_of_invalid_bytes_raises(jpeg):
    """It raises UndecodableVideo and does not return None."""
    with pytest.raises(UndecodableVideo):
        decode_jpeg(jpeg)
