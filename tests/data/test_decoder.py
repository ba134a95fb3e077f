"""data.video.decoder: real H.264 in MPEG-TS and fMP4 goes in, JPEG comes out; anything else is UndecodableVideo."""

from __future__ import annotations

import io
import random
from contextlib import suppress

import av
import cv2
import numpy as np
import pytest

from data.errors import UndecodableVideo
from data.video.decoder import Decoder, first_frame
from data.video.images import decode_jpeg, encode_jpeg
from tests.sample_images import BLUE, GREEN, RED, by_area, flat, likeness, segment, silence, split, without_key_frames
from tests.standin.media import TRANSCODES, Media, default_cache, segment_count

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """A grey picture in which every place looks different: uint8 (144, 256, 3)."""
    coarse = np.random.default_rng(1).integers(0, 256, (9, 16, 1), dtype=np.uint8)
    return cv2.resize(coarse.repeat(3, axis=2), (256, 144), interpolation=cv2.INTER_CUBIC)


def first_jpeg(data: bytes, img_size: int, jpeg_quality: int) -> bytes:
    """The first frame of a file in memory."""
    return first_frame(io.BytesIO(data), img_size, jpeg_quality)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference, in levels of 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_a_red_frame_is_red(colour, container):
    """Colours keep their channels through decoding, JPEG and back, in MPEG-TS and in fMP4."""
    jpeg = first_jpeg(segment(flat(colour), container=container), 64, 95)
    assert difference(decode_jpeg(jpeg), flat(colour, 64, 64)) < 6
    assert np.abs(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[0, 0, ::-1] - [*colour]).max() < 12


def test_a_decoder_serves_many_segments():
    """Kept over segments of two sizes, TS and fMP4, whole and damaged: each frame is as a new one makes it."""
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

    def made(part: bytes, decoder: Decoder) -> bytes | str:
        try:
            return first_frame(io.BytesIO(part), 32, 95, decoder)
        except UndecodableVideo as error:
            return str(error)

    kept = Decoder()
    outcomes = [made(part, kept) for part in parts]
    assert outcomes == [made(part, Decoder()) for part in parts]
    assert [isinstance(outcome, bytes) for outcome in outcomes] == [True] * 4 + [False] * 2 + [True] * 2


def test_it_is_the_first_frame():
    """Of red, green and blue frames it takes the red one."""
    assert difference(decode_jpeg(first_jpeg(segment(flat(RED), flat(GREEN), flat(BLUE)), 32, 95)), flat(RED, 32, 32)) < 6


@pytest.mark.parametrize("img_size", [32, 101, 240])
def test_the_whole_picture_is_scaled_by_area_averaging(noise, img_size):
    """The picture fills the square, whatever its aspect, as INTER_AREA makes it: nothing is cropped or padded."""
    jpeg = first_jpeg(segment(noise), img_size, 95)
    assert jpeg[:2] == b"\xff\xd8"
    expected = cv2.resize(noise, (img_size, img_size), interpolation=cv2.INTER_AREA)
    assert decode_jpeg(jpeg).shape == (img_size, img_size, 3)
    assert difference(decode_jpeg(jpeg), expected) < 6
    assert difference(decode_jpeg(jpeg)[:, ::-1], expected) > 20  # so the measure above can tell pictures apart


def test_all_pixels_are_averaged():
    """A checkerboard of single pixels becomes even grey, where picking pixels would leave black or white."""
    checkers = np.indices((96, 96)).sum(axis=0) % 2 * 255
    jpeg = first_jpeg(segment(np.repeat(checkers[:, :, None], 3, axis=2).astype(np.uint8)), 48, 95)
    assert np.abs(decode_jpeg(jpeg).astype(int) - 127).max() <= 3


@pytest.mark.parametrize("login", ["stk_hacienda", "minetest_carpathian", "wesnoth_hamlets"])
def test_it_is_the_picture_of_the_original(world, login):
    """Of real play, fast, dark, and finely drawn: SSIM with full decoding and INTER_AREA is 0.98 at least."""
    media, file = Media(default_cache()), world.channel(login).file
    try:
        for index in range(0, segment_count(file), 4):
            data = media.segment(file, TRANSCODES[0], index)
            with av.open(io.BytesIO(data), format="mpegts") as container:
                truth = by_area(next(container.decode(video=0)).to_ndarray(format="rgb24"), 240)
            assert likeness(decode_jpeg(first_jpeg(data, 240, 95)), truth) >= 0.98
    finally:
        media.close()


def test_frames_that_depend_on_it_are_not_waited_for():
    """With B-frames a decoder wants to see two more frames before it gives one out: they are not even fetched."""
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (144, 256, 1), dtype=np.uint8).repeat(3, axis=2) for _ in range(9)]
    data = segment(*images, preset="veryfast")
    file = io.BytesIO(data)
    jpeg = first_frame(file, 144, 95)
    with av.open(io.BytesIO(data), format="mpegts") as container:
        assert container.streams.video[0].codec_context.has_b_frames
        sizes = [packet.size for packet in container.demux(video=0)]
    assert file.tell() < sizes[0] + sizes[1] / 2 + 20_000
    assert difference(decode_jpeg(jpeg), by_area(images[0], 144)) < 12


def test_a_segment_without_a_key_frame_is_no_picture():
    """Frames that only change what others showed are not taken for pictures."""
    data = segment(*(np.roll(flat(RED), shift, axis=1) // (shift + 1) for shift in range(9)))
    assert first_jpeg(data, 32, 95)
    with pytest.raises(UndecodableVideo, match="no key frame"):
        first_jpeg(without_key_frames(data), 32, 95)


def test_a_segment_that_was_cut_off_still_has_its_first_frame():
    """The key frame comes first: half of the bytes are enough."""
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
        split(segment(flat(RED), container="mp4"))[0],
        split(segment(flat(RED), container="mp4"))[1],
    ],
    ids=["empty", "zeros", "noise", "HTML", "playlist", "list of files", "JPEG", "stump", "init section", "fragment"],
)
def test_what_is_no_segment_is_no_picture(segment_bytes):
    """Whatever a server may send instead of a segment is UndecodableVideo; nothing but TS and MP4 is even tried."""
    with pytest.raises(UndecodableVideo):
        first_jpeg(segment_bytes, 64, 95)


def test_sound_alone_is_no_picture():
    """A segment without video says so."""
    with pytest.raises(UndecodableVideo, match="no video"):
        first_jpeg(silence(), 64, 95)


def test_too_many_pixels_are_refused():
    """A frame larger than any that Twitch sends is refused with its size, before it is converted."""
    with pytest.raises(UndecodableVideo, match="4128x2400"):
        first_jpeg(segment(flat(RED, 4128, 2400)), 64, 95)


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_damage_is_a_picture_or_no_picture(container):
    """Bytes turned at random never raise anything but UndecodableVideo."""
    luck, whole = random.Random(7), segment(*[flat(GREEN)] * 5, container=container)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(luck.choice((1, 10, 200))):
            damaged[luck.randrange(len(damaged))] = luck.randrange(256)
        with suppress(UndecodableVideo):
            assert decode_jpeg(first_jpeg(bytes(damaged), 32, 95)).shape == (32, 32, 3)


def test_quality_is_a_matter_of_bytes(noise):
    """A higher JPEG quality is a larger file that is nearer to the picture."""
    low, high = encode_jpeg(noise, 20), encode_jpeg(noise, 95)
    assert len(low) < len(high)
    assert difference(decode_jpeg(low), noise) > difference(decode_jpeg(high), noise)
    assert difference(decode_jpeg(high), noise) < 3


@pytest.mark.parametrize("jpeg", [b"", b"no JPEG", encode_jpeg(flat(RED), 95)[:20]], ids=["empty", "text", "stump"])
def test_decode_refuses_what_is_no_jpeg(jpeg):
    """Bytes that are no image are UndecodableVideo, not None."""
    with pytest.raises(UndecodableVideo):
        decode_jpeg(jpeg)
