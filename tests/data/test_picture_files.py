"""Pictures as sources: a picture, and a folder of pictures, of which each is a frame."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.errors import SourceNotFound, UndecodableVideo
from data.video.images import decode_jpeg
from tests.data.hls_server import IMG_SIZE, follow, grab, grabber
from tests.sample_images import BLUE, GREEN, RED, flat

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


def write(path: Path, colour: str, size: int = 64) -> Path:
    """Write a picture of one colour in the format of its suffix."""
    done, data = cv2.imencode(path.suffix.lower(), flat(COLOURS[colour], size, size)[:, :, ::-1])
    assert done
    path.write_bytes(data.tobytes())
    return path


def colours(frames: list) -> list[str]:
    """Return the name of the color that each frame shows."""
    means = [decode_jpeg(frame.jpeg).mean(axis=(0, 1)) for frame in frames]
    return [min(COLOURS, key=lambda name: np.abs(COLOURS[name] - mean).sum()) for mean in means]


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp", ".bmp", ".tiff"])
def test_picture_is_one_frame(tmp_path, suffix):
    """Of the size that frames have, in each usual format."""
    frames = grab("", str(write(tmp_path / f"a{suffix}", "green")))
    assert colours(frames) == ["green"]
    assert decode_jpeg(frames[0].jpeg).shape == (IMG_SIZE, IMG_SIZE, 3)


def test_frame_of_a_dataset_stays_as_it_is(tmp_path):
    """So the model sees the pixels that it was trained on."""
    path = write(tmp_path / "a-1.jpg", "red", IMG_SIZE)
    assert grab("", str(path))[0].jpeg == path.read_bytes()


def test_folder_gives_its_pictures_in_natural_order(tmp_path):
    """Other files, hidden ones and subfolders are left out."""
    for name, colour in {"2.png": "red", "10.jpg": "green", "B1.webp": "blue"}.items():
        write(tmp_path / name, colour)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "._2.png").write_text("x")
    (tmp_path / "sub.png").mkdir()
    frames = grab("", f"{tmp_path}/")
    assert colours(frames) == ["red", "green", "blue"]
    assert [frame.number for frame in frames] == [1, 2, 3]


def test_folder_with_more_pictures_than_frames_gives_some_of_all_parts(tmp_path):
    """As a recording does, in order or with the most different ones first."""
    for number in range(6):
        write(tmp_path / f"{number}.png", ["red", "green", "blue"][number // 2])
    assert colours(grab("", str(tmp_path), max_frames=3)) == ["red", "green", "blue"]
    assert colours(grab("", str(tmp_path), max_frames=3, spread_first=True)) == ["red", "blue", "green"]


def test_follower_gives_each_picture_and_ends(tmp_path):
    """As watch mode reads it."""
    for number in range(20):
        write(tmp_path / f"{number}.png", "blue")
    with grabber("") as open_grabber:
        assert colours(list(follow(open_grabber, str(tmp_path)))) == ["blue"] * 20


def test_unreadable_pictures_are_counted_and_replaced_by_others(tmp_path, caplog):
    """One warning; the number of frames stays that which was asked for."""
    caplog.set_level(logging.WARNING)
    for number in range(6):
        write(tmp_path / f"{number}.png", "red")
    (tmp_path / "0.png").write_bytes(b"no picture")
    (tmp_path / "2.png").unlink()
    os.mkfifo(tmp_path / "2.png")
    (tmp_path / "3.png").write_bytes(b"")
    assert len(grab("", str(tmp_path), max_frames=3)) == 3
    (message,) = caplog.messages
    assert f"{tmp_path}: " in message
    assert "pictures left out: 0.png" in message


def test_source_without_a_picture_that_can_be_decoded_raises(tmp_path):
    """A file and a folder alike; the error names the source."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for source in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(UndecodableVideo, match="no picture can be decoded"):
            grab("", str(source))


@pytest.mark.parametrize("name", ["fifo.jpg", "empty", "zero.png"])
def test_folder_without_pictures_and_other_things_are_not_found(tmp_path, name):
    """A FIFO and a device are never opened."""
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(SourceNotFound, match=name):
        grab("", str(tmp_path / name))
