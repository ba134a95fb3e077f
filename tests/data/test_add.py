"""data.add: folders of pictures, recordings, other datasets; what is left out, and repetitions."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from sqlalchemy import Engine

from data.add import add_folder, open_importer
from data.entities import FrameDetails, Game, StoredFrame, is_login
from data.exchange.recordings import source_login
from data.storage.catalog import Catalog
from data.storage.changes import FrameChanges, Move
from data.storage.frame_folder import FrameFolder
from data.storage.pseudonyms import Forgotten
from data.video.images import decode_jpeg
from tests.data.conftest import Run, environment, rows, settings
from tests.data.picture_sets import snapshot, write_picture
from tests.pseudo_terminal import PseudoTerminal, command
from tests.sample_videos import recording
from tests.standin import CLIPS, Standin

OWN_ID = 10**12


@pytest.fixture
def pictures(tmp_path: Path, engine: Engine) -> Path:
    """Return a folder for a set of pictures, beside an empty dataset."""
    folder = tmp_path / "my set"
    folder.mkdir()
    return folder


def files(folder: FrameFolder) -> set[StoredFrame]:
    """Return the frames that have files."""
    return set(folder.frames())


def logins(folder: FrameFolder) -> set[str]:
    """Return the logins of all frames."""
    return {frame.login for frame in folder.frames()}


def test_folder_of_classes_becomes_frames_rows_and_lines_of_manifests(
    run: Run, catalog: Catalog, folder: FrameFolder, pictures: Path
):
    """Splits are merged; pictures of any size become frames; a JPEG of the frames' size stays as it is, to the bit."""
    own = write_picture(pictures / "train/Chess/a.jpg", (240, 240))
    for name in ("val/Chess/b.png", "Among_Us/c.webp", "test/Among_Us/d.bmp", "Validation/Chess/e.JPEG"):
        write_picture(pictures / name, (320, 180))
    done = run("data.add", str(pictures))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Added 5 frames of 2 games.", "  Among Us: 2 (new)", "  Chess: 3 (new)"]
    assert files(folder) == rows(catalog)
    assert folder.game_names() == {OWN_ID: "Among Us", OWN_ID + 1: "Chess"}
    assert {summary.game: summary.frames for summary in catalog.games()} == {
        Game(OWN_ID, "Among Us"): 2,
        Game(OWN_ID + 1, "Chess"): 3,
    }
    described = {frame.details.origin: frame for frame in folder.described(folder.frames())}
    assert folder.read(described["my set/train/Chess/a.jpg"]) == own
    assert all(decode_jpeg(folder.read(frame)).shape == (240, 240, 3) for frame in described.values())
    assert len({frame.login for frame in described.values() if frame.game_id == OWN_ID + 1}) == 3  # one a folder


def test_repetition_adds_nothing_and_originals_stay(run: Run, catalog: Catalog, folder: FrameFolder, pictures: Path):
    """A picture that was resized is recognised, as is a copy under another name; new pictures are added."""
    for number in range(3):
        write_picture(pictures / f"Chess/{number}.png")
    (pictures / "Chess/copy.png").write_bytes((pictures / "Chess/1.png").read_bytes())
    before = snapshot(pictures)
    assert run("data.add", str(pictures)).stdout.startswith("Added 3 frames of 1 game; 1 already there.")
    frames = snapshot(folder.root)
    assert run("data.add", str(pictures)).stdout == "Added 0 frames of 0 games; 4 already there.\n"
    assert (snapshot(pictures), snapshot(folder.root)) == (before, frames)
    write_picture(pictures / "Chess/new.png")
    assert run("data.add", str(pictures)).stdout.startswith("Added 1 frame of 1 game; 4 already there.")
    assert files(folder) == rows(catalog)


def test_names_become_ids_of_twitch_with_credentials(run: Run, standin: Standin, folder: FrameFolder, pictures: Path):
    """In any letter case, by id too; a game that Twitch does not know gets an id of our own, and a hint."""
    for name in ("bzflag", "Dungeon_Crawl_Stone_Soup", "9000004", "BZFlak"):
        write_picture(pictures / name / "1.png")
    done = run("data.add", str(pictures), **standin.environment)
    assert done.returncode == 0
    assert folder.game_names() == {
        9000002: "BZFlag",
        9000003: "Dungeon Crawl Stone Soup",
        9000004: "Extreme Tux Racer",
        OWN_ID: "BZFlak",
    }
    assert done.stderr.splitlines() == [
        "warning: added all the same, as a game that Twitch does not know: "
        "Twitch has no category 'BZFlak': did you mean 'BZFlag'?"
    ]


def test_directory_that_is_down_ends_the_import(run: Run, standin: Standin, folder: FrameFolder, pictures: Path):
    """An id of our own would stay for good, so none is given away; the repetition goes on."""
    write_picture(pictures / "BZFlag/1.png")
    standin.fail("api.twitch.tv", 500, 100)
    done = run("data.add", str(pictures), **standin.environment, HELIX_RETRY_BUDGET_S="0.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "HTTP 500" in done.stderr
    assert not files(folder)


def test_game_of_the_dataset_keeps_its_id_and_a_removed_one_returns(
    run: Run, catalog: Catalog, folder: FrameFolder, pictures: Path
):
    """games.tsv is asked first, in any letter case; ids of our own go on from the largest one."""
    folder.add_games([Game(743, "Chess"), Game(OWN_ID + 5, "My Game")])
    (folder.root / "743").rmdir()
    assert folder.removed_games()
    for name in ("CHESS", "my_game", "Other", "2048"):
        write_picture(pictures / name / "1.png")
    assert run("data.add", str(pictures)).returncode == 0
    names = {743: "Chess", OWN_ID + 5: "My Game", OWN_ID + 6: "Other", 2048: "game 2048"}
    assert folder.game_names() == names
    assert not folder.removed_games()
    assert {frame.game_id for frame in rows(catalog)} == set(names)


def _spoil(folder: Path) -> None:
    """Write what is no picture, beside the picture folder/good.jpg, whose game is the folder's name."""
    jpeg = write_picture(folder / "good.jpg")
    for name, size in (("half.jpg", (64, 48)), ("half.png", (64, 48)), ("half.webp", (64, 48))):
        content = write_picture(folder / name, size)
        (folder / name).write_bytes(content[: len(content) * 3 // 4])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_bytes(b"no picture")
    (folder / "\x1b[31m\u202ered.jpg").write_bytes(b"no picture")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg[:30])
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", 1 << 16, 1 << 16, 8, 2, 0, 0, 0), b"IDAT"]  # of 4 gigapixels
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    os.mkfifo(folder / "fifo.jpg")
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "loop").symlink_to("..")
    (folder / "more.zip").write_bytes(b"PK")


def test_bad_files_are_named_and_left_out(run: Run, folder: FrameFolder, pictures: Path):
    """Damaged, empty, endless and hostile files cost only themselves, and their names obey nobody's terminal."""
    _spoil(pictures / "Chess")
    (pictures / "Chess/notes.txt").touch()
    (pictures / "Chess/.hidden.jpg").touch()
    write_picture(pictures / "loose.jpg")
    done = run("data.add", str(pictures))
    assert done.returncode == 0
    assert done.stdout.startswith("Added 1 frame of 1 game; 13 files left out; 1 without a picture.")
    assert done.stderr.isascii() or "\u202e" not in done.stderr
    assert "\x1b" not in done.stderr
    for name, reason in {
        "half.jpg": "invalid image",
        "empty.png": "the file is empty",
        "bomb.png": "the image has too many pixels",
        "fifo.jpg": "not a regular file",
        "loop": "it is a link to a folder that was read already",
        "more.zip": "it is an archive; unpack it",
        "loose.jpg": "it lies in no folder of a game",
    }.items():
        assert any(f"{name} is left out: {reason}" in line for line in done.stderr.splitlines()), name
    assert len(files(folder)) == 1


@pytest.mark.parametrize(
    ("streamer", "expected"), [("folder", {"ann", "chess_*"}), ("prefix", {"bob", "eve_x", "chess_*"}), ("file", {"*"})]
)
def test_streamers_come_from_folders_prefixes_or_files(
    run: Run, folder: FrameFolder, pictures: Path, streamer: str, expected: set[str]
):
    """Names that are logins stay; others get a hash, so that different ones never become one login."""
    for name in ("Chess/Ann/bob-1.jpg", "Chess/eve_x_0002.jpg", "Chess/1.jpg"):
        write_picture(pictures / name)
    assert run("data.add", "--streamer", streamer, str(pictures)).returncode == 0
    found = logins(folder)
    assert len(found) == (3 if streamer == "file" else len(expected))
    for pattern in expected:
        assert any(Path(login).match(pattern) for login in found), (pattern, found)


def test_trashed_forgotten_and_excluded_frames_are_left_out(
    run: Run, catalog: Catalog, folder: FrameFolder, pictures: Path
):
    """What somebody removed does not return by an import."""
    for login in ("ann", "bob", "eve"):
        write_picture(pictures / f"Chess/{login}/1.jpg")
    assert run("data.add", str(pictures), EXCLUDE_STREAMERS="eve").stdout.startswith(
        "Added 2 frames of 1 game; 1 of excluded or forgotten streamers."
    )
    ann = next(frame for frame in folder.frames() if frame.login == "ann")
    FrameChanges(folder, catalog).apply([Move(ann, None, "menu")], "test")
    Forgotten(folder.files).add("bob")
    done = run("data.add", str(pictures), EXCLUDE_STREAMERS="eve")
    assert done.stdout.startswith("Added 0 frames of 0 games; 1 in the trash; 2 of excluded or forgotten streamers.")
    assert files(folder) == rows(catalog) == set()  # the repair at the start has deleted bob's frame


@pytest.mark.parametrize("streamer", ["folder", "prefix", "file"])
def test_pictures_whose_paths_name_a_forgotten_streamer_are_left_out(
    run: Run, folder: FrameFolder, pictures: Path, streamer: str
):
    """As a folder or as the beginning of a file's name, whatever stands for the streamer; a game may have that name."""
    for login in ("ann", "bob_", "eve"):
        Forgotten(folder.files).add(login)
    for name in ("Chess/ann-12.jpg", "train/Chess/Ann/1.jpg", "Chess/bob_-1.jpg", "Go/x/ann/dan-1.jpg", "Go/ann3.jpg"):
        write_picture(pictures / name)
    for name in ("Eve/dan-1.jpg", "Chess/annika-1.jpg"):
        write_picture(pictures / name)
    done = run("data.add", "--streamer", streamer, str(pictures))
    assert done.stdout.startswith("Added 2 frames of 2 games; 5 of excluded or forgotten streamers."), done.stdout
    files = [str(pictures / name) for name in ("Chess/ann-12.jpg", "train/Chess/Ann")]
    done = run("data.add", "--streamer", streamer, "Go", *files, EXCLUDE_STREAMERS="dan")
    assert done.stdout == "Added 0 frames of 0 games; 2 of excluded or forgotten streamers.\n"


def test_sources_of_a_forgotten_or_excluded_streamer_are_not_opened(
    run: Run, folder: FrameFolder, tmp_path: Path, engine: Engine
):
    """A channel, a clip's address, recordings with the name: what opens them would give another reason."""
    Forgotten(folder.files).add("ann")
    sources = ["ann", "https://www.twitch.tv/Ann/clip/Slug-1", "eve", str(tmp_path / "ann-1.mp4"), "ann/1.mkv"]
    done = run("data.add", "Chess", *sources, EXCLUDE_STREAMERS="eve")
    assert (done.returncode, done.stdout) == (1, "Added 0 frames of 0 games; 5 files left out.\n")
    reason = "is left out: its streamer was forgotten, or is in EXCLUDE_STREAMERS"
    assert done.stderr.splitlines() == [f"warning: {source} {reason}" for source in sources]


def test_links_out_of_the_folder_are_left_out(run: Run, folder: FrameFolder, pictures: Path, tmp_path: Path):
    """Those to files and to folders are named; links inside are followed, and the folder itself may be one."""
    write_picture(pictures / "Chess/1.jpg")
    write_picture(tmp_path / "private/Chess/2.jpg")
    (pictures / "Chess/again.jpg").symlink_to("1.jpg")
    (pictures / "Chess/out.jpg").symlink_to(tmp_path / "private/Chess/2.jpg")
    (pictures / "disk").symlink_to("/")
    (pictures / "private").symlink_to("../private")
    (tmp_path / "link").symlink_to(pictures)
    done = run("data.add", str(tmp_path / "link"))
    assert done.stdout.startswith("Added 1 frame of 1 game; 1 already there; 3 files left out.")
    reason = "is left out: it is a link that leads out of the folder"
    assert {line.removeprefix("warning: ") for line in done.stderr.splitlines()} == {
        f"{tmp_path / 'link' / name} {reason}" for name in ("Chess/out.jpg", "disk", "private")
    }


def test_interrupted_import_says_how_far_it_came(server: dict[str, str], folder: FrameFolder, pictures: Path):
    """The batches before are saved, and the same command goes on."""
    for number in range(501):  # two batches, of which the first is saved by now
        write_picture(pictures / f"{number}.png", (16, 16))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4"
        env = environment(**server, DOWNLOAD_PATH=str(folder.root.parent))
        words = command("data.add", "Chess", str(pictures), address)
        with subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True) as process:
            silent.settimeout(60)
            with silent.accept()[0]:
                process.send_signal(signal.SIGINT)
                stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert stderr.splitlines() == [
        "warning: Added 250 frames of 1 game. The same command goes on from here.",
        "error: Interrupted.",
    ]
    assert len(files(folder)) == 250


def test_files_of_a_killed_import_get_their_rows_first(run: Run, catalog: Catalog, folder: FrameFolder, pictures: Path):
    """So their frames count as present, and no second copy of them comes."""
    jpegs = [write_picture(pictures / f"Chess/ann/{number}.jpg", (240, 240)) for number in (1, 2)]
    folder.add_games([Game(743, "Chess")])
    folder.save(743, "ann", jpegs[:1])
    done = run("data.add", str(pictures))
    assert done.stdout.startswith("Added 1 frame of 1 game; 1 already there.")
    assert files(folder) == rows(catalog)
    assert sorted(map(folder.read, files(folder))) == sorted(jpegs)


def test_dry_run_writes_nothing(run: Run, folder: FrameFolder, catalog: Catalog, pictures: Path):
    """It counts as a run does, and needs no database."""
    write_picture(pictures / "Chess/1.png")
    write_picture(pictures / "Go/1.png")
    folder.root.rmdir()
    done = run("data.add", "--dry-run", str(pictures), DB_HOST="")
    assert done.stdout.splitlines() == ["Would add 2 frames of 2 games.", "  Chess: 1 (new)", "  Go: 1 (new)"]
    assert not folder.root.exists()
    assert not (folder.root.parent / "postgres").exists()
    run("data.add", str(pictures))
    assert run("data.add", "--dry-run", str(pictures)).stdout == "Would add 0 frames of 0 games; 2 already there.\n"


def test_recordings_and_pictures_of_a_game_are_added(
    run: Run, catalog: Catalog, folder: FrameFolder, pictures: Path, tmp_path: Path
):
    """Their frames pass the filter; a source that cannot be read is named and gives the exit code; the others stay."""
    clip = CLIPS / "9000002-ctf.mp4"
    (tmp_path / "grey.mp4").write_bytes(recording(seconds=5))
    write_picture(pictures / "1.jpg")
    sources = [str(clip), str(tmp_path / "grey.mp4"), str(tmp_path / "none.mp4"), str(pictures)]
    done = run("data.add", "--frames", "4", "BZFlag", *sources)
    assert done.returncode == 5
    assert done.stdout.startswith(
        "Added 5 frames of 1 game; 3 rejected as one colour; 1 rejected as black; 1 file left"
    )
    assert f"{tmp_path / 'none.mp4'} is left out: " in done.stderr
    assert files(folder) == rows(catalog)
    assert {frame.details.origin for frame in folder.described(folder.frames())} == {str(clip), "my set/1.jpg"}
    again = run("data.add", "--frames", "4", "bzflag", *sources)
    assert again.stdout.splitlines()[0].startswith("Added 0 frames of 0 games; 5 already there;")


@pytest.mark.parametrize(
    ("source", "login"),
    [
        ("https://www.twitch.tv/Ann/clip/Slug-1", "ann"),
        ("https://m.twitch.tv/ann/v/123?t=1h", "ann"),
        ("twitch.tv/Ann/videos", "ann"),
        ("https://www.twitch.tv/videos/123", "123_*"),
        ("https://clips.twitch.tv/Slug-1", "slug_1_*"),
        ("https://example.com/live/index.m3u8?token=x", "index_m3u8_*"),
        ("/tmp/My Run #1 ✓.mp4", "my_run_1_*"),
        ("/tmp/日本.mp4", "x_*"),
    ],
)
def test_login_of_a_recording_is_its_channel_or_derived(source: str, login: str):
    """A derived one is a valid login, and another one for each address and each folder."""
    found = source_login(source)
    assert is_login(found)
    assert Path(found).match(login)
    head, _, tail = source.rpartition("/")
    assert "*" not in login or found != source_login(f"{head}/x/{tail}")


def test_recordings_with_one_prefix_are_of_one_streamer():
    """As pictures are."""
    assert {source_login(f"/tmp/{name}.mp4", "prefix") for name in ("ann-1", "ann_02", "Ann 3")} == {"ann"}


def test_channel_is_added_under_its_login(run: Run, standin: Standin, folder: FrameFolder, catalog: Catalog):
    """A live channel's frames have its login, its address, and the times of its segments."""
    done = run("data.add", "--frames", "2", "BZFlag", "https://www.twitch.tv/BZFlag_CTF", **standin.environment)
    assert done.returncode == 0
    frames = folder.described(folder.frames())
    assert {(frame.game_id, frame.login) for frame in frames} == {(9000002, "bzflag_ctf")}
    assert {frame.details.origin for frame in frames} == {"https://www.twitch.tv/bzflag_ctf"}
    assert all(frame.details.grabbed_at for frame in frames)


def test_frames_of_another_dataset_keep_logins_ids_and_details(
    run: Run, catalog: Catalog, folder: FrameFolder, tmp_path: Path
):
    """Ids of Twitch stay; a game with an id of the other dataset's own is found by its name."""
    other = FrameFolder(tmp_path / "other" / "frames")
    other.add_games([Game(743, "Chess"), Game(OWN_ID, "Go")])
    folder.add_games([Game(OWN_ID, "Doom"), Game(OWN_ID + 1, "Go")])
    details = FrameDetails(1_700_000_000.5, "en", 7, "a title", "https://www.twitch.tv/ann")
    jpegs = [write_picture(tmp_path / f"{number}.jpg", (240, 240)) for number in range(2)]
    other.save(743, "ann", jpegs[:1], [details])
    other.save(OWN_ID, "bob", jpegs[1:])
    done = run("data.add", str(tmp_path / "other"))
    assert done.returncode == 0
    ann, bob = sorted(folder.described(folder.frames()), key=lambda frame: frame.login)
    assert (ann, ann.details, folder.read(ann)) == (StoredFrame(743, "ann", 1), details, jpegs[0])
    assert (bob, folder.read(bob)) == (StoredFrame(OWN_ID + 1, "bob", 1), jpegs[1])
    assert files(folder) == rows(catalog)


@pytest.mark.parametrize("words", [[""], ["Chess", " "], ["", "a.mp4"]])
def test_an_empty_word_is_refused(run: Run, folder: FrameFolder, words: list[str]):
    """An empty variable of a shell does not stand for the current folder."""
    done = run("data.add", *words, DB_HOST="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "it is empty; check the variable" in done.stderr


@pytest.mark.parametrize("name", ["set.zip", "clip.mp4", "empty", "none", "two"])
def test_what_is_nothing_to_add_is_one_line_that_says_what_to_do(run: Run, pictures: Path, name: str):
    """An archive, a recording without its game, an empty folder, a missing one, two folders."""
    (pictures / "empty").mkdir()
    for file in ("set.zip", "clip.mp4"):
        (pictures / file).touch()
    done = run("data.add", *([str(pictures)] * 2 if name == "two" else [str(pictures / name)]))
    assert (done.returncode, done.stdout) == (1, "")
    advice = {"set.zip": "unpack it", "empty": "it needs a folder for each game", "two": "one folder at a time"}
    assert len(done.stderr.splitlines()) == 1
    assert advice.get(name, "name its game first") in done.stderr


def test_terminal_shows_how_far_an_import_is(server: dict[str, str], folder: FrameFolder, pictures: Path):
    """The counts so far, in one line, which the total takes the place of; what is left out stands above it."""
    for number in range(9):
        write_picture(pictures / f"Chess/{number}.png")
    (pictures / "Chess/bad.png").write_bytes(b"no picture")
    env = environment(**server, DOWNLOAD_PATH=str(folder.root.parent))
    with PseudoTerminal(command("data.add", str(pictures)), env, 120, 10) as terminal:
        assert terminal.process.wait(60) == 0
        terminal.wait_for(lambda lines: "Added 9 frames of 1 game; 1 file left out." in lines)
        assert b" of 10 pictures, added " in terminal.written
        assert any("bad.png is left out" in line for line in terminal.screen())


def test_library_adds_without_the_command(
    server: dict[str, str], catalog: Catalog, folder: FrameFolder, pictures: Path
):
    """As a page that starts imports does."""
    write_picture(pictures / "Chess/1.png")
    with open_importer(settings(**server, DOWNLOAD_PATH=folder.root.parent)) as importer:
        assert add_folder(importer, str(pictures)).frames == {"Chess": 1}
    assert files(folder) == rows(catalog)
