"""recognition.outputs.annotated_images and recognition.outputs.annotation: frames with what was recognised on them, and a sheet of them."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import Game
from data.errors import FolderError, StreamOffline
from data.video.decoder import decode, encode
from recognition.decision.verdict import Prediction, Verdict
from recognition.events import FrameClassified, SourceFailed, VerdictReached, now
from recognition.outputs.annotated_images import AnnotatedImages, folder_name
from recognition.outputs.annotation import KNOWN, UNKNOWN, annotate_frame, contact_sheet
from tests.footage import BLUE, RED, flat

TETRIS = Game(9, "Tetris")


def frame(colour: tuple[int, int, int], size: int = 240) -> bytes:
    """A frame of one colour."""
    return encode(flat(colour, size, size), 95)


def near(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether it is all of this colour, but for what JPEG does to it."""
    return bool((abs(image.astype(int) - colour) < 25).all())


@pytest.mark.parametrize(("known", "colour"), [(True, KNOWN), (False, UNKNOWN)])
def test_a_frame_with_its_prediction(known, colour):
    """The frame itself stays above; along the bottom a bar as long as the confidence, in the colour of its kind."""
    image = decode(annotate_frame(frame(BLUE), 7, Prediction(TETRIS, 0.5, known)))
    assert image.shape == (240, 240, 3)
    assert near(image[:200], BLUE)
    assert near(image[-2:, 4:112], colour)
    assert not near(image[-2:, 130:], colour)
    assert image[212:230].max() > 220  # letters
    assert image[212:230, 130:150].max() < 100  # and none where the name is short


def test_words_differ():
    """Number, name and confidence are there to be read: pictures with others differ."""
    said = {
        annotate_frame(frame(BLUE), number, Prediction(Game(1, name), confidence))
        for number, name, confidence in [(1, "A", 0.5), (2, "A", 0.5), (1, "B", 0.5), (1, "A", 0.501)]
    }
    assert len(said) == 4


@pytest.mark.parametrize(
    "name", ["", "Pokémon Émeraude", "原神", "A name that is so long that it fits on no frame at all" * 3]
)
def test_any_name_can_be_drawn(name):
    """No name breaks it, nor leaves its place: above the strip and right of the confidence nothing changes."""
    image = decode(annotate_frame(frame(BLUE), 1, Prediction(Game(1, name), 1.0)))
    assert near(image[:205], BLUE)


def test_small_frames_are_enlarged():
    """A model of 32 pixels has readable pictures, too; large ones stay as they are."""
    assert decode(annotate_frame(frame(RED, 32), 1, Prediction(TETRIS, 1.0))).shape == (240, 240, 3)
    assert decode(annotate_frame(frame(RED, 320), 1, Prediction(TETRIS, 1.0))).shape == (320, 320, 3)


def test_a_sheet():
    """Seven frames in rows of three, in their order, under two lines of text; what is left over is white."""
    colours = [(30 * number + 20, 100, 220 - 30 * number) for number in range(7)]
    image = decode(contact_sheet([frame(colour) for colour in colours], ["a title", "and a verdict"]))
    height = image.shape[0] - 3 * 240
    assert image.shape[1] == 3 * 240
    assert 40 < height < 80
    tiles = image[height:].reshape(3, 240, 3, 240, 3).swapaxes(1, 2).reshape(9, 240, 240, 3)
    inner = tiles[:, 16:-16, 16:-16]  # JPEG's blocks cross the edges
    assert all(near(tile, colour) for tile, colour in zip(inner, [*colours, (255,) * 3, (255,) * 3], strict=True))
    assert image[:height].min() < 100


def told(album: AnnotatedImages, source: str, count: int) -> None:
    """A source of so many frames, and its verdict."""
    frames = [Prediction(TETRIS, 0.9)] * count
    for number, prediction in enumerate(frames, start=1):
        album.emit(FrameClassified(source, now(), number, prediction, frame(RED)))
    album.emit(VerdictReached(source, now(), Verdict(TETRIS, 0.9 * count, 0.9, tuple(frames))))


def test_a_folder_for_each_source(tmp_path):
    """Frames by their numbers, and the sheet with the verdict; a source that fails leaves nothing."""
    album = AnnotatedImages(tmp_path / "new" / "album")
    told(album, "one", 2)
    told(album, "https://example.com/a/b?c", 1)
    album.emit(SourceFailed("three", now(), StreamOffline("x")))
    album.close()
    paths = sorted(str(path.relative_to(tmp_path / "new" / "album")) for path in tmp_path.rglob("*.jpg"))
    assert paths == [
        *("example.com_a_b_c/frame-001.jpg", "example.com_a_b_c/sheet.jpg"),
        *("one/frame-001.jpg", "one/frame-002.jpg", "one/sheet.jpg"),
    ]


def test_a_source_that_is_broken_off(tmp_path):
    """Without a verdict, as after Ctrl-C, the sheet comes at the end."""
    album = AnnotatedImages(tmp_path)
    album.emit(FrameClassified("one", now(), 1, Prediction(TETRIS, 0.9), frame(RED)))
    assert not (tmp_path / "one" / "sheet.jpg").exists()
    album.close()
    album.close()
    assert (tmp_path / "one" / "sheet.jpg").exists()


def test_an_earlier_run_leaves_no_frames_among_new_ones(tmp_path):
    """Fewer frames than last time: those left over go, and what else lies there stays."""
    told(AnnotatedImages(tmp_path), "one", 3)
    (tmp_path / "one" / "notes.txt").write_text("mine")
    told(AnnotatedImages(tmp_path), "one", 1)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"frame-001.jpg", "sheet.jpg", "notes.txt"}


def test_sources_whose_names_are_alike(tmp_path):
    """Two addresses that would share a folder's name have one each."""
    album = AnnotatedImages(tmp_path)
    told(album, "https://example.com/a?b", 1)
    told(album, "https://example.com/a_b", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"example.com_a_b", "example.com_a_b-2"}


@pytest.mark.parametrize("source", ["../../etc/passwd", "/", "..", "https://", "a" * 300, "C:\\x\0y"])
def test_no_source_leads_out_of_the_folder(source):
    """A folder's name is one part of a path, not hidden, and not too long for a file system."""
    name = folder_name(source)
    assert 0 < len(name) <= 80
    assert not set(name) & set("/\\\0")
    assert not name.startswith(".")


def test_a_folder_that_cannot_be_written(tmp_path):
    """The error says which option it is about."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="--save"):
        told(AnnotatedImages(tmp_path / "file"), "one", 1)
