"""Exports read by the tools that they are for: the number of samples in each split that these find.

    python -m benchmarks.export_readers [--python INTERPRETER ...]

Each reader runs in the first of the interpreters that has its library, this one included; a reader that none has is
named as missing. Large libraries need not be beside the toolkit: pip install datasets webdataset mlcroissant
ultralytics fiftyone mongomock, in environments of their own. FiftyOne keeps datasets in MongoDB; here mongomock stands
for it below FiftyOne's own importer.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.exchange.exporter import ExportSettings
from data.exchange.sample import Split
from data.export import export_dataset
from tests.data.exports import make_dataset

_FORMATS = ("parquet", "webdataset", "imagefolder", "fiftyone")
_DATASETS = """
import datasets
found = datasets.load_dataset(out, cache_dir=scratch)
pictures = {"parquet": "image", "imagefolder": "image", "webdataset": "jpg"}[kind]
for split in found.values():
    assert all(row[pictures].size == (32, 32) for row in split)
print({name: len(split) for name, split in found.items()})
"""
_WEBDATASET = """
import collections, glob, os, webdataset
found = collections.Counter()
for path in glob.glob(out + "/data/*.tar"):
    for image, values, label in webdataset.WebDataset(path, shardshuffle=False).decode("pil").to_tuple(
        "jpg", "json", "cls"
    ):
        assert image.size == (32, 32) and values["sha256"] and label >= 0
        found[os.path.basename(path).partition("-")[0]] += 1
print(dict(found))
"""
_KERAS = """
import keras
found = {}
for split, folder in {"train": "train", "validation": "val", "test": "test"}.items():
    data = keras.utils.image_dataset_from_directory(f"{out}/{folder}", image_size=(32, 32), verbose=False)
    found[split] = sum(len(labels) for _, labels in data)
print(found)
"""
_ULTRALYTICS = """
import pathlib
from ultralytics.data.utils import check_cls_dataset
found = check_cls_dataset(out)
count = lambda folder: sum(1 for _ in pathlib.Path(folder).glob("*/*.jpg"))
print({split: count(found[folder]) for split, folder in dict(train="train", validation="val", test="test").items()})
"""
_CROISSANT = """
import collections, json, mlcroissant
found = mlcroissant.Dataset(jsonld=out + "/croissant.json")
assert not found.metadata.ctx.issues.errors and not found.metadata.ctx.issues.warnings
if kind != "webdataset":  # mlcroissant 1.1 cannot read JSON files inside of tar files
    assert sum(1 for _ in found.records("frames")) == json.load(open(out + "/export.json"))["samples"]
print(json.load(open(out + "/export.json"))["splits"])
"""
_FIFTYONE = """
import os, types
os.environ.update(FIFTYONE_DATABASE_URI="mongodb://localhost", FIFTYONE_DATABASE_VALIDATION="false")
import mongoengine, mongomock, pymongo
import fiftyone.core.odm.database as database
server = mongomock.MongoClient("localhost")
server._closed = False
server.admin.command = lambda *_, **__: {"ok": 1}
names = {name: getattr(pymongo, name) for name in dir(pymongo) if not name.startswith("__")}
database.pymongo = types.SimpleNamespace(**names | {"MongoClient": lambda *_, **__: server})
connect = mongoengine.connect
options = dict(host="mongodb://localhost", mongo_client_class=lambda **_: server, uuidRepresentation="standard")
mongoengine.connect = lambda name, **_: connect(name, **options)
import fiftyone
found = fiftyone.Dataset.from_dir(out, dataset_type=fiftyone.types.FiftyOneDataset, progress=False)
assert all(os.path.isfile(sample.filepath) and sample.ground_truth.label for sample in found)
print(found.count_sample_tags())
"""
_READERS = (
    ("datasets", "parquet", _DATASETS),
    ("datasets", "webdataset", _DATASETS),
    ("datasets", "imagefolder", _DATASETS),
    ("webdataset", "webdataset", _WEBDATASET),
    ("keras", "imagefolder", _KERAS),
    ("ultralytics", "imagefolder", _ULTRALYTICS),
    ("fiftyone", "fiftyone", _FIFTYONE),
    *(("mlcroissant", kind, _CROISSANT) for kind in _FORMATS),
)


def main(argv: list[str] | None = None) -> int:
    """Export, read, print a line for each reader; return 1 if one finds other samples than were exported."""
    parser = argparse.ArgumentParser(description="Read exports with the tools that they are for.")
    parser.add_argument("--python", action="append", default=[], metavar="INTERPRETER", help="with some of the readers")
    interpreters = [*parser.parse_args(argv).python, sys.executable]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="export-readers-") as scratch:
        splits = _export(Path(scratch))
        for library, kind, code in _READERS:
            found = _read(library, kind, code, Path(scratch), interpreters)
            wrong += found not in (str(splits), "")
            result = "not installed" if not found else "as exported" if found == str(splits) else f"WRONG: {found}"
            print(f"  {library:<12} {kind:<12} {result}", flush=True)
    print(json.dumps({"name": "export_readers", "wrong": wrong}))
    return int(bool(wrong))


def _export(scratch: Path) -> Mapping[Split, int]:
    """Export a dataset in every format; return the number of samples of each split."""
    dataset = make_dataset(scratch / "dataset" / "frames", frames=20)
    facts = [export_dataset(dataset, str(scratch / kind), ExportSettings(kind)) for kind in _FORMATS]
    splits = {split: facts[0].samples_of(split) for split in facts[0].splits}
    print(f"{facts[0].total:,} frames: {splits}")
    return splits


def _read(library: str, kind: str, code: str, scratch: Path, interpreters: Sequence[str]) -> str:
    """Return what a reader printed last, or its error; "" if no interpreter has the library."""
    start = f"out, scratch, kind = {str(scratch / kind)!r}, {str(scratch / 'cache')!r}, {kind!r}\n"
    for interpreter in interpreters:
        if subprocess.run([interpreter, "-c", f"import {library}"], capture_output=True, check=False).returncode:
            continue
        done = subprocess.run([interpreter, "-c", start + code], capture_output=True, text=True, check=False)
        lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["it printed nothing"]
        # In the order of the splits, which readers list in others.
        return str(dict(sorted(ast.literal_eval(lines[-1]).items(), key=_rank))) if not done.returncode else lines[-1]
    return ""


def _rank(item: tuple[str, int]) -> int:
    return ("train", "validation", "test").index(item[0])


if __name__ == "__main__":
    sys.exit(main())
