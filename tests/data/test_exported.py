"""data.add of what data.export wrote: each format back to the same frames, and damaged exports."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from data.entities import FrameDetails, Game
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Pseudonyms
from tests.data.conftest import Run, rows
from tests.data.picture_sets import write_picture

FORMATS = ["parquet", "webdataset", "imagefolder", "fiftyone"]
Contents = dict[str, tuple[bytes, FrameDetails]]


@pytest.fixture
def other(tmp_path: Path, engine: Engine) -> FrameFolder:
    """Return another dataset: twelve frames of two games and four streamers, with details or without."""
    folder = FrameFolder(tmp_path / "other" / "frames")
    folder.add_games([Game(743, 'Chess: "blitz" / 5+3'), Game(10**12, "原神")])
    for game_id, login in ((743, "ann"), (743, "bob"), (10**12, "ann"), (10**12, "eve_1")):
        names = [tmp_path / f"pictures/{game_id}/{login}/{number}.jpg" for number in range(3)]
        jpegs = [write_picture(name, (240, 240)) for name in names]
        known = FrameDetails(
            1_700_000_000.125 + len(login), "ko", 12, "제목 \\ title", f"https://www.twitch.tv/{login}"
        )
        folder.save(game_id, login, jpegs, [known, known, FrameDetails(language="en")])
    return folder


@pytest.fixture
def export(run: Run, other: FrameFolder, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that exports the other dataset in a format, and returns the export's folder."""

    def export(kind: str, *options: str) -> Path:
        out = tmp_path / f"export-{kind}"
        done = run("data.export", "--format", kind, "--out", str(out), *options, DOWNLOAD_PATH=str(other.root.parent))
        assert done.returncode == 0, done.stderr
        return out

    return export


def contents(folder: FrameFolder) -> Contents:
    """Return the bytes and the details of each frame by its path."""
    return {frame.path: (folder.read(frame), frame.details) for frame in folder.described(folder.frames())}


@pytest.mark.parametrize("kind", FORMATS)
def test_export_with_logins_comes_back_to_the_bit(
    run: Run, export: Callable[..., Path], other: FrameFolder, catalog: Catalog, folder: FrameFolder, *, kind: str
):
    """Paths, bytes, names of games and details are those of before; a repetition adds nothing."""
    out = export(kind, "--logins")
    done = run("data.add", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Added 12 frames of 2 games.")
    assert contents(folder) == contents(other)
    assert folder.game_names() == other.game_names()
    assert set(folder.frames()) == rows(catalog)
    assert run("data.add", str(out)).stdout == "Added 0 frames of 0 games; 12 already there.\n"


def test_export_without_logins_brings_pseudonyms(
    run: Run, export: Callable[..., Path], other: FrameFolder, folder: FrameFolder
):
    """The origin is then the export itself."""
    out = export("parquet")
    assert run("data.add", str(out)).returncode == 0
    pseudonyms = Pseudonyms(other.files)
    assert {frame.login for frame in folder.frames()} == {pseudonyms.of(f.login) for f in other.frames()}
    assert {(details.origin, details.title) for _, details in contents(folder).values()} == {(str(out), "")}


def test_export_at_an_address_is_read_there(run: Run, other: FrameFolder, folder: FrameFolder):
    """Through fsspec, as it was written; an address without a complete export is an error."""
    for kind in ("webdataset", "imagefolder"):
        variables = {"DOWNLOAD_PATH": str(other.root.parent)}
        done = run("data.export", "--format", kind, "--logins", "--out", f"memory://set/{kind}", **variables)
        assert done.returncode == 0
        assert run("data.add", f"memory://set/{kind}").returncode == 0
        assert contents(folder) == contents(other)
        shutil.rmtree(folder.root)
        folder.root.mkdir()
    done = run("data.add", "memory://nothing")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_damaged_files_cost_their_frames_only(run: Run, export: Callable[..., Path], folder: FrameFolder):
    """A changed picture, a missing one, a damaged record, and names that lead out of the export."""
    out = export("imagefolder", "--logins")
    metadata = out / "train/metadata.jsonl"
    records = [json.loads(line) for line in metadata.read_text().splitlines()]
    jpeg = out / "train" / records[0]["file_name"]
    jpeg.write_bytes(write_picture(out.parent / "x/other.jpg", (240, 240)))
    (out / "train" / records[1]["file_name"]).unlink()
    records[2]["file_name"] = "../../../secret.jpg"
    lines = [json.dumps(record) for record in records]
    metadata.write_text("\n".join([*lines[:3], '{"login": "ann"}', "[" * 100_000, *lines[3:]]) + "\n")
    done = run("data.add", str(out))
    assert done.returncode == 0
    assert done.stdout.startswith("Added 9 frames of 2 games; 5 files left out.")
    assert "its SHA-256 is another one" in done.stderr
    assert done.stderr.count("its record is damaged") == 3
    assert len(list(folder.frames())) == 9


def test_export_of_which_nothing_can_be_read_is_an_error(run: Run, export: Callable[..., Path]):
    """Each file is named, and the exit code is 1."""
    out = export("webdataset")
    for shard in (out / "data").iterdir():
        shard.write_bytes(b"no tar file")
    done = run("data.add", str(out))
    assert (done.returncode, done.stdout.startswith("Added 0 frames of 0 games; ")) == (1, True)


@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_shard_that_is_cut_off_is_named(run: Run, export: Callable[..., Path], folder: FrameFolder, kind: str):
    """What of it can be read is added, and so are all other shards."""
    out = export(kind, "--logins")
    shard = next((out / "data").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-10_000])
    done = run("data.add", str(out))
    assert done.returncode == 0
    assert f"{shard} is left out: it is " in done.stderr
    assert 0 < len(list(folder.frames())) < 12


@pytest.mark.parametrize("kind", ["webdataset", "imagefolder"])
def test_file_that_ends_too_early_without_an_error_is_named(
    run: Run, export: Callable[..., Path], folder: FrameFolder, kind: str
):
    """A damaged header looks like the end of a tar file, and a text may be cut off between two lines."""
    out = export(kind, "--logins")
    if kind == "webdataset":
        file = next((out / "data").glob("train-*"))
        with tarfile.open(file) as archive:
            at = archive.getmembers()[3].offset
        content = bytearray(file.read_bytes())
        content[at] ^= 1  # of the name: the checksum is wrong
    else:
        file = out / "train/metadata.jsonl"
        content = bytearray(file.read_bytes().splitlines(keepends=True)[0])
    file.write_bytes(content)
    done = run("data.add", str(out))
    assert f"{file} is left out: it is damaged: it has 1 of " in done.stderr
    assert (done.returncode, 0 < len(list(folder.frames())) < 12) == (0, True)


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"77777777777\0"])
def test_tar_file_whose_member_ends_in_a_million_years_is_left_out_at_once(
    run: Run, export: Callable[..., Path], size: bytes
):
    """tarfile would read on until the place that a header names."""
    out = export("webdataset")
    for shard in (out / "data").iterdir():
        content = bytearray(shard.read_bytes())
        content[124:136], content[148:156] = size, b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
        shard.write_bytes(content)
    done = run("data.add", str(out))
    assert (done.returncode, "it is damaged or cut off" in done.stderr) == (1, True)


def test_tar_file_of_others_is_read_with_care(run: Run, export: Callable[..., Path], folder: FrameFolder):
    """A picture without its values, and a link instead of a file, are left out."""
    out = export("webdataset", "--logins")
    shard = next((out / "data").glob("train-*"))
    with tarfile.open(shard, "a") as archive:
        archive.addfile(tarfile.TarInfo("743/alone-1.jpg"))
        link = tarfile.TarInfo("743/linked-1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("743/linked-1.json"))
    done = run("data.add", str(out))
    assert done.stdout.startswith("Added 12 frames of 2 games; 2 files left out.")


def test_part_of_an_export_is_refused(run: Run, export: Callable[..., Path], folder: FrameFolder):
    """Read as pictures it would lose its streamers; the one line names the folder to add."""
    out = export("imagefolder")
    game = next(out.glob("*/*/"))
    for words in ([str(game.parent)], [str(game)], ["Chess", str(game)], ["Chess", str(out)]):
        done = run("data.add", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: {words[-1]} is part of an export: name its folder {out}, and no game.\n"
    done = run("data.add", str(out.parent))  # with the other dataset and its pictures beside
    assert f"{out} is left out: it is an export; add it by itself" in done.stderr
    assert not any("/export-" in frame.details.origin for frame in folder.described(folder.frames()))


@pytest.mark.parametrize("kind", FORMATS)
def test_export_without_its_description_is_refused(
    run: Run, export: Callable[..., Path], folder: FrameFolder, kind: str
):
    """So is each folder in it, and what a killed export has left; others' files of these names mean nothing."""
    out = export(kind)
    (out / "export.json").unlink()
    for place in (out, next(out.glob("*/"))):
        done = run("data.add", str(place))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert f"{place}: this export is not complete, export.json is missing in {out}" in done.stderr
    for path in out.glob("**/*.json*"):
        path.write_text('{"format": "mine"}')
    write_picture(out / "val/Chess/1.jpg")
    assert run("data.add", str(out)).returncode == 0
    assert list(folder.frames())


def test_links_out_of_an_export_or_a_dataset_are_left_out(
    run: Run, export: Callable[..., Path], other: FrameFolder, folder: FrameFolder, tmp_path: Path
):
    """What lies elsewhere was not named; a link to the dataset's folder was."""
    out = export("imagefolder")
    picture = next(out.glob("*/*/*-1.jpg"))
    shutil.move(picture, tmp_path / "private.jpg")
    picture.symlink_to(tmp_path / "private.jpg")
    done = run("data.add", str(out))
    assert done.stdout.startswith("Added 11 frames of 2 games; 1 file left out.")
    assert "is left out: it is a link that leads out of the folder" in done.stderr
    shutil.move(other.root / "743", tmp_path / "743")
    (other.root / "743").symlink_to(tmp_path / "743")
    (tmp_path / "link").symlink_to(other.root)
    done = run("data.add", "--dry-run", str(tmp_path / "link"))
    assert done.stdout.splitlines()[0].endswith("; 6 files left out.")


@pytest.mark.parametrize("fault", ["damaged", "without pictures"])
def test_export_that_cannot_be_added_is_one_line(run: Run, export: Callable[..., Path], fault: str):
    """Its description is damaged, or it was made without pictures."""
    out = export("parquet", *(["--without-pictures"] if fault == "without pictures" else []))
    if fault == "damaged":
        (out / "export.json").write_text('{"format": "parquet"')
    done = run("data.add", str(out))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert fault in done.stderr
