"""Fuzz targets: the files of a dataset that people and killed processes damage, and exports that strangers made."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from data.errors import ToolkitError
from tests.fuzzing.strategies import damaged_bytes, damaged_json, damaged_records
from tests.fuzzing.target import Feed, Target, in_folder

_JPEG = b"\xff\xd8\xff frame"
_HASH = hashlib.sha256(_JPEG).hexdigest()
_CHANGE = "20260101-000000-000000"
_DETAILS = {
    "sha256": _HASH,
    "grabbed_at": "2026-11-26T10:20:14.500Z",
    "language": "en",
    "viewers": 12,
    "title": "hi",
    "origin": "https://www.twitch.tv/ann",
}
_MANIFEST: list[dict[str, Any]] = [
    {"file": "ann-1.jpg", **_DETAILS},
    {"file": "ann-1.jpg"},
    {"file": "bob-2.jpg", "title": "원신"},
]
_JOURNAL: list[dict[str, Any]] = [
    {"summary": "check", "undoes": ""},
    {"from": "743/ann-1.jpg", "to": f".trash/{_CHANGE}/743/ann-1.jpg", "reason": "a menu", **_DETAILS},
    {"from": "743/bob-1.jpg", "to": "744/bob-1.jpg", "reason": "", **_DETAILS},
]
_CHECK = (
    "path,game_id,login,suspicion,kind,reason,suggested_game_id,suspect,sha256,stream_suspicion,stream_suspect\n"
    f"743/ann-1.jpg,743,ann,0.9000,menu,a menu,,yes,{_HASH},0.5000,yes\n"
    f'743/bob-1.jpg,743,bob,0.1000,other game,"as 744/eve-1.jpg, so",744,no,{_HASH},0.1000,no\n'
).encode()


def _use_manifest(root: Path) -> None:
    from data.entities import StoredFrame
    from data.storage import manifest
    from data.storage.frame_folder import FrameFolder

    store = FrameFolder(root)
    (root / "743" / "ann-1.jpg").write_bytes(_JPEG)
    assert len(store.described([StoredFrame(743, "ann", 1)])) == 1
    frame = StoredFrame(743, "ann", 1, bytes.fromhex(_HASH))
    store.add_details([frame])
    assert store.described([frame])[0].sha256 == frame.sha256
    store.compact([743])
    assert not manifest.has_stale_lines(root / "743")
    assert store.described([frame])[0].sha256 == frame.sha256


def _use_journal(data: bytes, state: str) -> None:
    """Let a command finish or undo a change; it must not touch anything outside of the dataset."""
    from data.storage import journal
    from data.storage.changes import FrameChanges
    from data.storage.folder_files import FolderFiles
    from data.storage.frame_folder import FrameFolder

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        root = Path(folder) / "frames"
        for name in (".changes", "743"):
            (root / name).mkdir(parents=True)
        (root / "games.tsv").write_text("743\tChess\n744\tGo\n")
        (root / "743" / "ann-1.jpg").write_bytes(_JPEG)
        (root / ".changes" / f"{_CHANGE}.{state}").write_bytes(data)
        changes = FrameChanges(FrameFolder(root), None)
        with suppress(ToolkitError):
            changes.finish_pending()
        with suppress(ToolkitError):
            assert journal.read_summary(FolderFiles(root), _CHANGE).moved >= 0
        with suppress(ToolkitError):
            assert all(change.time and change.trashed >= 0 for change in changes.changes())
            changes.undo()
        assert [path.name for path in Path(folder).iterdir()] == ["frames"]
        assert sum(path.is_file() and path.read_bytes() == _JPEG for path in root.rglob("*.jpg")) == 1


@contextmanager
def _with_journals() -> Iterator[Feed]:
    def feed(data: bytes) -> None:
        for state in ("pending", "done"):
            _use_journal(data, state)

    yield feed


def _use_check(root: Path) -> None:
    from data.storage.frame_folder import FrameFolder
    from data.storage.suspects import count_suspects
    from model.cleaning.check_file import from_csv, to_csv

    with suppress(ToolkitError):
        count_suspects(FrameFolder(root))
    result = from_csv((root / "check.csv").read_bytes(), {743: "Chess"})
    again = from_csv(to_csv(result).encode(), {743: "Chess"})
    assert [finding.frame for finding in again.frames] == [finding.frame for finding in result.frames]


def _use_names(root: Path) -> None:
    from data.entities import Game
    from data.storage.frame_folder import FrameFolder

    store = FrameFolder(root)
    names = store.game_names()
    store.removed_games()
    store.add_games([Game(743, "Chess")])
    assert store.game_names() == names | {743: "Chess"}
    assert store.add_own_game("Own").name.casefold() == "own"


def _use_pseudonyms(root: Path) -> None:
    from data.storage.folder_files import FolderFiles
    from data.storage.pseudonyms import Forgotten, Pseudonyms

    for name, content in ((".key", b"k" * 32), ("forgotten.txt", b"# mine\n")):
        if not (root / name).exists():
            (root / name).write_bytes(content)
    forgotten = Forgotten(FolderFiles(root))
    forgotten.holds("ann")
    forgotten.count()
    forgotten.add("ann")
    assert forgotten.holds("ann")
    assert forgotten.holds(Pseudonyms(FolderFiles(root)).of("ann"))
    assert forgotten.remove("ann")


@cache
def _segments() -> list[bytes]:
    """Return segments of a feature store, also of other networks and made up ones."""
    keys = np.frombuffer(hashlib.sha256(b"b").digest() + hashlib.sha256(b"c").digest(), np.uint8).reshape(2, 32)
    vectors = np.arange(6, dtype=np.float16).reshape(2, 3)
    odd: list[Any] = [vectors[:, :2], vectors.astype(np.float64), vectors.astype("U5"), vectors.astype(complex)]
    odd += [np.zeros((2, 0), np.float16), np.zeros(2, "i4,f4"), np.zeros((2, 3), "M8[s]"), vectors[0]]
    found = []
    for array in [vectors, vectors, vectors, *odd]:
        file = io.BytesIO()
        np.savez(file, hashes=keys, vectors=array)
        found.append(file.getvalue())
    file = io.BytesIO()
    np.savez_compressed(file, hashes=keys, vectors=vectors)
    np.save(single := io.BytesIO(), vectors)
    return [*found, file.getvalue(), single.getvalue()]


def _use_features(folder: Path) -> None:
    from data.storage.features import FeatureStore

    for path in folder.iterdir():
        if path.name != "00000002.npz":
            path.unlink()
    hashes = [hashlib.sha256(bytes([letter])).digest() for letter in b"abc"]
    store = FeatureStore(folder)
    store.get(hashes)
    store.missing(hashes)
    store.add(hashes[:1], np.ones((1, 3), np.float16))
    with suppress(ToolkitError):
        assert len(store.get(hashes)[0]) == len(hashes)
    store.add(hashes, np.ones((3, 3), np.float16))
    assert not store.missing(hashes)
    with suppress(ToolkitError):
        assert store.get(hashes)[1].all()
    store.remove(hashes[1:])
    assert store.missing(hashes) == set(hashes[1:])


def _use_list(folder: Path) -> None:
    from data.settings.lists import read_entries

    assert all(entry.strip() for entry in read_entries([f"@{folder / 'list.txt'}"], "GAMES"))


@cache
def _export(kind: str) -> dict[str, bytes]:
    """Return the files of an export by name."""
    from data.exchange.exporter import ExportSettings
    from data.export import export_dataset
    from tests.data.exports import make_dataset

    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        export_dataset(make_dataset(Path(name) / "frames", 1), str(out), ExportSettings(kind, logins=True))
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def _largest(kind: str, ending: str) -> str:
    """Return the name of the export's largest file with this ending."""
    files = {name: content for name, content in _export(kind).items() if name.endswith(ending)}
    return max(files, key=lambda name: len(files[name]))


@contextmanager
def _importing(kind: str, ending: str) -> Iterator[Feed]:
    """Yield a function that imports an export, one file of which is its input, into an empty dataset: a dry run."""
    from data.exchange.exported import find_export
    from data.exchange.game_ids import GameIds
    from data.exchange.importer import Importer
    from data.storage.frame_folder import FrameFolder
    from data.video.images import picture_to_frame

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        out, store = Path(folder) / "out", FrameFolder(Path(folder) / "frames")
        for name, content in _export(kind).items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
        to_frame = partial(picture_to_frame, img_size=32, jpeg_quality=90)

        def feed(data: bytes) -> None:
            (out / _largest(kind, ending)).write_bytes(data)
            importer = Importer(
                store=store,
                rows=None,
                games=GameIds(store, None, None),
                known=set(),
                trashed=set(),
                is_unwanted=lambda _: False,
                to_frame=to_frame,
            )
            with suppress(ToolkitError):
                pictures = find_export(str(out))
                assert pictures is not None
                importer.add(pictures(importer.stats))
                importer.stats.summary()

        yield feed


def _seeds(kind: str, ending: str) -> list[bytes]:
    return [_export(kind)[_largest(kind, ending)]]


def _exported(kind: str, ending: str, damaged: Callable[[list[bytes]], st.SearchStrategy[bytes]]) -> Target:
    return Target(st.deferred(lambda: damaged(_seeds(kind, ending))), partial(_importing, kind, ending))


def _damaged_document(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return JSON that is damaged as text or as a value."""
    return damaged_bytes(seeds) | damaged_json([json.loads(seed) for seed in seeds])


def _damaged_lines(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return JSON lines that are damaged as text or as values."""
    return damaged_bytes(seeds) | damaged_records([json.loads(line) for seed in seeds for line in seed.splitlines()])


@st.composite
def _sealed_tar(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Return a tar file with odd bytes in a member's header, whose checksum is right: tarfile believes them."""
    data = draw(st.sampled_from(seeds))
    start = draw(st.sampled_from([at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]))
    header = bytearray(data[start : start + 512])
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.integers(0, 2)):
            case 0:
                odd = [b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\xff" * 10 + b"\xfc\0", b"77777777777\0", b"x" * 12]
                header[124:136] = draw(st.sampled_from(odd))  # its size
            case 1:
                header[156] = draw(st.sampled_from(b"0xgLKSVDA5127\0"))  # its type
            case _:
                at = draw(st.integers(0, 511))
                header[at] = draw(st.integers(0, 255))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:start] + bytes(header) + data[start + 512 :]


def _damaged_tar(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    return damaged_bytes(seeds) | _sealed_tar(seeds)


def _to_lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


DATASET_TARGETS: dict[str, Target] = {
    "manifest": Target(_damaged_lines([_to_lines(_MANIFEST)]), partial(in_folder, "743/manifest.jsonl", _use_manifest)),
    "journal": Target(_damaged_lines([_to_lines(_JOURNAL)]), _with_journals),
    "check_file": Target(damaged_bytes([_CHECK]), partial(in_folder, "check.csv", _use_check)),
    "game_names": Target(
        damaged_bytes([b"743\tChess\n744\tchess\n", "\ufeff1000000000000\t原神\r\n7\tX\tY\n".encode()]),
        partial(in_folder, "games.tsv", _use_names),
    ),
    "forgotten": Target(
        damaged_bytes([f"# by hand\n\n{_HASH}\n{'A' * 64}\n".encode()]),
        partial(in_folder, "forgotten.txt", _use_pseudonyms),
    ),
    "key": Target(damaged_bytes([bytes(range(32)), b"\n" * 32]), partial(in_folder, ".key", _use_pseudonyms)),
    "features": Target(
        st.deferred(lambda: damaged_bytes(_segments())), partial(in_folder, "00000002.npz", _use_features)
    ),
    "list_file": Target(
        damaged_bytes([b"Chess\n# none\n743\n", "\ufeff原神\r\n F1 #2 \n".encode(), "a\n".encode("utf-16")]),
        partial(in_folder, "list.txt", _use_list),
    ),
    "exported_parquet": _exported("parquet", ".parquet", damaged_bytes),
    "exported_webdataset": _exported("webdataset", ".tar", _damaged_tar),
    "exported_imagefolder": _exported("imagefolder", "metadata.jsonl", _damaged_lines),
    "exported_fiftyone": _exported("fiftyone", "samples.json", _damaged_document),
    "export_description": _exported("parquet", "export.json", _damaged_document),
}
