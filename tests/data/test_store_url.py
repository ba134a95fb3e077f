"""STORE_URL: the commands on datasets in object stores, and addresses where none can be.

Some of them use a real S3 server (moto's), others fsspec's store in memory, which takes a tenth of the time: what S3
does differently is the subject of the tests of data.storage.object_files.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import sqlalchemy as sa

from data.entities import Game, StoredFrame
from data.errors import ExtraMissing
from data.factories import find_mirror, make_frame_store
from data.storage import s3_client
from data.storage.catalog import Catalog
from data.storage.features import FeatureStore
from data.storage.file_store import FileStore
from data.storage.frame_folder import FrameFolder
from data.storage.mirror import Mirror
from data.storage.object_files import ObjectFiles
from data.storage.object_frames import ObjectFrames
from tests.data.conftest import Run, rows, settings
from tests.data.exports import jpeg, make_dataset
from tests.in_process import run_command
from tests.s3_server import BUCKET, S3Server, s3

__all__ = ["s3"]  # a fixture
pytestmark = pytest.mark.xdist_group("s3")  # which import moto
NO_SECRETS = ("testing", "hunter2", "Traceback")


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectFrames:
    """Return an empty store of the test's own, on that server if the test asks for it."""
    address = f"s3://{BUCKET}/{tmp_path.name}/frames" if "s3" in request.fixturenames else f"memory:/{tmp_path}/store"
    return ObjectFrames(ObjectFiles(address), mirror_of(tmp_path, address).frames.features)


@pytest.fixture
def command(run: Run, store: ObjectFrames) -> Run:
    """Return a function that runs a command on the store."""
    return partial(run, STORE_URL=store.location)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FrameFolder:
    """Return a folder with 40 frames of four games, which no test changes."""
    return make_dataset(tmp_path_factory.mktemp("template") / "frames", frames=2)


@pytest.fixture
def filled(store: ObjectFrames, template: FrameFolder) -> ObjectFrames:
    """Return the store with the files of that folder."""
    paths = [path.relative_to(template.root).as_posix() for path in template.root.rglob("*") if path.is_file()]
    store.files.each(lambda path: store.files.create(path, (template.root / path).read_bytes()), paths)
    return store


def mirror_of(download_path: Path, address: str) -> Mirror:
    """Return the copy of a store that the commands make."""
    mirror = find_mirror(settings(DOWNLOAD_PATH=str(download_path), STORE_URL=address))
    assert mirror
    return mirror


def _no_progress(_text: str, _total: int) -> AbstractContextManager[Callable[[int], object]]:
    return nullcontext(lambda _count: None)


def printed(run: Run, *words: str, **changes: str) -> str:
    """Return what a command prints; it must succeed without a message."""
    done = run(*words, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_sync_and_info_know_what_is_in_the_store(
    command: Run, filled: ObjectFrames, template: FrameFolder, catalog: Catalog, tmp_path: Path
):
    """Rows are made of the objects; the numbers, the size and the contact sheet are those of the frames."""
    assert "40 files without a row: adopted" in printed(command, "data.dbSync")
    assert rows(catalog) == set(filled.frames())
    assert printed(command, "data.dbSync").startswith("Nothing to repair.")
    sheet = tmp_path / "sheet.png"
    found = json.loads(printed(command, "data.info", "--json", "--sheet", str(sheet)))
    assert (found["path"], found["frame_count"], found["game_count"]) == (filled.location, 40, 4)
    assert found["size_bytes"] > sum(path.stat().st_size for path in template.root.glob("*/*.jpg"))
    assert sheet.read_bytes().startswith(b"\x89PNG")
    filled.delete([StoredFrame(743, "ann", 1)])
    assert "1 row without a file: removed" in printed(command, "data.dbSync")


@pytest.mark.usefixtures("s3")
def test_download_collects_into_the_store(
    download: Run, command: Run, store: ObjectFrames, catalog: Catalog, folder: FrameFolder
):
    """Frames, manifests, names and rows are there; nothing lies in the local folder; other commands see them."""
    done = download("--frames", "8", STORE_URL=store.location)
    assert done.returncode == 0, done.stderr
    frames = store.described(store.frames())
    assert len(frames) >= 8
    assert rows(catalog) == set(frames)
    assert all(frame.sha256 and frame.details.origin for frame in frames)
    assert {frame.game_id for frame in frames} <= store.game_names().keys()
    assert not list(folder.root.iterdir())
    assert printed(command, "data.dbSync").startswith("Nothing to repair.")
    assert json.loads(printed(command, "data.info", "--json"))["frame_count"] == len(frames)
    store.delete(frames[:1])
    [added] = store.save(frames[0].game_id, "by_hand", [jpeg("by hand")])
    repaired = printed(command, "data.dbSync")
    assert "1 file without a row: adopted" in repaired
    assert "1 row without a file: removed" in repaired
    assert rows(catalog) == {*frames[1:], added}


def test_added_pictures_go_to_the_store_once(command: Run, store: ObjectFrames, catalog: Catalog, tmp_path: Path):
    """data.add writes objects and rows; the same command again adds nothing."""
    pictures = tmp_path / "pictures" / "Chess"
    pictures.mkdir(parents=True)
    for number in range(4):
        (pictures / f"{number}.jpg").write_bytes(jpeg(f"{number}"))
    words = ("data.add", str(pictures.parent))
    assert "Added 4" in printed(command, *words, IMG_SIZE="32")
    assert {store.read(frame) for frame in store.frames()} == {jpeg(f"{number}") for number in range(4)}
    assert rows(catalog) == set(store.frames())
    assert "Added 0" in printed(command, *words, IMG_SIZE="32")


def test_export_of_a_store_is_that_of_the_same_folder(
    command: Run, filled: ObjectFrames, template: FrameFolder, tmp_path: Path, run: Run
):
    """The same bytes; with features and pseudonyms too. The dataset itself is no destination."""
    copytree(template.root, tmp_path / "frames", dirs_exist_ok=True)
    words = ("data.export", "--logins", "--format", "imagefolder", "--out")
    printed(run, *words, str(tmp_path / "a"))
    printed(command, *words, str(tmp_path / "b"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    hashes = [frame.sha256 for frame in filled.described(filled.frames())]
    FeatureStore(filled.features / "network").add(hashes, np.zeros((40, 4), np.float16))
    for out in (f"memory:/{tmp_path}/out", str(tmp_path / "c")):
        assert "40 frames" in printed(command, "data.export", "--without-pictures", "--out", out)
    assert filled.files.read(".key", 100)
    done = command("data.export", "--out", f"{filled.location}/out")
    assert done.returncode == 1
    assert "lies in the dataset" in done.stderr


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_forgotten_streamer_leaves_store_rows_mirror_and_features(
    command: Run, filled: ObjectFrames, template: FrameFolder, catalog: Catalog, tmp_path: Path
):
    """At once on this machine, at the next update on another one; no import brings the streamer back.

    On this machine the copies of other stores are cleaned, too.
    """
    catalog.add_games(Game(key, name) for key, name in filled.game_names().items())
    catalog.add_frames(filled.described(filled.frames()))
    here, there = mirror_of(tmp_path, filled.location), Mirror(tmp_path / "other machine")
    earlier = mirror_of(tmp_path, "memory://another/store")
    hashes = [frame.sha256 for frame in filled.described(filled.frames())]
    for mirror in (here, there, earlier):
        mirror.update(filled, _no_progress)
        FeatureStore(mirror.frames.features / "network").add(hashes, np.zeros((40, 4), np.float16))
    out = printed(command, "data.forget", "ann")
    assert out.startswith("Removed 8 frames, 8 rows, 16 feature vectors.")
    there.update(filled, _no_progress)
    assert {frame.login for frame in (*filled.frames(), *rows(catalog))} & {"ann"} == set()
    for mirror in (here, there, earlier):
        assert len(FeatureStore(mirror.frames.features / "network").missing(hashes)) == 8
        assert not [path for path in mirror.frames.root.rglob("*") if "ann-" in path.name]
        assert not [path for path in mirror.frames.root.rglob("*.jsonl") if b"ann-" in path.read_bytes()]
    assert filled.forgotten.holds("ann")
    assert not [path for path in filled.files.walk("") if b"ann-" in filled.files.read(path, 1 << 20)]
    copytree(template.root, tmp_path / "old" / "frames")
    printed(command, "data.add", str(tmp_path / "old"), IMG_SIZE="32")
    assert "ann" not in {frame.login for frame in filled.frames()}
    assert "ann may be collected again." in printed(command, "data.forget", "--allow", "ann")


def test_old_frames_leave_the_store(command: Run, filled: ObjectFrames, catalog: Catalog, tmp_path: Path):
    """data.purge removes frames by the time in their manifests, also from this machine's mirror."""
    printed(command, "data.dbSync")
    mirror = mirror_of(tmp_path, filled.location)
    mirror.update(filled, _no_progress)
    old = {frame for frame in filled.described(filled.frames()) if frame.details.grabbed_at is not None}
    assert 0 < len(old) < 40
    assert f"Would remove {len(old)} frames" in printed(command, "data.purge", "--older-than", "1d", "--dry-run")
    assert f"Removed {len(old)} frames" in printed(command, "data.purge", "--older-than", "1d")
    assert set(filled.frames()) == rows(catalog) == set(mirror.frames.frames())
    assert not old & set(filled.frames())


def test_address_of_a_folder_is_the_folder(
    run: Run, folder: FrameFolder, template: FrameFolder, tmp_path: Path, engine: sa.Engine
):
    """file:///path: nothing is mirrored."""
    elsewhere = FrameFolder(copytree(template.root, tmp_path / "elsewhere"))
    assert "40 files without a row" in printed(run, "data.dbSync", STORE_URL=f"file://{elsewhere.root}")
    store = make_frame_store(settings(DOWNLOAD_PATH=str(tmp_path), STORE_URL=f"file://{elsewhere.root}/"))
    assert isinstance(store, FileStore)
    assert store.location == str(elsewhere.root)
    assert not list(folder.root.iterdir())
    assert engine


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"STORE_URL": "s3://no-such-bucket/frames"}, "s3://no-such-bucket/frames: "),
        ({"STORE_URL": "s3://Bad_Bucket!/frames"}, "s3://Bad_Bucket!/frames: "),
        ({"STORE_URL": "nonsense://x/y"}, "nonsense://"),
        (
            {"STORE_URL": "s3://user:hunter2/@hunter2@no-such-bucket/frames?token=hunter2"},
            "s3://no-such-bucket/frames: ",
        ),
        ({"STORE_URL": "not an address"}, "STORE_URL"),
        ({"STORE_URL": "file://relative/path"}, "STORE_URL"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "frames: "),
    ],
)
def test_wrong_address_is_one_line(
    s3: S3Server, server: dict[str, str], tmp_path: Path, *, changes: dict[str, str], message: str
):
    """Within seconds, with the address and without secrets, for a command that reads and one that writes."""
    env = {"STORE_URL": f"s3://{BUCKET}/frames", "DOWNLOAD_PATH": str(tmp_path), "HOME": str(tmp_path), **server}
    env |= {**s3.variables, "PATH": "/usr/bin", "AWS_EC2_METADATA_DISABLED": "true"} | changes
    for words in (["data.dbSync"], ["data.export", "--out", str(tmp_path / "out")]):
        check_refused(words, env, message)


def test_spellings_of_an_address_share_a_mirror(tmp_path: Path):
    """A slash at the end, or a user, does not make a second copy."""
    spellings = ("s3://bucket/frames", "s3://bucket/frames/", "s3a://me@bucket/frames", "s3://bucket/other")
    assert len({mirror_of(tmp_path, address).frames.features for address in spellings}) == 2


@pytest.mark.parametrize("address", ["s3://bucket/frames", "gs://bucket/frames"])
def test_store_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, address: str):
    """One line says what to install, and nothing is requested."""
    for name in ("aiobotocore.session", "s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    extra = address.partition(":")[0]
    with pytest.raises(ExtraMissing, match=rf"{extra}:// needs a library .* pip install 'twitchcategory\[{extra}\]'"):
        ObjectFiles(address)


def check_refused(words: list[str], env: dict[str, str], message: str) -> None:
    """Run a command that must end with one line that holds `message`."""
    start = time.monotonic()
    done = run_command(*words, env=env)
    assert time.monotonic() - start < 30
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not [secret for secret in NO_SECRETS if secret in done.stdout + done.stderr]


@pytest.mark.parametrize("answers", ["nothing", "refused"])
def test_server_that_does_not_answer_is_one_line(
    s3: S3Server, server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, answers: str
):
    """A port that nobody listens at, and a server that says nothing."""
    monkeypatch.setattr(s3_client, "_READ_TIMEOUT_S", 0.3)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if answers == "refused":
            listening.close()
        env = {"STORE_URL": f"s3://{BUCKET}/frames", "DOWNLOAD_PATH": str(tmp_path), **server, **s3.variables}
        check_refused(["data.dbSync"], env | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}, f"s3://{BUCKET}/frames")
