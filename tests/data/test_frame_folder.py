"""data.storage.frame_folder and data.atomic: real files, concurrent processes, full disks."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.atomic import atomic_file
from data.entities import Game, StoredFrame
from data.errors import FolderError, LoginForgotten
from data.exchange.exported import find_export
from data.forget import forget
from data.storage.changes import FrameChanges
from data.storage.features import FeatureStore
from data.storage.folder_files import FolderFiles
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Forgotten
from tests.data.conftest import REPOSITORY

# Save three frames of `size` bytes, `times` times; -1: for ever.
_SAVER = """
import sys
import threading
from pathlib import Path
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Forgotten
root, letter, size, times = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
while times:
    FrameFolder(root).save(7, "ann", [letter * size] * 3)
    times -= 1
"""


def _saver(folder: FrameFolder, letter: str, size: int = 1_000_000, times: int = -1) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SAVER, str(folder.root), letter, str(size), str(times)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    return process


def _files(folder: FrameFolder) -> list[str]:
    """Return the paths of all files but the manifests."""
    paths = (path for path in folder.root.rglob("*") if path.is_file() and path.name != "manifest.jsonl")
    return sorted(str(path.relative_to(folder.root)) for path in paths)


def test_save_names_the_files_by_game_login_and_number(folder: FrameFolder):
    """The files have the names of the folder's layout and the given bytes; no other file is left."""
    saved = folder.save(7, "ann", [b"one", b"two"])
    assert saved == [StoredFrame(7, "ann", 1), StoredFrame(7, "ann", 2)]
    assert _files(folder) == ["7/ann-1.jpg", "7/ann-2.jpg"]
    assert (folder.root / "7/ann-2.jpg").read_bytes() == b"two"


def test_numbers_continue_after_the_largest_of_that_login_in_that_game(folder: FrameFolder):
    """Gaps stay: the number of a deleted frame is not used again. Other logins and games do not count."""
    folder.save(7, "ann", [b""] * 3)
    folder.delete([StoredFrame(7, "ann", 1), StoredFrame(7, "ann", 1)])
    folder.save(7, "ann_2", [b""] * 9)
    assert [frame.number for frame in folder.save(7, "ann", [b""])] == [4]
    assert [frame.number for frame in folder.save(8, "ann", [b""])] == [1]


def test_read_returns_the_bytes_and_raises_for_a_missing_frame(folder: FrameFolder):
    """A frame that somebody deleted raises FolderError, which names its file."""
    (frame,) = folder.save(7, "ann", [b"one"])
    assert folder.read(frame) == b"one"
    folder.delete([frame])
    with pytest.raises(FolderError, match="7/ann-1"):
        folder.read(frame)


def test_atomic_file_replaces_the_file_only_on_success(tmp_path: Path):
    """An exception in the block keeps the old content; in both cases no temporary file is left."""
    final = tmp_path / "file"
    with atomic_file(final) as temporary:
        temporary.write_bytes(b"old")
    with contextlib.suppress(KeyError), atomic_file(final) as temporary:
        temporary.write_bytes(b"new")
        raise KeyError
    assert final.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("login", ["../ann", "", "a/b", "a" * 26, "Ann", "ann\n", "añn", "-", ".", "a-1.jpg", "\0"])
def test_an_invalid_login_is_refused(folder: FrameFolder, login: str):
    """Logins come from the network: one that could name a path elsewhere raises FolderError and writes nothing."""
    with pytest.raises(FolderError):
        folder.save(7, login, [b"x"])
    assert list(folder.root.parent.rglob("*")) == [folder.root]


def test_concurrent_downloads_never_overwrite_each_other(folder: FrameFolder):
    """Two processes save frames of the same login and game; no frame is lost."""
    savers = [_saver(folder, letter, size=10, times=60) for letter in "ab"]
    assert [saver.wait() for saver in savers] == [0, 0]
    frames = list(folder.frames())
    assert sorted(frame.number for frame in frames) == list(range(1, 361))
    contents = [folder.read(frame) for frame in frames]
    assert contents.count(b"a" * 10) == contents.count(b"b" * 10) == 180


def test_a_killed_writer_leaves_complete_frames_and_stale_files(folder: FrameFolder):
    """After SIGKILL during a write every frame is complete, and the other files count as stale."""
    stale = 0
    for attempt in range(8):
        saver = _saver(folder, "k")
        time.sleep(0.02 + 0.013 * attempt)
        saver.kill()
        saver.wait()
        scan = folder.scan()
        assert scan.unrecognised == ()
        assert {(folder.root / frame.path).stat().st_size for frame in scan.frames} <= {1_000_000}
        stale += len(scan.stale_files)
        folder.remove_stale_files(scan)
        assert len(_files(folder)) == len(scan.frames)
    assert stale, "no kill hit a write: make the files larger"


def test_a_temporary_file_is_stale_only_without_its_writer_or_after_an_hour(folder: FrameFolder):
    """dbSync must not remove the files of a concurrent download; a file an hour old is stale in any case."""
    folder.add_games([Game(7, "Seven")])
    alive = folder.root / "7" / f".{os.getpid()}-0123456789abcdef.tmp"
    alive.write_bytes(b"half")
    assert folder.scan().stale_files == folder.scan().unrecognised == ()
    os.utime(alive, (0, time.time() - 4000))
    assert folder.scan().stale_files == (f"7/{alive.name}",)


def test_a_failed_write_removes_all_files_of_the_call(folder: FrameFolder):
    """The third file exceeds the system's limit on file sizes; the first two are removed too."""
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
def full_disk(tmp_path: Path) -> Iterator[FrameFolder]:
    """A folder on a disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root's rights")
    yield FrameFolder(disk / "frames")
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_raises_and_keeps_earlier_frames(full_disk: FrameFolder):
    """A call that does not fit leaves nothing behind; earlier frames stay, and a smaller call succeeds."""
    full_disk.save(7, "ann", [b"x" * 10_000])
    with pytest.raises(FolderError, match="No space left on device: free some space"):
        full_disk.save(7, "ann", [b"x" * 10_000] * 9)
    assert _files(full_disk) == ["7/ann-1.jpg"]
    assert full_disk.save(7, "ann", [b"x" * 10_000]) == [StoredFrame(7, "ann", 2)]


def test_an_interrupted_save_leaves_all_or_none(folder: FrameFolder):
    """After SIGINT during a save the number of files is a multiple of three, and no temporary file is left."""
    saver = _saver(folder, "c", size=100_000)
    time.sleep(0.2)
    saver.send_signal(signal.SIGINT)
    saver.wait()
    files = _files(folder)
    assert files
    assert len(files) % 3 == 0
    assert all(name.endswith(".jpg") for name in files)


def test_an_unusable_folder_names_the_setting(tmp_path: Path):
    """A file is in the place of the folder: the message names DOWNLOAD_PATH."""
    (tmp_path / "frames").write_text("in the way")
    folder = FrameFolder(tmp_path / "frames")
    for call in (lambda: folder.save(7, "ann", [b""]), lambda: folder.add_games([Game(7, "")]), folder.scan):
        with pytest.raises(FolderError, match="DOWNLOAD_PATH"):
            call()
    assert folder.size_bytes() == 0


def test_scan_separates_frames_from_unrecognised_paths(folder: FrameFolder):
    """A name that `save` would not write is unrecognised; so are folders and dead links with a frame's name."""
    folder.add_games([Game(7, "Seven")])
    folder.save(7, "ann", [b"x"])
    unrecognised = [
        "7/ann-0.jpg",
        "7/ann-01.jpg",
        "7/Ann-1.jpg",
        "7/ann-1.jpeg",
        "7/.hidden",
        "readme",
        "007",
        "7/\udcff",
    ]
    for name in unrecognised:
        (folder.root / name).write_bytes(b"")
    (folder.root / "7" / "bob-1.jpg").mkdir()
    (folder.root / "7" / "eve-1.jpg").symlink_to("nowhere")
    (folder.root / "9").mkdir()
    scan = folder.scan()
    assert scan.frames == (StoredFrame(7, "ann", 1),)
    assert scan.games == {7, 9}
    assert scan.unrecognised == tuple(sorted([*unrecognised, "7/bob-1.jpg", "7/eve-1.jpg"]))


def test_a_missing_folder_has_no_frames_and_cannot_be_scanned(tmp_path: Path):
    """Training finds no frame there; dbSync gets an error, since the disk may be unmounted."""
    folder = FrameFolder(tmp_path / "missing")
    assert list(folder.frames()) == []
    assert folder.game_names() == {}
    assert folder.size_bytes() == 0
    with pytest.raises(FolderError, match="make an empty folder"):
        folder.scan()


def test_size_counts_every_file(folder: FrameFolder):
    """The size includes frames, manifests, games.tsv and unrecognised files."""
    folder.save(7, "ann", [b"x" * 100, b"x" * 20])
    (folder.root / "readme").write_bytes(b"123")
    assert folder.size_bytes() == 123 + (folder.root / "7/manifest.jsonl").stat().st_size


def test_add_games_cleans_names_and_keeps_other_games(folder: FrameFolder):
    """Tabs, line breaks, escape codes and lone surrogates become spaces; names of other games stay."""
    folder.add_games([Game(7, "Counter-Strike"), Game(2**40, "原神")])
    folder.add_games([Game(8, "a\tb\nc\x1b[31m \ud800"), Game(9, "\n"), Game(7, "Counter-Strike 2")])
    assert folder.game_names() == {7: "Counter-Strike 2", 8: "a b c [31m", 9: "game 9", 2**40: "原神"}
    assert (folder.root / "games.tsv").read_text("utf-8").count("\n") == 4
    assert folder.scan().games == {7, 8, 9, 2**40}


def test_game_names_skips_invalid_lines(folder: FrameFolder):
    """A user may edit games.tsv: valid lines are read, others skipped."""
    (folder.root / "games.tsv").write_bytes(b"7\tSeven\r\nno id\n\n8\n9\t\xff\n-1\tminus\n10\tTen\tmore\n")
    assert folder.game_names() == {7: "Seven", 9: "\ufffd", 10: "Ten more"}


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """Yield the root of a dataset in a folder that this process may not enter."""
    (tmp_path / "locked" / "frames" / "7").mkdir(parents=True)
    (tmp_path / "locked").chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may enter all folders
    try:
        yield tmp_path / "locked" / "frames"
    finally:
        os.seteuid(user)
        (tmp_path / "locked").chmod(0o755)


@pytest.mark.parametrize(
    "use",
    [
        lambda root: list(FrameFolder(root).frames()),
        lambda root: FrameFolder(root).exists(),
        lambda root: FrameChanges(FrameFolder(root), None).locked().__enter__(),
        lambda root: forget(FrameFolder(root), None, ["ann"]),
        lambda root: Forgotten(FolderFiles(root)).holds("ann"),
        lambda root: FeatureStore(root).remove([bytes(32)]),
    ],
    ids=["frames", "exists", "locked", "forget", "forgotten", "features"],
)
def test_a_folder_that_cannot_be_entered_is_an_error(forbidden: Path, use: Callable[[Path], object]):
    """It passes neither for an empty dataset nor for one that has forgotten nobody, and no traceback is printed."""
    with pytest.raises(FolderError, match=r"Permission denied"):
        use(forbidden)


def test_what_cannot_be_entered_holds_no_export(forbidden: Path):
    """Then data.add looks for folders of pictures, and names the folder; so does it for a text that is no path."""
    assert find_export(str(forbidden)) is find_export("x" * 5000) is None


def test_concurrent_add_games_lose_no_name(folder: FrameFolder):
    """Two processes add games at the same time; all names are there."""
    code = (
        "import sys; from pathlib import Path; from data.entities import Game\n"
        "from data.storage.frame_folder import FrameFolder\n"
        "for i in range(int(sys.argv[2]), 100, 2): FrameFolder(Path(sys.argv[1])).add_games([Game(i + 1, f'g{i}')])"
    )
    command = [sys.executable, "-c", code, str(folder.root)]
    savers = [subprocess.Popen([*command, first], cwd=REPOSITORY) for first in "01"]
    assert [saver.wait() for saver in savers] == [0, 0]
    assert sorted(folder.game_names()) == list(range(1, 101))


def test_a_frames_path_has_one_spelling():
    """`parse` accepts exactly what `path` returns."""
    frame = StoredFrame(2**40, "a_1", 12)
    assert StoredFrame.parse(frame.path) == frame
    for path in ("7/a-0.jpg", "07/a-1.jpg", "7/a-1.jpg\n", "x/7/a-1.jpg", "7/a-1.png", "7/a-٣.jpg", "7/A-1.jpg"):
        with pytest.raises(ValueError, match="invalid frame path"):
            StoredFrame.parse(path)


def test_a_folder_that_is_removed_during_a_save_is_made_again(folder: FrameFolder):
    """While frames are saved, somebody runs rm -r on the game's folder and on the whole one: no save fails."""
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            shutil.rmtree(folder.root / "7", ignore_errors=True)
            shutil.rmtree(folder.root, ignore_errors=True)
            time.sleep(0.02)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for _ in range(30):
            folder.add_games([Game(7, "Seven")])
            folder.save(7, "ann", [b"x"] * 3)
    finally:
        stop.set()
        thread.join()
    assert [frame.login for frame in folder.save(7, "ann", [b"x"])] == ["ann"]


@pytest.mark.parametrize("obstacle", ["7", "frames"])
def test_a_file_in_the_place_of_a_folder_is_named(folder: FrameFolder, obstacle: str):
    """The line names the path and what to do; the file stays as it is."""
    path = folder.root / "7" if obstacle == "7" else folder.root
    if obstacle == "frames":
        folder.root.rmdir()
    path.write_text("mine")
    for write in (lambda: folder.save(7, "ann", [b"x"]), lambda: folder.add_games([Game(7, "Seven")])):
        with pytest.raises(FolderError, match="move away what is in the folder's place, or check DOWNLOAD_PATH"):
            write()
    assert path.read_text() == "mine"


def test_a_message_about_a_path_is_one_line(tmp_path: Path):
    """A name may hold line ends and escape codes."""
    (root := tmp_path / "new\nline\x1b[31m").write_text("in the way")
    with pytest.raises(FolderError) as caught:
        FrameFolder(root).save(7, "ann", [b"x"])
    assert str(caught.value).isprintable()


def test_games_with_impossible_ids_are_left_out(folder: FrameFolder):
    """Such an id fits neither a path nor PostgreSQL; the other games of the call are added."""
    folder.add_games([Game(number, "x") for number in (0, -5, 2**63, 10**18, 7)])
    assert folder.game_names() == {7: "x"}
    assert sorted(path.name for path in folder.root.iterdir() if path.is_dir()) == ["7"]


def test_a_number_at_the_end_of_the_range_stops_nothing(folder: FrameFolder):
    """A file that somebody made with the largest number: the next frame still has a valid name."""
    folder.save(7, "ann", [b"x"])
    (folder.root / "7" / f"ann-{10**18 - 1}.jpg").touch()
    (frame,) = folder.save(7, "ann", [b"x"])
    assert frame.number == 2
    assert StoredFrame.parse(frame.path) == frame


def test_pipes_devices_and_marks_in_the_folder_neither_hang_nor_count(folder: FrameFolder):
    """Only regular files are frames, and names; a byte order mark does not hide the first game."""
    folder.save(7, "ann", [b"x"])
    os.mkfifo(folder.root / "7" / "bob-1.jpg")
    (folder.root / "7" / "eve-1.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder.root / "games.tsv")
    assert folder.game_names() == {}
    assert folder.scan().frames == (StoredFrame(7, "ann", 1),)
    assert folder.scan().unrecognised == ("7/bob-1.jpg", "7/eve-1.jpg")
    (folder.root / "games.tsv").unlink()
    (folder.root / "games.tsv").write_bytes(b"\xef\xbb\xbf7\tSeven\n")
    assert folder.game_names() == {7: "Seven"}


def test_save_of_a_forgotten_login_is_refused(folder: FrameFolder):
    """Neither a file nor a line is left, and other streamers are saved."""
    Forgotten(folder.files).add("ann")
    with pytest.raises(LoginForgotten):
        folder.save(7, "ann", [b"x"])
    folder.save(7, "bob", [b"y"])
    assert _files(folder)[-2:] == ["7/bob-1.jpg", "forgotten.txt"]
    assert "ann" not in (folder.root / "7/manifest.jsonl").read_text()


def test_save_with_numbers_uses_those_that_are_free(folder: FrameFolder):
    """An import keeps the numbers that frames had elsewhere; a taken one goes up, with its own line."""
    folder.save(7, "ann", [b"a"])
    saved = folder.save(7, "ann", [b"b", b"c", b"d"], numbers=[1, 9, 4])
    assert [frame.number for frame in saved] == [2, 9, 4]
    assert [folder.read(frame) for frame in saved] == [b"b", b"c", b"d"]
    assert [frame.sha256 for frame in folder.described(saved)] == [frame.sha256 for frame in saved]
    assert folder.save(7, "ann", [b"e"])[0].number == 10
