"""data.export: what each format holds, read by itself and by the tools that it is for; pseudonyms; what is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import arro3.io
import numpy as np
import pytest
import webdataset
from arro3.core import struct_field

from data.entities import StoredFrame
from data.exchange import formats as registry
from data.exchange.exporter import ExportSettings
from data.exchange.facts import Facts
from data.exchange.layout import Layout, unique_names
from data.exchange.sample_reader import SampleReader
from data.export import export_dataset, report_lines
from data.storage.features import THUMBNAILS, FeatureStore
from data.storage.frame_folder import FrameFolder
from data.storage.layout import FEATURES_FOLDER
from data.storage.pseudonyms import Forgotten, Pseudonyms
from tests.data.conftest import environment
from tests.data.exports import GAMES, jpeg, make_dataset, manifest
from tests.in_process import run_command

FORMATS = ["parquet", "webdataset", "imagefolder", "fiftyone"]
COLUMNS = ["game_id", "game", "login", "number", "grabbed_at", "language", "viewers", "sha256"]
Row = dict[str, Any]


@pytest.fixture
def dataset(tmp_path: Path) -> FrameFolder:
    """Return a small dataset."""
    return make_dataset(tmp_path / "data" / "frames")


def run(dataset: FrameFolder, *words: str) -> Any:
    """Run data.export on the dataset; no database is needed."""
    env = environment(DOWNLOAD_PATH=str(dataset.root.parent), DB_HOST="")
    return run_command("data.export", *words, env=env)


def rows(kind: str, out: Path) -> Iterator[tuple[str, bytes, Row]]:
    """Yield the split, the JPEG bytes and the values of each sample, in the way of the tool that the format is for."""
    if kind == "parquet":
        yield from _parquet_rows(out)
    elif kind == "webdataset":
        for path in (out / "data").glob("*.tar"):
            for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False):
                row = json.loads(sample["json"])
                assert list(GAMES)[int(sample["cls"])] == row["game_id"]
                yield path.name.partition("-")[0], sample["jpg"], row
    elif kind == "imagefolder":
        for path in out.glob("*/metadata.jsonl"):
            split = {"val": "validation"}.get(path.parent.name, path.parent.name)
            lines = map(json.loads, path.read_text().splitlines())
            yield from ((split, (path.parent / row.pop("file_name")).read_bytes(), row) for row in lines)
    else:
        for document in json.loads((out / "samples.json").read_bytes())["samples"]:
            row = {name: document.get(name) for name in [*COLUMNS, "title", "origin"] if name in document}
            row["grabbed_at"] = row["grabbed_at"] and row["grabbed_at"]["$date"]
            yield document["tags"][0], (out / document["filepath"]).read_bytes(), row


def _parquet_rows(out: Path) -> Iterator[tuple[str, bytes, Row]]:
    names = [line.partition("\t")[2] for line in (out / "games.tsv").read_text().splitlines()]
    for path in (out / "data").glob("*.parquet"):
        for batch in arro3.io.read_parquet(str(path)):
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names if name != "image"}
            jpegs = struct_field(batch.column("image"), 0).to_pylist()
            for index, content in enumerate(jpegs):
                row = {name: values[index] for name, values in columns.items()}
                assert names[row.pop("label")] == row["game"]
                if time := row["grabbed_at"]:
                    row["grabbed_at"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                yield path.name.partition("-")[0], content, row


def test_command_offers_each_format_of_the_registry(dataset: FrameFolder, tmp_path: Path):
    """--format names them all, and no other."""
    assert list(registry.FORMATS) == FORMATS
    assert f"{{{','.join(FORMATS)}}}" in run(dataset, "--help").stdout


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_holds_each_frame_once_with_its_columns(dataset: FrameFolder, tmp_path: Path, kind: str):
    """Bytes, hash and details are those of the dataset; logins are keyed hashes; no streamer is in two splits."""
    out = tmp_path / "out"
    done = run(dataset, "--format", kind, "--out", str(out), "--shard-mb", "0.01")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("Exported 60 frames of 4 games, ")
    found = list(rows(kind, out))
    pseudonym = Pseudonyms(dataset.files).of
    expected = {
        (frame.game_id, pseudonym(frame.login), dataset.read(frame), frame.sha256.hex(), frame.details.viewers)
        for frame in dataset.described(dataset.frames())
    }
    assert len(found) == len(expected) == 60
    assert {(r["game_id"], r["login"], b, r["sha256"], r["viewers"]) for _, b, r in found} == expected
    assert all(list(row) == COLUMNS and row["game"] == GAMES[row["game_id"]] for _, _, row in found)
    assert {row["grabbed_at"] for _, _, row in found} > {None, "2023-11-14T22:13:21.125Z"}
    splits = {(split, row["login"]) for split, _, row in found}
    assert len(splits) == len({login for _, login in splits}) == 17
    assert {row["game_id"] for split, _, row in found if split == "train"} == set(GAMES)
    said = manifest(out)
    assert said["splits"] == {split: sum(other == split for other, *_ in found) for split in said["splits"]}
    assert sum(file["samples"] for file in said["files"].values()) == said["samples"] == 60
    for name, file in said["files"].items():
        assert sha256((out / name).read_bytes()).hexdigest() == file["sha256"]


def test_exports_without_logins_name_nobody(dataset: FrameFolder, tmp_path: Path):
    """No login, title or address of a channel is in any file or name, in no format."""
    for kind in FORMATS:
        assert run(dataset, "--format", kind, "--out", str(tmp_path / kind)).returncode == 0
        files = [path for path in (tmp_path / kind).rglob("*") if path.is_file()]
        everything = b"\n".join(chain.from_iterable((path.read_bytes(), str(path).encode()) for path in files))
        assert not re.search(rb"eve_1|\bann\b|bob_|twitch\.tv/[a-z_]+[0-9]|'s stream", everything)


def test_exports_with_logins_have_titles_and_origins(dataset: FrameFolder, tmp_path: Path):
    """--logins gives the logins, the titles and the origins."""
    assert run(dataset, "--logins", "--out", str(tmp_path / "out")).returncode == 0
    found = [row for _, _, row in rows("parquet", tmp_path / "out")]
    assert all(list(row) == [*COLUMNS, "title", "origin"] for row in found)
    assert {(row["login"], row["title"], row["origin"]) for row in found} > {
        ("ann", "ann's stream", "https://www.twitch.tv/ann"),
        ("bob_743", None, None),
    }


def test_same_seed_gives_the_same_export_and_another_one_another(dataset: FrameFolder, tmp_path: Path):
    """A repetition is equal to the bit but for the date in croissant.json."""
    for name, seed in (("one", "7"), ("two", "7"), ("three", "8")):
        for kind in ("parquet", "webdataset"):
            assert run(dataset, "--format", kind, "--seed", seed, "--out", str(tmp_path / name / kind)).returncode == 0
    contents = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*-of-*")}
        for name in ("one", "two", "three")
    ]
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.xdist_group("networks")  # where TensorFlow is loaded
def test_keras_reads_classes_and_splits_of_an_image_folder(dataset: FrameFolder, tmp_path: Path):
    """image_dataset_from_directory finds each picture below its class; metadata.jsonl does not disturb it."""
    keras = pytest.importorskip("keras")
    assert run(dataset, "--format", "imagefolder", "--out", str(tmp_path / "out")).returncode == 0
    for folder, split in (("train", "train"), ("val", "validation"), ("test", "test")):
        found = keras.utils.image_dataset_from_directory(tmp_path / "out" / folder, image_size=(32, 32), verbose=False)
        assert len(found.file_paths) == manifest(tmp_path / "out")["splits"][split]
        assert found.class_names == sorted(["_.._ _A_B_ _i__x___i_", "Chess", "chess (744)", "原神"])


def test_export_of_some_games_has_these_only(dataset: FrameFolder, tmp_path: Path):
    """--game takes names in any case and ids; of two games with one name both; an unknown name gets a suggestion."""
    assert run(dataset, "--game", "CHESS", "--game", "1000000000001", "--out", str(tmp_path / "out")).returncode == 0
    assert {row["game_id"] for _, _, row in rows("parquet", tmp_path / "out")} == {743, 744, 10**12 + 1}
    done = run(dataset, "--game", "Ches", "--out", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "no frames of the game 'Ches'. Did you mean Chess?" in done.stderr
    assert not (tmp_path / "none").exists()


def test_forgotten_streamers_and_damaged_files_stay_out(dataset: FrameFolder, tmp_path: Path):
    """Of somebody who was forgotten nothing is exported; what is no JPEG file is named, counted and left out."""
    Forgotten(dataset.files).add("ann")
    (dataset.root / "743/bob_743-1.jpg").write_bytes(b"")
    (dataset.root / "743/bob_743-2.jpg").write_bytes(b"<html>")
    done = run(dataset, "--logins", "--out", str(tmp_path / "out"))
    assert (done.returncode, manifest(tmp_path / "out")["samples"]) == (0, 60 - 12 - 2)
    assert sorted(done.stderr.splitlines()) == [
        f"warning: left out: 743/bob_743-{number}.jpg is no JPEG file" for number in (1, 2)
    ]
    assert "Left out, as unreadable: 2 frames" in done.stdout
    assert "ann" not in {row["login"] for _, _, row in rows("parquet", tmp_path / "out")}


def test_export_without_pictures_has_columns_and_features(dataset: FrameFolder, tmp_path: Path):
    """The vectors are those of the frames by their hashes; NaN for a frame without one."""
    frames = dataset.described(dataset.frames())
    vectors = np.arange(len(frames) * 8, dtype=np.float16).reshape(-1, 8)
    FeatureStore(dataset.root / FEATURES_FOLDER / "a_network").add([f.sha256 for f in frames[1:]], vectors[1:])
    facts = export_dataset(dataset, str(tmp_path / "out"), ExportSettings("parquet", pictures=False))
    assert (facts.total, facts.left_out) == (60, 0)
    found: dict[str, list[float]] = {}
    for path in (tmp_path / "out/data").glob("*.parquet"):
        for batch in arro3.io.read_parquet(str(path)):
            assert "image" not in batch.schema.names
            keys, values = batch.column("sha256").to_pylist(), batch.column("features").to_pylist()
            found |= dict(zip(keys, values, strict=True))
    assert found.pop(frames[0].sha256.hex()) == pytest.approx([np.nan] * 8, nan_ok=True)
    assert found == {frame.sha256.hex(): list(vectors[index]) for index, frame in enumerate(frames) if index}
    assert manifest(tmp_path / "out")["pictures"] is False
    assert manifest(tmp_path / "out")["features"] == "a_network"


def test_frames_deleted_before_they_are_hashed_are_left_out(dataset: FrameFolder):
    """Without pictures, too, a deleted file is counted, and no error of the whole export."""
    reader = SampleReader(dataset, {}, None, pictures=False)
    assert reader.find_features([StoredFrame(743, "bob_743", 999)]) == []
    assert reader.left_out == 1


def test_export_without_pictures_has_no_thumbnails(dataset: FrameFolder, tmp_path: Path):
    """A check that was killed leaves thumbnails and no features: small pictures must not pass for features."""
    hashes = [frame.sha256 for frame in dataset.described(dataset.frames())]
    thumbnails = FeatureStore(dataset.root / FEATURES_FOLDER / THUMBNAILS)
    thumbnails.add(hashes, np.ones((len(hashes), 900), np.uint8))
    done = run(dataset, "--without-pictures", "--out", str(tmp_path / "out"))
    assert "has no features: python -m model.check computes them" in done.stderr
    assert manifest(tmp_path / "out")["features"] is None


def test_report_says_how_many_games_a_split_lacks(dataset: FrameFolder):
    """A game with too few streamers has none for validation or test."""
    facts = Facts("parquet", Layout({7: "Chess", 8: "Go"}, {}), logins=False)
    facts.add("train", [StoredFrame(7, "ann", 1), StoredFrame(8, "ann", 1)])
    facts.add("test", [StoredFrame(7, "bob", 1)])
    assert report_lines(facts, "out")[:2] == [
        "train:      2 frames of 1 streamer",
        "test:       1 frame of 1 streamer; none of 1 game with too few streamers",
    ]


def test_card_says_what_there_is(dataset: FrameFolder, tmp_path: Path):
    """Front matter that YAML reads, a row for each game, languages, dates, terms; names cannot break the table."""
    yaml = pytest.importorskip("yaml")
    assert run(dataset, "--format", "webdataset", "--out", str(tmp_path / "out")).returncode == 0
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["language"] == ["no"]
    assert values["size_categories"] == ["n<1K"]
    assert [part["split"] for part in values["configs"][0]["data_files"]] == ["train", "validation", "test"]
    assert [column["name"] for column in values["dataset_info"]["features"][2]["struct"]] == COLUMNS
    assert r"| ../..: \"A\|B\" \<i\>\*x\*\</i\> | 1000000000000 |".replace('\\"', '"') in text
    assert "Dates: 2023-11-14 to 2023-11-14" in text
    assert "Developer Services Agreement" in text
    counts = manifest(tmp_path / "out")["splits"]
    assert all(f"{count} / " in text.splitlines()[-14] for count in counts.values()), text.splitlines()[-14]


def test_games_of_one_name_are_different_classes():
    """The second game of a name gets its id, in any case of letters; a name that looks like that is no trap."""
    assert unique_names({1: "Go", 2: "GO", 3: "Go (4)", 4: "go"}) == {
        1: "Go",
        2: "GO (2)",
        3: "Go (4)",
        4: "go (4) (4)",
    }


@pytest.mark.parametrize("text", ["0.8,0.3", "0,1", "x", "0.5,0.5,-0.1,0.1", "1,nan", ""])
def test_fractions_that_are_none_are_refused(dataset: FrameFolder, tmp_path: Path, text: str):
    """--split wants up to three fractions of 1, train above 0."""
    done = run(dataset, "--split", text, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "must be up to three fractions" in done.stderr


def test_dataset_without_frames_is_one_line(tmp_path: Path):
    """Nothing is created, at the destination or in the dataset."""
    done = run(FrameFolder(tmp_path / "data" / "frames"), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: There are no frames to export: collect some with python -m data.download")
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_any_size_are_exported_as_they_are(tmp_path: Path):
    """A shard is planned by the frames' sizes: larger ones than a shard get one each."""
    folder = FrameFolder(tmp_path / "data" / "frames")
    folder.save(5, "ann", [jpeg(str(number), 400) for number in range(3)])
    done = run(folder, "--split", "1", "--shard-mb", "0.001", "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert {path.name for path in (tmp_path / "out/data").iterdir()} == {
        f"train-0000{index}-of-00003.parquet" for index in range(3)
    }
