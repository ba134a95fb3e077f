"""Annotated images: the text and bar on frames, contact sheets, and the folders that they are written to."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from data.entities import Game
from data.errors import FolderError, StreamOffline
from data.video.images import decode_jpeg, encode_jpeg
from recognition.decision.verdict import Prediction, Verdict
from recognition.events import FrameClassified, SourceFailed, VerdictReached, now
from recognition.outputs.annotated_images import AnnotatedImages, folder_name
from recognition.outputs.annotation import KNOWN, UNKNOWN, annotate_frame, contact_sheet
from tests.sample_images import BLUE, RED, flat

TETRIS = Game(9, "Tetris")
LONG_NAME = "A name that is so long that it fits on no frame at all" * 3


def frame(colour: tuple[int, int, int], size: int = 240) -> bytes:
    """Return a square frame of one colour."""
    return encode_jpeg(flat(colour, size, size), 95)


def annotated(name: str) -> bytes:
    """Return a blue frame with this game's name."""
    return annotate_frame(frame(BLUE), 1, Prediction(Game(1, name), 0.5))


def is_near(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Return whether all pixels have this colour, but for what JPEG changes."""
    return bool((abs(image.astype(int) - colour) < 25).all())


@pytest.mark.parametrize(("known", "colour"), [(True, KNOWN), (False, UNKNOWN)])
def test_frame_when_annotated_has_text_and_bar(known, colour):
    """The image above the strip is unchanged; the bar is as long as the confidence and tells known from unknown."""
    image = decode_jpeg(annotate_frame(frame(BLUE), 7, Prediction(TETRIS, 0.5, known)))
    assert image.shape == (240, 240, 3)
    assert is_near(image[:200], BLUE)
    assert is_near(image[-2:, 4:112], colour)
    assert not is_near(image[-2:, 130:], colour)
    assert image[212:230].max() > 220  # white text
    assert image[212:230, 130:150].max() < 100  # no text between a short name and the percentage


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_bar_when_confidence_is_extreme_has_no_or_full_length(confidence):
    """The bar is absent at confidence 0 and reaches across the frame at 1."""
    image = decode_jpeg(annotate_frame(frame(BLUE), 1, Prediction(TETRIS, confidence)))
    assert is_near(image[-2:], KNOWN) == bool(confidence)


def test_text_when_number_name_or_confidence_differ_differs():
    """Number, name and confidence are all visible: images with other values differ."""
    images = {
        annotate_frame(frame(BLUE), number, Prediction(Game(1, name), confidence))
        for number, name, confidence in [(1, "A", 0.5), (2, "A", 0.5), (1, "B", 0.5), (1, "A", 0.501)]
    }
    assert len(images) == 4


@pytest.mark.parametrize("character", "éßÅłЖЁїΩğ…")
def test_name_when_not_ascii_is_drawn_with_real_glyphs(character):
    """Latin letters with accents, Cyrillic and Greek are not drawn as the font's replacement glyph."""
    replacement = annotated("𐀀")
    assert annotated("𐀁") == replacement  # two letters of Linear B, of which the font has neither
    assert annotated(character) not in {replacement, annotated("?"), annotated("e"), annotated("")}


def test_name_when_decomposed_is_drawn_as_composed():
    """A letter with a combining accent looks like the same letter in one code point."""
    assert annotated("Poke\u0301mon") == annotated("Pok\u00e9mon")


def test_name_when_too_long_ends_with_an_ellipsis():
    """A long name is cut where the percentage begins; names that differ only behind the cut look alike."""
    assert annotated(LONG_NAME) == annotated(LONG_NAME + " and more")
    assert is_near(decode_jpeg(annotated(LONG_NAME))[:205], BLUE)


_NAMES = ["", "\n\t\x00", "two\nlines", "Pokémon Émeraude", "原神", "שלום", "🎮", LONG_NAME, "x" * 2_000_000]
_NAMES += ["\ud800", "\u202eabc", "a" + "\u0300" * 999, "ก็็็็็็็็"]


@pytest.mark.parametrize("name", _NAMES, ids=range(len(_NAMES)))
def test_name_of_any_characters_stays_in_its_strip(name):
    """No name raises an error, and the image above the strip is unchanged."""
    image = decode_jpeg(annotate_frame(frame(BLUE), 1, Prediction(Game(1, name), 1.0)))
    assert is_near(image[:205], BLUE)


def test_frame_when_small_is_enlarged():
    """Frames of a model with small images are scaled up to 240 pixels; larger frames keep their size."""
    assert decode_jpeg(annotate_frame(frame(RED, 32), 1, Prediction(TETRIS, 1.0))).shape == (240, 240, 3)
    assert decode_jpeg(annotate_frame(frame(RED, 320), 1, Prediction(TETRIS, 1.0))).shape == (320, 320, 3)


def test_contact_sheet_has_rows_in_order_below_titles():
    """Seven frames are in rows of three, in their order, below two titles; the remaining cells are white."""
    colours = [(30 * number + 20, 100, 220 - 30 * number) for number in range(7)]
    image = decode_jpeg(contact_sheet([frame(colour) for colour in colours], ["a title", "and a verdict"]))
    height = image.shape[0] - 3 * 240
    assert image.shape[1] == 3 * 240
    assert 40 < height < 80
    tiles = image[height:].reshape(3, 240, 3, 240, 3).swapaxes(1, 2).reshape(9, 240, 240, 3)
    inner = tiles[:, 16:-16, 16:-16]  # JPEG blocks cross the edges
    assert all(is_near(tile, colour) for tile, colour in zip(inner, [*colours, (255,) * 3, (255,) * 3], strict=True))
    assert image[:height].min() < 100


def emit_source(output: AnnotatedImages, source: str, count: int) -> None:
    """Emit `count` frames of a source, then its verdict."""
    predictions = [Prediction(TETRIS, 0.9)] * count
    for number, prediction in enumerate(predictions, start=1):
        output.emit(FrameClassified(source, now(), number, prediction, frame(RED)))
    output.emit(VerdictReached(source, now(), Verdict(TETRIS, 0.9 * count, 0.9, tuple(predictions))))


def test_each_source_has_a_folder(tmp_path):
    """A source's folder has its frames by number and the contact sheet; a source that fails has no folder."""
    output = AnnotatedImages(tmp_path / "new" / "album")
    emit_source(output, "one", 2)
    emit_source(output, "https://example.com/a/b?c", 1)
    output.emit(SourceFailed("three", now(), StreamOffline("x")))
    output.close()
    paths = sorted(str(path.relative_to(tmp_path / "new" / "album")) for path in tmp_path.rglob("*.jpg"))
    assert paths == [
        *("example.com_a_b_c-468965e8/frame-001.jpg", "example.com_a_b_c-468965e8/sheet.jpg"),
        *("one/frame-001.jpg", "one/frame-002.jpg", "one/sheet.jpg"),
    ]


def test_contact_sheet_when_interrupted_is_written_at_close(tmp_path):
    """Without a verdict, as after Ctrl-C, `close` writes the contact sheet; a second call does nothing."""
    output = AnnotatedImages(tmp_path)
    output.emit(FrameClassified("one", now(), 1, Prediction(TETRIS, 0.9), frame(RED)))
    assert not (tmp_path / "one" / "sheet.jpg").exists()
    output.close()
    output.close()
    assert (tmp_path / "one" / "sheet.jpg").exists()


def test_folder_when_used_again_keeps_all_files(tmp_path):
    """Nothing of an earlier run and nothing of the user's is deleted or overwritten: each run has a new folder."""
    emit_source(AnnotatedImages(tmp_path), "one", 3)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "frame-001.jpg").write_text("mine")
    (tmp_path / "three").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source in ("one", "two", "three"):
        emit_source(AnnotatedImages(tmp_path), source, 1)
    assert {path: path.read_bytes() for path in before} == before
    for name in ("one-2", "two-2", "three-2"):
        assert {path.name for path in (tmp_path / name).iterdir()} == {"frame-001.jpg", "sheet.jpg"}


@pytest.mark.parametrize(
    "pair",
    [
        ("視頻.mp4", "录像.mp4"),
        ("ビデオ", "🎮🎮"),
        ("https://example.com/a?b", "https://example.com/a_b"),
        ("Video.mp4", "video.mp4"),
        ("/a/x.mp4", "a/x.mp4"),
        ("../x", "x"),
        ("a" * 300, "b" + "a" * 299),
        ("caf\udce9", "caf\udce8"),
        ("cafe\u0301", "caf\u00e9"),
        (".", ".."),
        ("one", "one."),
        ("a-468965e8", "a"),
        ("http://one", "https://one"),
    ],
)
def test_folders_of_similar_sources_differ(tmp_path, pair):
    """Sources have a folder each, whichever runs first, on file systems that ignore case or normalise, too."""
    names = [unicodedata.normalize("NFC", folder_name(source)).casefold() for source in pair]
    assert names[0] != names[1]
    output = AnnotatedImages(tmp_path)
    for source in pair:
        emit_source(output, source, 1)
    assert len({*tmp_path.iterdir()}) == 2


@pytest.mark.parametrize("name", ["con", "nul", "com1.mp4", "aux"])
def test_folder_name_when_reserved_by_windows_has_a_hash(name):
    """Names of devices are no folder names on the drives of Windows, which WSL mounts."""
    assert folder_name(name).startswith(f"{name}-")


@pytest.mark.parametrize(
    "source", ["../../etc/passwd", "/", "..", "https://", "a" * 300, "𠀀" * 300, "C:\\x\0y", "\ud800", "-rf", "~"]
)
def test_folder_name_is_safe(source):
    """A folder name is one part of a path, not hidden, and at most 80 characters long."""
    name = folder_name(source)
    assert 0 < len(name) <= 80
    assert not set(name) & set("/\\\0")
    assert not name.startswith((".", "-", "~"))
    assert len(name.encode()) <= 255


def test_folder_when_unwritable_raises_with_the_option(tmp_path):
    """The error message begins with the option's name, before the first frame."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"^--save: "):
        AnnotatedImages(tmp_path / "file")
