"""Where data.export writes: new and old folders, other people's folders, fsspec's stores, an S3 server; kills."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import fsspec
import pytest
import sqlalchemy as sa
from fsspec.implementations.memory import MemoryFileSystem

from data.entities import FrameDetails
from data.errors import DatasetError, ExtraMissing, FolderError
from data.exchange.exported import find_export
from data.exchange.exporter import ExportSettings
from data.export import export_dataset, open_destination
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import REPOSITORY, Run, environment
from tests.data.exports import make_dataset, manifest
from tests.s3_server import BUCKET, s3_server

pytestmark = pytest.mark.xdist_group("s3")  # which import moto

FORMATS = ["parquet", "webdataset", "imagefolder", "fiftyone"]
KILLS = 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FrameFolder:
    """Return a dataset that no test changes."""
    return make_dataset(tmp_path_factory.mktemp("dataset") / "frames")


def export(dataset: FrameFolder, out: object, kind: str = "webdataset", *, overwrite: bool = False) -> int:
    """Export to `out` in several shards; return the number of samples."""
    settings = ExportSettings(kind, shard_bytes=10_000)
    return export_dataset(dataset, str(out), settings, overwrite=overwrite).total


def errors(out: Path) -> list[str]:
    """Return what is wrong with a complete export: a file that is missing, or other than export.json says."""
    return [
        name
        for name, file in manifest(out)["files"].items()
        if sha256((out / name).read_bytes()).hexdigest() != file["sha256"]
    ]


def write_half(address: str) -> None:
    """Begin an export, and fail."""
    with open_destination(address, "/frames", overwrite=True) as destination:
        destination.write({"data/train-00000-of-00099.tar": b"half"})
        raise RuntimeError


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_of_somebody_else_is_left_as_it_is(dataset: FrameFolder, tmp_path: Path):
    """A folder that no export made, even one with an export's names, is refused, with --overwrite too."""
    for name in ("thesis.tex", "train/cat/1.jpg", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
        before = tree(tmp_path)
        for overwrite in (False, True):
            with pytest.raises(FolderError, match=r"holds other files, such as .*: export to a new folder"):
                export(dataset, tmp_path, overwrite=overwrite)
        assert tree(tmp_path) == before
        (tmp_path / name).unlink()


def test_earlier_export_is_replaced_only_when_asked(dataset: FrameFolder, tmp_path: Path):
    """Without --overwrite it stays; with it nothing of the old one remains, which had another format."""
    out = tmp_path / "new" / "out"
    export(dataset, out)
    before = tree(out)
    with pytest.raises(FolderError, match="holds an export: choose another place, or replace it with --overwrite"):
        export(dataset, out)
    assert tree(out) == before
    assert export(dataset, out, "parquet", overwrite=True) == 60
    assert not [name for name in tree(out) if name.endswith(".tar")]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"such as notes\.txt"):
        export(dataset, out, overwrite=True)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_dataset_itself_is_no_destination(dataset: FrameFolder, tmp_path: Path):
    """Neither the frames' folder nor one below it, through a link or `..` either; the disk's root neither."""
    (tmp_path / "link").symlink_to(dataset.root)
    before = tree(dataset.root)
    for out in (dataset.root, dataset.root / "743" / "out", tmp_path / "link" / "out", dataset.root / "../frames", "/"):
        with pytest.raises(FolderError, match="export to a new folder elsewhere"):
            export(dataset, out, overwrite=True)
    assert tree(dataset.root) == before


def test_destination_may_be_empty_a_link_or_have_any_name(dataset: FrameFolder, tmp_path: Path):
    """An empty folder, a link to one, names with escape codes and invalid UTF-8, file:// addresses."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    export(dataset, tmp_path / "link")
    assert errors(tmp_path / "empty") == []
    for name in ("\x1b[31mred\n", os.fsdecode(b"\xff\xfe"), "-x y*?[a]{b}"):
        export(dataset, tmp_path / name)
        assert errors(tmp_path / name) == []
    export(dataset, f"file://{tmp_path}/address")
    assert errors(tmp_path / "address") == []


def test_what_is_in_the_way_is_one_line(dataset: FrameFolder, tmp_path: Path):
    """A file, a FIFO or a link to nowhere in the folder's place, and a link in the place of the hidden folder."""
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".out.export-part").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "fifo", "file/below", "out"):
        with pytest.raises(FolderError, match=r"check the address|choose another"):
            export(dataset, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.export-part", "elsewhere", "fifo", "file"]
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("end", ["part", "old"])
def test_hidden_folder_of_somebody_else_is_left_as_it_is(dataset: FrameFolder, tmp_path: Path, end: str):
    """A folder with the name of an export's own hidden ones, but other files in it, is an error."""
    (tmp_path / f".out.export-{end}").mkdir()
    (tmp_path / f".out.export-{end}" / "thesis.tex").write_text("mine")
    with pytest.raises(FolderError, match=r"other files, such as thesis\.tex"):
        export(dataset, tmp_path / "out")
    assert tree(tmp_path) == {f".out.export-{end}/thesis.tex": b"mine"}


def test_second_export_to_a_place_waits_for_nobody(dataset: FrameFolder, tmp_path: Path):
    """While another process exports there it is an error, which leaves the other's files alone."""
    part = tmp_path / ".out.export-part"
    part.mkdir()
    (part / "data").write_text("the other's")
    descriptor = os.open(part, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(FolderError, match="another export writes there; wait until it has ended"):
        export(dataset, tmp_path / "out")
    assert (part / "data").read_text() == "the other's"
    os.close(descriptor)
    export(dataset, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_export_leaves_nothing(dataset: FrameFolder, tmp_path: Path):
    """After an error in the middle there is no folder, no hidden one either; an earlier export is whole."""
    export(dataset, tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(RuntimeError):
        write_half(str(tmp_path / "out"))
    assert tree(tmp_path) == before


def test_kill_between_the_renames_loses_neither_export(dataset: FrameFolder, tmp_path: Path):
    """The earlier export, which had just been moved aside, is back if the next run fails, and else replaced."""
    export(dataset, tmp_path / "out")
    before = tree(tmp_path)
    (tmp_path / "out").rename(tmp_path / ".out.export-old")
    with pytest.raises(FolderError, match="--overwrite"):
        export(dataset, tmp_path / "out")
    assert tree(tmp_path) == before
    (tmp_path / "out").rename(tmp_path / ".out.export-old")
    export(dataset, tmp_path / "out", "parquet", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert errors(tmp_path / "out") == []


@pytest.mark.parametrize("kind", FORMATS)
def test_memory_store_gets_the_same_files_as_a_folder(dataset: FrameFolder, tmp_path: Path, kind: str):
    """memory:// stands for every store of fsspec: the same names and bytes, and no mark at the end."""
    export(dataset, tmp_path / "out", kind)
    export(dataset, f"memory://exports/{kind}/", kind)
    assert remote_tree(f"memory://exports/{kind}") == tree(tmp_path / "out")


def remote_tree(address: str) -> dict[str, bytes]:
    """Return the content of each file below an address."""
    file_system, base = fsspec.core.url_to_fs(address)
    file_system.invalidate_cache()
    return {path[len(base) + 1 :]: file_system.cat_file(path) for path in file_system.find(base)}


def test_interrupted_export_to_a_store_is_marked_and_done_again(dataset: FrameFolder):
    """Until its end a mark says that it is incomplete; the next run removes its files; others' files are left."""
    address = "memory://interrupted/out"
    with pytest.raises(RuntimeError):
        write_half(address)
    assert set(remote_tree(address)) == {"_INCOMPLETE", "data/train-00000-of-00099.tar"}
    assert export(dataset, address) == 60
    files = remote_tree(address)
    assert "data/train-00000-of-00099.tar" not in files
    assert "_INCOMPLETE" not in files
    with pytest.raises(FolderError, match="--overwrite"):
        export(dataset, address)
    assert export(dataset, address, "parquet", overwrite=True) == 60
    assert not [name for name in remote_tree(address) if name.endswith(".tar")]
    fsspec.filesystem("memory").pipe_file("/interrupted/o/data/mine.txt", b"mine")
    export(dataset, "memory://interrupted/[o]", overwrite=True)
    export(dataset, "memory://interrupted/[o]", overwrite=True)
    assert remote_tree("memory://interrupted/o") == {"data/mine.txt": b"mine"}
    fsspec.filesystem("memory").pipe_file("/interrupted/out/mine.txt", b"mine")
    with pytest.raises(FolderError, match=r"such as mine\.txt"):
        export(dataset, address, overwrite=True)
    assert remote_tree(address)["mine.txt"] == b"mine"


class ForgetfulFileSystem(MemoryFileSystem):
    """A store that says yes to everything and keeps all but some: it cuts large files, or loses the last one."""

    protocol = "forgetful"
    store: dict[str, Any] = {}  # noqa: RUF012 - fsspec's memory has one for all instances
    pseudo_dirs = [""]  # noqa: RUF012
    limit = 0

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        """Store a part of the file."""
        super().pipe_file(path, value[: self.limit], **options)


@pytest.mark.parametrize("kind", FORMATS)
def test_store_that_loses_bytes_is_found_out(dataset: FrameFolder, kind: str):
    """What was written is read back: an export that is not there as a whole is an error, and stays incomplete."""
    fsspec.register_implementation("forgetful", ForgetfulFileSystem, clobber=True)
    for ForgetfulFileSystem.limit in (0, 500, 5_000):
        ForgetfulFileSystem.store.clear()
        with pytest.raises(FolderError):
            export(dataset, "forgetful://out", kind)
        assert "forgetful://out/_INCOMPLETE" in ForgetfulFileSystem.store
        assert "forgetful://out/export.json" not in ForgetfulFileSystem.store


def test_store_without_its_library_names_what_to_install(dataset: FrameFolder):
    """gs:// needs an extra; an unknown protocol is one line, too."""
    with pytest.raises(ExtraMissing, match=r"pip install 'twitchcategory\[gs\]'"):
        export(dataset, "gs://bucket/out")
    with pytest.raises(FolderError, match="nonsense"):
        export(dataset, "nonsense://bucket/out")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Yield the address of a bucket on a real S3 server (moto's) on the loopback address."""
    with s3_server():
        yield f"s3://{BUCKET}"


@pytest.mark.parametrize("kind", ["parquet", "imagefolder"])
def test_s3_server_gets_the_same_files_as_a_folder(tmp_path: Path, bucket: str, kind: str):
    """Through real HTTP requests: large files and many; an earlier export is replaced when asked."""
    dataset = make_dataset(tmp_path / "frames", frames=1)
    export(dataset, tmp_path / "out", kind)
    export(dataset, f"{bucket}/{kind}", kind)
    assert remote_tree(f"{bucket}/{kind}") == tree(tmp_path / "out")
    with pytest.raises(FolderError, match="--overwrite"):
        export(dataset, f"{bucket}/{kind}", kind)
    assert export(dataset, f"{bucket}/{kind}", "parquet", overwrite=True) == 20
    assert not [name for name in remote_tree(f"{bucket}/{kind}") if name.endswith(".jpg")]


@pytest.mark.parametrize("kind", FORMATS)
def test_export_on_an_s3_server_comes_back_to_the_bit(
    run: Run, tmp_path: Path, bucket: str, engine: sa.Engine, folder: FrameFolder, *, kind: str
):
    """data.add reads an export through real HTTP requests: names, bytes and details are those of before."""
    dataset = make_dataset(tmp_path / "other" / "frames", frames=1)
    export_dataset(dataset, f"{bucket}/back/{kind}", ExportSettings(kind, logins=True))
    done = run("data.add", f"{bucket}/back/{kind}", IMG_SIZE="32")  # as the pictures are: they stay as they are
    assert (done.returncode, done.stderr) == (0, "")
    assert named_contents(folder) == named_contents(dataset)


def named_contents(folder: FrameFolder) -> dict[tuple[str, str, int], tuple[bytes, FrameDetails]]:
    """Return the bytes and the details of each frame by its game's name, login and number."""
    names, frames = folder.game_names(), folder.described(folder.frames())
    return {(names[f.game_id], f.login, f.number): (folder.read(f), f.details) for f in frames}


def test_bucket_that_does_not_exist_is_one_line(dataset: FrameFolder, bucket: str):
    """No bucket is made, and the error says where it was."""
    with pytest.raises(FolderError, match=r"s3://no-such-bucket/out: .*check the address, the credentials"):
        export(dataset, "s3://no-such-bucket/out")
    for address in ("s3://no-such-bucket/out", f"{bucket}/nothing"):
        with pytest.raises((FolderError, DatasetError), match=address):
            find_export(address)
    assert bucket == "s3://bucket"
    assert fsspec.filesystem("s3").ls("") == ["bucket"]


def test_kills_leave_no_half_export_and_the_next_run_is_whole(tmp_path: Path):
    """Killed at random moments, an export is there as a whole or not at all; the dataset is as it was."""
    dataset = make_dataset(tmp_path / "data" / "frames", frames=20)
    before = tree(dataset.root)
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for index in range(KILLS):
        kind, out = FORMATS[index % len(FORMATS)], tmp_path / f"exports/{index % 2}"
        words = ["--format", kind, "--out", str(out), "--overwrite", "--logins", "--shard-mb", "0.02"]
        _kill(words, dataset, out, rng.uniform(0, 0.3))
        assert not out.exists() or errors(out) == []
    for index in range(2):
        out = tmp_path / f"exports/{index}"
        assert export(dataset, out, overwrite=True) == 400
        assert errors(out) == []
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == ["0", "1"]
    assert tree(dataset.root) == before | {".key": (dataset.root / ".key").read_bytes()}


def _kill(words: Sequence[str], dataset: FrameFolder, out: Path, delay_s: float) -> None:
    """Start an export, wait until it writes, and kill it `delay_s` seconds later."""
    env = environment(DOWNLOAD_PATH=str(dataset.root.parent), DB_HOST="")
    process = subprocess.Popen([sys.executable, "-m", "data.export", *words], cwd=REPOSITORY, env=env)
    part = out.with_name(f".{out.name}.export-part")
    while process.poll() is None and not part.exists():
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
