"""Pictures: decoded as they are shown, with their size checked first; whatever the libraries raise is one error."""

from __future__ import annotations

import io
import random
import struct
import zlib
from contextlib import suppress

import numpy as np
import psutil
import pytest
from PIL import Image, ImageOps

from data.errors import UndecodableVideo
from data.video.images import decode_jpeg, decode_resized, decode_thumbnail, to_thumbnail
from tests.sample_images import BLUE, GREEN, RED, flat

QUARTERS = np.vstack([np.hstack([flat(RED), flat(BLUE)]), np.hstack([flat(GREEN), flat((90, 90, 90))])])


def picture(kind: str, image: np.ndarray = QUARTERS, orientation: int = 1) -> bytes:
    """Return an image file of this kind; `orientation`: EXIF's, 1 to 8."""
    exif, output = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(image).save(output, kind, **({"exif": exif} if kind in {"JPEG", "PNG", "WEBP"} else {}))
    return output.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied_by_every_function(kind, orientation):
    """A photo is shown upright, whole, resized and as a thumbnail."""
    data = picture(kind, orientation=orientation)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    whole = decode_jpeg(data)
    assert whole.shape == expected.shape
    assert np.abs(whole.astype(int) - expected).mean() < 3
    assert np.abs(decode_thumbnail(data).astype(int) - to_thumbnail(expected)).mean() < 5
    small = np.asarray(Image.fromarray(expected).resize((64, 64), Image.Resampling.BOX))
    assert np.abs(decode_resized(data, 64).astype(int) - small).mean() < 5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_common_kinds_of_pictures_are_decoded(kind):
    """Whatever the file is called."""
    assert np.abs(decode_jpeg(picture(kind)).astype(int) - QUARTERS).mean() < 8


def _png_bomb(width: int, height: int) -> bytes:
    """Return a PNG whose header states this size, with some of its pixels, all black."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(bytes(1 << 20), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _with_size(data: bytes, kind: str, width: int, height: int) -> bytes:
    """Return an image file with another size in its header."""
    patched = bytearray(data)
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5  # SOF0: ITU-T T.81, B.2.2
        patched[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "BMP":
        patched[18:26] = struct.pack("<ii", width, height)
    elif kind == "GIF":
        patched[6:10] = struct.pack("<HH", width, height)
    return bytes(patched)


BOMBS = {
    "PNG": lambda: _png_bomb(40_000, 40_000),
    "PNG below OpenCV's own limit": lambda: _png_bomb(30_000, 30_000),
    "PNG, one line": lambda: _png_bomb(1_000_000, 100),
    "JPEG": lambda: _with_size(picture("JPEG"), "JPEG", 60_000, 60_000),
    "BMP": lambda: _with_size(picture("BMP"), "BMP", 30_000, 30_000),
    "GIF": lambda: _with_size(picture("GIF"), "GIF", 60_000, 60_000),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BOMBS)
def test_oversized_picture_raises_before_it_is_decoded(kind):
    """By each function, without the memory that its pixels would take."""
    bomb = BOMBS[kind]()
    before = psutil.Process().memory_info().rss
    for decode in (decode_jpeg, decode_thumbnail, lambda data: decode_resized(data, 240)):
        with pytest.raises(UndecodableVideo):
            decode(bomb)
    assert psutil.Process().memory_info().rss - before < 200 << 20


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_damaged_picture_decodes_or_raises_undecodable_video(kind):
    """Flipped bytes, cut-off files and other bytes behind a good header never raise another exception."""
    rng, whole = random.Random(3), picture(kind)
    for _ in range(40):
        damaged = bytearray(whole[: rng.choice((len(whole), rng.randrange(1, len(whole))))])
        for _ in range(rng.choice((1, 5, 50))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        for decode in (decode_jpeg, decode_thumbnail):
            with suppress(UndecodableVideo):
                assert decode(bytes(damaged)).shape[2] == 3


@pytest.mark.parametrize("data", [b"", b"x", b"<html>no</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(5000)])
def test_other_bytes_raise_undecodable_video(data):
    """A server's error page, a stump, zeros; the error is a few words of our own."""
    for decode in (decode_jpeg, decode_thumbnail):
        with pytest.raises(UndecodableVideo, match=r"^(invalid image|the image cannot be decoded: \w+)$"):
            decode(data)
