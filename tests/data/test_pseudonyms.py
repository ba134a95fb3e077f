"""data.storage.pseudonyms: keyed hashes of logins, and the list of forgotten ones."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.entities import is_login
from data.errors import FolderError
from data.storage.folder_files import FolderFiles
from data.storage.pseudonyms import Forgotten, Pseudonyms


def test_pseudonym_is_a_valid_login_and_depends_on_key_and_login(tmp_path: Path):
    """One folder gives a login one pseudonym; another login or another folder gives another one."""
    here, there = Pseudonyms(FolderFiles(tmp_path / "a")), Pseudonyms(FolderFiles(tmp_path / "b"))
    assert is_login(here.of("ann"))
    assert here.of("ann") == Pseudonyms(FolderFiles(tmp_path / "a")).of("ann")
    assert len({here.of("ann"), here.of("ann_"), there.of("ann")}) == 3


def test_key_is_readable_by_its_owner_only_and_stays(tmp_path: Path):
    """The file has 32 bytes and mode 0600, nothing else lies beside it, and a second use leaves it."""
    Pseudonyms(FolderFiles(tmp_path)).of("ann")
    key = tmp_path / ".key"
    content = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(content) == 32
    assert list(tmp_path.iterdir()) == [key]
    Pseudonyms(FolderFiles(tmp_path)).of("bob")
    assert key.read_bytes() == content


def test_makers_of_the_key_at_the_same_time_get_one_key(tmp_path: Path):
    """Four threads with files and locks of their own begin together, several times; all have the same pseudonym."""
    with ThreadPoolExecutor(4) as pool:
        for number in range(10):
            barrier, makers = threading.Barrier(4), [Pseudonyms(FolderFiles(tmp_path / str(number))) for _ in range(4)]
            made = pool.map(lambda maker, barrier=barrier: (barrier.wait(), maker.of("ann"))[1], makers)
            assert len(set(made)) == 1


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33], ids=["empty", "short", "long"])
def test_damaged_key_is_an_error_with_a_cure(tmp_path: Path, content: bytes):
    """A key of another size is refused; the message says what to do."""
    (tmp_path / ".key").write_bytes(content)
    with pytest.raises(FolderError, match=r"\.key is damaged: restore it from a backup; or delete it"):
        Pseudonyms(FolderFiles(tmp_path)).of("ann")


def test_missing_key_beside_forgotten_logins_is_an_error_with_a_cure(tmp_path: Path):
    """No new key is made, with which nobody would be forgotten any more; the reader and the writer both refuse."""
    Forgotten(FolderFiles(tmp_path)).add("ann")
    (tmp_path / ".key").unlink()
    for use in (
        Forgotten(FolderFiles(tmp_path)).holds,
        Forgotten(FolderFiles(tmp_path)).add,
        Pseudonyms(FolderFiles(tmp_path)).of,
    ):
        with pytest.raises(FolderError, match=r"\.key is missing, which forgotten\.txt needs: restore it"):
            use("bob")
    assert not (tmp_path / ".key").exists()


def test_key_that_is_a_folder_or_leads_nowhere_is_an_error(tmp_path: Path):
    """Whatever is in the key's place is refused and stays."""
    (tmp_path / ".key").mkdir()
    with pytest.raises(FolderError, match="not a regular file"):
        Pseudonyms(FolderFiles(tmp_path)).of("ann")
    (tmp_path / ".key").rmdir()
    (tmp_path / ".key").symlink_to("nowhere")
    with pytest.raises(FolderError, match="leads nowhere"):
        Pseudonyms(FolderFiles(tmp_path)).of("ann")


def test_nothing_is_forgotten_in_an_empty_or_missing_folder_and_no_key_is_made(tmp_path: Path):
    """A folder that is only read stays unchanged."""
    assert not Forgotten(FolderFiles(tmp_path / "missing")).holds("ann")
    assert not Forgotten(FolderFiles(tmp_path)).holds("ann")
    assert not Forgotten(FolderFiles(tmp_path)).remove("ann")
    assert not list(tmp_path.iterdir())


def test_forgotten_login_is_held_until_it_is_removed_also_for_who_looked_before(tmp_path: Path):
    """A running download sees a login that another process adds; the file holds no byte of it."""
    download, forget = Forgotten(FolderFiles(tmp_path)), Forgotten(FolderFiles(tmp_path))
    assert not download.holds("ann")
    assert forget.add("ann")
    assert not forget.add("ann")
    assert forget.add("bob")
    assert download.count() == 2
    assert download.holds("ann")
    assert download.holds("bob")
    assert not download.holds("carol")
    assert b"ann" not in (tmp_path / "forgotten.txt").read_bytes()
    assert forget.remove("ann")
    assert not forget.remove("ann")
    assert not download.holds("ann")
    assert download.holds("bob")


def test_new_key_is_seen_by_who_read_the_old_one(tmp_path: Path):
    """The cure of a damaged key, to delete both files and to forget again, works for a running download."""
    download = Forgotten(FolderFiles(tmp_path))
    Forgotten(FolderFiles(tmp_path)).add("ann")
    assert download.holds("ann")
    (tmp_path / ".key").unlink()
    (tmp_path / "forgotten.txt").unlink()
    Forgotten(FolderFiles(tmp_path)).add("ann")
    assert download.holds("ann")


def test_pseudonym_of_a_forgotten_login_is_held_too(tmp_path: Path):
    """An export of the dataset, whose logins are pseudonyms, does not bring the streamer back."""
    Forgotten(FolderFiles(tmp_path)).add("ann")
    pseudonyms = Pseudonyms(FolderFiles(tmp_path))
    assert Forgotten(FolderFiles(tmp_path)).holds(pseudonyms.of("ann"))
    assert not Forgotten(FolderFiles(tmp_path)).holds(pseudonyms.of("bob"))


def test_lines_of_other_people_stay_and_an_invalid_one_is_an_error(tmp_path: Path):
    """Comments, empty lines and a missing end of line are no matter; a line that is no hash names its number."""
    Forgotten(FolderFiles(tmp_path)).add("ann")
    file = tmp_path / "forgotten.txt"
    file.write_bytes(b"\xef\xbb\xbf# asked by mail \xff\r\n\r\n" + file.read_bytes().upper().strip())
    Forgotten(FolderFiles(tmp_path)).add("bob")
    assert Forgotten(FolderFiles(tmp_path)).holds("ann")
    assert Forgotten(FolderFiles(tmp_path)).holds("bob")
    assert file.read_text().startswith("# asked by mail")
    file.write_text("# why\nann\n")
    with pytest.raises(FolderError, match="line 2 is not a hash: delete it, and forget its login again"):
        Forgotten(FolderFiles(tmp_path)).holds("bob")


def test_list_that_cannot_be_read_is_an_error(tmp_path: Path):
    """A folder in the file's place, or a link to an unmounted disk, does not pass for an empty list."""
    (tmp_path / "forgotten.txt").symlink_to("nowhere")
    with pytest.raises(FolderError, match="check the disk and DOWNLOAD_PATH"):
        Forgotten(FolderFiles(tmp_path)).holds("ann")
    (tmp_path / "forgotten.txt").unlink()
    (tmp_path / "forgotten.txt").mkdir()
    with pytest.raises(FolderError, match="not a regular file"):
        Forgotten(FolderFiles(tmp_path)).holds("ann")
