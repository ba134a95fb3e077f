"""data.storage.frame_folder and data.atomic: real files, real processes, real full disks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.storage.frame_folder import Folder
from tests.data.conftest import REPOSITORY

# Saves frames of a megabyte, or whatever size is given, for ever or as often as given.
_SAVER = """
import sys
from pathlib import Path
from data.storage.frame_folder import Folder
root, letter, size, times = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
while times:
    Folder(root).save(7, "ann", [letter * size] * 3)
    times -= 1
"""


def _saver(folder: Folder, letter: str, size: int = 1_000_000, times: int = -1) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SAVER, str(folder.root), letter, str(size), str(times)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    return process


def _files(folder: Folder) -> list[str]:
    return sorted(str(path.relative_to(folder.root)) for path in folder.root.rglob("*") if path.is_file())


def test_save_names_the_files_by_game_login_and_number(folder: Folder):
    """Files land where the folder's layout says, with the bytes given, and nothing else is left."""
    saved = folder.save(7, "ann", [b"one", b"two"])
    assert saved == [StoredFrame(7, "ann", 1), StoredFrame(7, "ann", 2)]
    assert _files(folder) == ["7/ann-1.jpg", "7/ann-2.jpg"]
    assert (folder.root / "7/ann-2.jpg").read_bytes() == b"two"


def test_numbers_continue_after_the_largest_of_that_login_in_that_game(folder: Folder):
    """Gaps are not filled (a deleted frame's name never comes back), and other logins do not count."""
    folder.save(7, "ann", [b""] * 3)
    folder.delete([StoredFrame(7, "ann", 1), StoredFrame(7, "ann", 1)])
    folder.save(7, "ann_2", [b""] * 9)
    assert [frame.number for frame in folder.save(7, "ann", [b""])] == [4]
    assert [frame.number for frame in folder.save(8, "ann", [b""])] == [1]


@pytest.mark.parametrize("login", ["../ann", "", "a/b", "a" * 26, "Ann", "ann\n", "añn", "-", ".", "a-1.jpg", "\0"])
def test_what_is_no_login_never_becomes_a_path(folder: Folder, login: str):
    """Logins come from the network: one that could leave the folder, or confuse its names, is refused."""
    with pytest.raises(FolderError):
        folder.save(7, login, [b"x"])
    assert list(folder.root.parent.rglob("*")) == [folder.root]


def test_downloads_side_by_side_never_overwrite_each_other(folder: Folder):
    """Two processes saving frames of the same login in the same game lose none."""
    savers = [_saver(folder, letter, size=10, times=60) for letter in "ab"]
    assert [saver.wait() for saver in savers] == [0, 0]
    frames = list(folder.frames())
    assert sorted(frame.number for frame in frames) == list(range(1, 361))
    contents = [(folder.root / frame.path).read_bytes() for frame in frames]
    assert contents.count(b"a" * 10) == contents.count(b"b" * 10) == 180


def test_a_killed_writer_leaves_whole_frames_and_hidden_files_only(folder: Folder):
    """kill -9 in the middle of writing: every frame there is complete, and the rest is known for a leftover."""
    left = 0
    for attempt in range(8):
        saver = _saver(folder, "k")
        time.sleep(0.02 + 0.013 * attempt)
        saver.kill()
        saver.wait()
        contents = folder.scan()
        assert contents.foreign == ()
        assert {(folder.root / frame.path).stat().st_size for frame in contents.frames} <= {1_000_000}
        left += len(contents.leftovers)
        folder.remove_leftovers(contents)
        assert len(_files(folder)) == len(contents.frames)
    assert left, "no kill hit a write: make the files larger"


def test_the_temporary_file_of_a_living_writer_is_no_leftover(folder: Folder):
    """dbSync beside a download must not take its files; one an hour old is taken all the same."""
    folder.remember([Game(7, "Seven")])
    alive = folder.root / "7" / f".{os.getpid()}-0123456789abcdef.tmp"
    alive.write_bytes(b"half")
    assert folder.scan().leftovers == folder.scan().foreign == ()
    os.utime(alive, (0, time.time() - 4000))
    assert folder.scan().leftovers == (f"7/{alive.name}",)


def test_a_file_too_large_to_write_leaves_nothing_of_the_call(folder: Folder):
    """Writing breaks off in the third file (the system's limit on a file's size): the first two go, too."""
    code = _SAVER.replace("[letter * size] * 3", "[b'', letter, letter * size]")
    process = subprocess.run(
        [sys.executable, "-c", code, str(folder.root), "x", "5000", "1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert "FolderError" in process.stderr
    assert _files(folder) == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Folder]:
    """A folder on a disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root's rights")
    yield Folder(disk / "frames")
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_says_so_and_keeps_what_was_there(full_disk: Folder):
    """The call that does not fit leaves nothing; what was saved before stays, and room is there again."""
    full_disk.save(7, "ann", [b"x" * 10_000])
    with pytest.raises(FolderError, match="No space left on device: free some space"):
        full_disk.save(7, "ann", [b"x" * 10_000] * 9)
    assert _files(full_disk) == ["7/ann-1.jpg"]
    assert full_disk.save(7, "ann", [b"x" * 10_000]) == [StoredFrame(7, "ann", 2)]


def test_an_interrupted_save_leaves_all_or_none(folder: Folder):
    """Ctrl-C while saving: the number of frames stays a multiple of the three of each call, without leftovers."""
    saver = _saver(folder, "c", size=100_000)
    time.sleep(0.2)
    saver.send_signal(signal.SIGINT)
    saver.wait()
    files = _files(folder)
    assert files
    assert len(files) % 3 == 0
    assert all(name.endswith(".jpg") for name in files)


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path):
    """A file where the folder should be: one line that names the path and DOWNLOAD_PATH."""
    (tmp_path / "frames").write_text("in the way")
    folder = Folder(tmp_path / "frames")
    for act in (lambda: folder.save(7, "ann", [b""]), lambda: folder.remember([Game(7, "")]), folder.scan):
        with pytest.raises(FolderError, match="DOWNLOAD_PATH"):
            act()
    assert folder.size_bytes() == 0


def test_scan_tells_ours_from_foreign(folder: Folder):
    """By name alone: every spelling that `save` would not have written is foreign, also broken ones."""
    folder.remember([Game(7, "Seven")])
    folder.save(7, "ann", [b"x"])
    foreign = ["7/ann-0.jpg", "7/ann-01.jpg", "7/Ann-1.jpg", "7/ann-1.jpeg", "7/.hidden", "readme", "007", "7/\udcff"]
    for name in foreign:
        (folder.root / name).write_bytes(b"")
    (folder.root / "7" / "bob-1.jpg").mkdir()
    (folder.root / "7" / "eve-1.jpg").symlink_to("nowhere")
    (folder.root / "9").mkdir()
    contents = folder.scan()
    assert contents.frames == (StoredFrame(7, "ann", 1),)
    assert contents.games == {7, 9}
    assert contents.foreign == tuple(sorted([*foreign, "7/bob-1.jpg", "7/eve-1.jpg"]))


def test_a_missing_folder_holds_no_frames_but_is_no_empty_dataset(tmp_path: Path):
    """Training finds nothing there; dbSync must not believe it: the disk may not be mounted."""
    folder = Folder(tmp_path / "missing")
    assert list(folder.frames()) == []
    assert folder.names() == {}
    assert folder.size_bytes() == 0
    with pytest.raises(FolderError, match="make an empty folder"):
        folder.scan()


def test_size_counts_every_file(folder: Folder):
    """Frames, names and foreign files take up space alike."""
    folder.save(7, "ann", [b"x" * 100, b"x" * 20])
    (folder.root / "readme").write_bytes(b"123")
    assert folder.size_bytes() == 123


def test_names_survive_hostile_text_and_are_merged(folder: Folder):
    """Tabs, lines, escape codes and lone surrogates cannot break the file; other games' names stay."""
    folder.remember([Game(7, "Counter-Strike"), Game(2**40, "原神")])
    folder.remember([Game(8, "a\tb\nc\x1b[31m \ud800"), Game(9, "\n"), Game(7, "Counter-Strike 2")])
    assert folder.names() == {7: "Counter-Strike 2", 8: "a b c [31m", 9: "game 9", 2**40: "原神"}
    assert (folder.root / "games.tsv").read_text("utf-8").count("\n") == 4
    assert folder.scan().games == {7, 8, 9, 2**40}


def test_names_that_somebody_broke_are_passed_over(folder: Folder):
    """games.tsv may have been edited by hand, and badly: what can be read is read."""
    (folder.root / "games.tsv").write_bytes(b"7\tSeven\r\nno id\n\n8\n9\t\xff\n-1\tminus\n10\tTen\tmore\n")
    assert folder.names() == {7: "Seven", 9: "\ufffd", 10: "Ten more"}


def test_games_remembered_side_by_side_are_all_there(folder: Folder):
    """Two downloads adding games at the same time: neither writes over the other's."""
    code = (
        "import sys; from pathlib import Path; from data.entities import Game; from data.storage.frame_folder import Folder\n"
        "for i in range(int(sys.argv[2]), 100, 2): Folder(Path(sys.argv[1])).remember([Game(i + 1, f'g{i}')])"
    )
    command = [sys.executable, "-c", code, str(folder.root)]
    savers = [subprocess.Popen([*command, first], cwd=REPOSITORY) for first in "01"]
    assert [saver.wait() for saver in savers] == [0, 0]
    assert sorted(folder.names()) == list(range(1, 101))


def test_a_frames_path_has_one_spelling():
    """parse takes back what path gives, and nothing else."""
    frame = StoredFrame(2**40, "a_1", 12)
    assert StoredFrame.parse(frame.path) == frame
    for path in ("7/a-0.jpg", "07/a-1.jpg", "7/a-1.jpg\n", "x/7/a-1.jpg", "7/a-1.png", "7/a-٣.jpg", "7/A-1.jpg"):
        with pytest.raises(ValueError, match="is no"):
            StoredFrame.parse(path)
