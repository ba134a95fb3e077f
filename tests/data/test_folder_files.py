"""data.storage.folder_files: what tests/data/test_object_files.py does not show of the files on a local disk."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.errors import FolderError
from data.storage.folder_files import FolderFiles


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    return FolderFiles(tmp_path / "frames")


def test_private_file_is_its_owners_only(files: FolderFiles):
    """No temporary file is left beside it."""
    files.create("key", b"3", private=True)
    assert {path: files.read(path, 100) for path in files.walk("")} == {"key": b"3"}
    assert stat.S_IMODE((files.root / "key").stat().st_mode) == 0o600


def test_updates_at_the_same_time_lose_nothing(files: FolderFiles):
    """Four threads with locks of their own append to one file."""
    barrier = threading.Barrier(4)

    def append(name: str) -> None:
        barrier.wait()
        for _ in range(10):
            FolderFiles(files.root).update("games.tsv", lambda content: content + name.encode())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, "abcd"))
    content = files.read("games.tsv", 100)
    assert [content.count(name) for name in (b"a", b"b", b"c", b"d")] == [10] * 4


def test_version_follows_files_and_names_in_folders(files: FolderFiles):
    """It is another one after each change, None without the file, and an error for a link that leads nowhere."""
    assert files.version("a") is None
    files.create("a", b"1")
    versions = [files.version("a"), files.folder_version("")]
    files.replace("a", b"2")
    assert files.version("a") not in (versions[0], None)
    assert files.folder_version("") not in (versions[1], None)
    (files.root / "b").symlink_to("nowhere")
    assert files.exists("b")
    with pytest.raises(FolderError, match="No such file"):
        files.version("b")


def test_names_need_not_be_unicode(files: FolderFiles):
    """A file whose name is no UTF-8 is listed, and can be removed."""
    files.make_folder("7")
    (Path(os.fsdecode(bytes(files.root))) / os.fsdecode(b"7/\xff.jpg")).touch()
    assert files.names("7") == [os.fsdecode(b"\xff.jpg")]
    files.remove(list(files.walk("7")))
    assert files.names("7") == []


def test_a_file_in_a_folders_place_is_an_error(files: FolderFiles):
    """It is neither taken for a taken name nor removed."""
    files.create("7", b"mine")
    for write in (
        lambda: files.create("7/a", b""),
        lambda: files.link("7", "7/a"),
        lambda: files.make_folder("7"),
        lambda: files.names("7"),
    ):
        with pytest.raises(FolderError, match="move away what is in the folder's place"):
            write()
    assert files.read("7", 4) == b"mine"
    with pytest.raises(FolderError, match="larger than 3 bytes"):
        files.read("7", 3)
