"""The manifest of a game: what it keeps of each frame, and what it makes of damaged and hand-edited lines."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from data.entities import NO_DETAILS, FrameDetails, Game, StoredFrame
from data.errors import FolderError
from data.storage import manifest
from data.storage.frame_folder import FrameFolder

DETAILS = FrameDetails(1_700_000_000.25, "ja", 12, "原神 \u202e title", "https://www.twitch.tv/ann")


@pytest.fixture
def folder(tmp_path: Path) -> FrameFolder:
    return FrameFolder(tmp_path / "frames")


def _lines(folder: FrameFolder, game_id: int = 7) -> list[str]:
    return (folder.root / str(game_id) / "manifest.jsonl").read_text().splitlines()


def test_save_with_details_described_returns_them(folder: FrameFolder):
    """Hash and details come back; a title in one line, without what a terminal obeys."""
    saved = folder.save(7, "ann", [b"a", b"b"], [DETAILS, FrameDetails()])
    first, second = folder.described([StoredFrame(7, "ann", 1), StoredFrame(7, "ann", 2)])
    assert first.details == FrameDetails(1_700_000_000.25, "ja", 12, "原神 title", "https://www.twitch.tv/ann")
    assert (first.sha256, second.details) == (hashlib.sha256(b"a").digest(), NO_DETAILS)
    assert [(f.sha256, f.details) for f in saved] == [(f.sha256, f.details) for f in (first, second)]


def test_described_without_a_manifest_returns_the_frames(folder: FrameFolder):
    """A dataset of an earlier version has no manifest."""
    assert folder.described([StoredFrame(7, "ann", 1)])[0].details == NO_DETAILS


def test_read_with_torn_and_edited_lines_skips_these(folder: FrameFolder):
    """A line that a kill cut off, one of another form, and one with invalid values cost only what is invalid."""
    folder.save(7, "ann", [b"a"], [DETAILS])
    path = folder.root / "7/manifest.jsonl"
    line = path.read_text()
    values = [1, [], "x", {"file": 3}, {"file": "../x-1.jpg"}, {"no": 1}]
    bad = {"file": "bob-1.jpg", "sha256": "zz", "viewers": -1, "language": ["x"], "grabbed_at": "yesterday"}
    nested = "[" * 100_000
    path.write_text("\n".join([line, *map(json.dumps, values), nested, json.dumps(bad), line[:40]]))
    assert set(manifest.read(path.parent)) == {"ann-1.jpg"}
    bad["sha256"] = ""
    path.write_text(line + json.dumps(bad))
    assert manifest.read(path.parent)["bob-1.jpg"].details == NO_DETAILS


def test_read_with_names_returns_the_last_lines_of_these_files_only(folder: FrameFolder):
    """A line that names its file in another way is not skipped."""
    folder.save(7, "ann", [b"a", b"b"], [DETAILS, DETAILS])
    path = folder.root / "7/manifest.jsonl"
    unusual = {"file": "ann-2.jpg", "language": "de", "title": '"file": "ann-1.jpg"'}
    path.write_text(path.read_text() + json.dumps(unusual).replace("ann-2", "\\u0061nn-2"))
    found = manifest.read(path.parent, {"ann-2.jpg"})
    assert {name: frame.details.language for name, frame in found.items()} == {"ann-2.jpg": "de"}
    assert manifest.read(path.parent, {"ann-1.jpg"})["ann-1.jpg"].details.language == "ja"


def test_append_after_a_torn_line_begins_a_new_one(folder: FrameFolder):
    """The line after a torn one stays readable."""
    folder.save(7, "ann", [b"a"], [DETAILS])
    with (folder.root / "7/manifest.jsonl").open("a") as file:
        file.write('{"file": "ann-9')
    folder.save(7, "ann", [b"b"], [DETAILS])
    assert set(manifest.read(folder.root / "7")) == {"ann-1.jpg", "ann-2.jpg"}


def test_add_details_twice_the_last_line_counts(folder: FrameFolder):
    """Later lines replace earlier ones."""
    (frame,) = folder.save(7, "ann", [b"a"], [DETAILS])
    folder.add_details([StoredFrame(7, "ann", 1, frame.sha256, FrameDetails(language="de"))])
    assert folder.described([frame])[0].details == FrameDetails(language="de")
    assert len(_lines(folder)) == 2


def test_compact_drops_lines_of_files_that_are_gone(folder: FrameFolder):
    """Lines of deleted files and replaced lines go; the others stay as they are."""
    frames = folder.save(7, "ann", [b"a", b"b"], [DETAILS, DETAILS])
    folder.add_details(frames)
    folder.delete(frames[:1])
    assert folder.compact([7, 8]) == 3
    assert [json.loads(line)["file"] for line in _lines(folder)] == ["ann-2.jpg"]
    assert folder.compact([7]) == 0
    assert folder.described(frames[1:])[0].details.viewers == 12


def test_removed_games_are_those_without_a_folder(folder: FrameFolder):
    """A game whose folder was deleted stays in games.tsv, and comes back with its folder."""
    folder.add_games([Game(7, "Chess"), Game(8, "Go")])
    (folder.root / "7").rmdir()
    assert folder.removed_games() == {7: Game(7, "Chess")}
    folder.add_games([Game(7, "Chess")])
    assert folder.removed_games() == {}


@pytest.mark.parametrize("time", [0.0, 1_700_000_000.123, -1e9, 250_000_000_000.0])
def test_times_come_back(time: float):
    """A time in ISO 8601 gives the same number, to a millisecond."""
    assert manifest.from_iso(manifest.to_iso(time)) == pytest.approx(time, abs=1e-3)


@pytest.mark.parametrize("text", ["", "x", "2026-13-01", "9" * 5000, "2026-01-01T00:00:00+99:00"])
def test_invalid_times_are_unknown(text: str):
    """What is no time counts as unknown."""
    assert manifest.from_iso(text) is None
    assert manifest.to_iso(1e300) == manifest.to_iso(float("nan")) == ""


def test_compact_drops_torn_and_foreign_lines_of_a_partly_described_game(folder: FrameFolder):
    """Most files may have no line yet: a line of a deleted file goes nevertheless, and so does a torn one."""
    frames = folder.save(7, "ann", [b"a", b"b"])
    (folder.root / "7/manifest.jsonl").write_text("")
    folder.add_details([StoredFrame(7, "bob", 1, details=DETAILS)])
    with (folder.root / "7/manifest.jsonl").open("a") as file:
        file.write('{"file": "eve-1.jpg", "ti')
    assert folder.compact([7]) == 2
    assert _lines(folder) == []
    folder.add_details(frames)
    assert folder.compact([7]) == 0


def test_compact_drops_a_line_whose_file_name_is_no_utf_8(folder: FrameFolder):
    """A flipped bit in a file's name costs that line."""
    folder.save(7, "ann", [b"a", b"b"], [DETAILS, DETAILS])
    path = folder.root / "7/manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b"ann-2", b"\xe1nn-2"))
    assert folder.compact([7]) == 1
    assert list(manifest.read(path.parent)) == ["ann-1.jpg"]


def test_a_line_by_hand_without_a_hash_has_its_details(folder: FrameFolder):
    """Somebody may add a title by hand."""
    folder.save(7, "ann", [b"a"])
    (folder.root / "7/manifest.jsonl").write_text('{"file": "ann-1.jpg", "title": "x"}\n')
    assert folder.described([StoredFrame(7, "ann", 1)])[0].details.title == "x"


def test_a_manifest_that_is_a_link_is_refused_by_name(folder: FrameFolder, tmp_path: Path):
    """What it leads to is not written to; the message says what to do."""
    folder.save(7, "ann", [b"a"])
    path = folder.root / "7/manifest.jsonl"
    path.unlink()
    path.symlink_to(tmp_path / "other")
    with pytest.raises(FolderError, match="is not a regular file: move it away"):
        folder.save(7, "ann", [b"b"])
    assert not (tmp_path / "other").exists()
