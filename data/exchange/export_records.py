"""Records of an export's files: what each format says of a sample, and its picture, as they are read.

A file may be damaged or made up: whatever a library raises about it is DamagedFile here. Memory stays flat: of Parquet
some hundred rows are read at a time, of a tar file one sample.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from data.errors import ToolkitError

MAX_PICTURE_BYTES = 50_000_000
_MAX_JSON_BYTES = 1 << 30  # of samples.json: a million samples
_PARQUET_MAGIC = b"PAR1"


class DamagedFile(Exception):
    """A file of an export cannot be read, or not to its end."""


@dataclass(frozen=True, slots=True)
class Record:
    """A sample. Its values are unchecked; they are empty for one that cannot be read."""

    values: Mapping[str, Any] = field(default_factory=dict)  # by the names of `data.exchange.sample.COLUMNS`
    jpeg: bytes = b""
    file: str = ""  # name of the picture's file in the export, if the record has no `jpeg`


def read_parquet_file(file: IO[bytes], _name: str) -> Iterator[Record]:
    """Yield the rows of a shard."""
    from arro3.core import struct_field
    from arro3.io import read_parquet

    # arro3 prints to stderr what is wrong with a footer: look for the most frequent damage first.
    start, _ = file.read(4), file.seek(-4, 2)
    if (start, file.read(4)) != (_PARQUET_MAGIC, _PARQUET_MAGIC):
        raise DamagedFile("it is no Parquet file, or cut off")
    file.seek(0)
    for batch in read_parquet(file):
        names = [name for name in batch.column_names if name not in ("image", "features")]
        columns = [batch.column(name).to_pylist() for name in names]
        jpegs = struct_field(batch.column("image"), 0).to_pylist()
        for jpeg, *values in zip(jpegs, *columns, strict=True):
            yield Record(dict(zip(names, values, strict=True)), jpeg=bytes(jpeg or b""))


def read_tar_file(file: IO[bytes], _name: str) -> Iterator[Record]:
    """Yield the samples of a WebDataset shard, whose members of one name lie side by side."""
    key, found = "", dict[str, bytes]()
    size, _ = file.seek(0, 2), file.seek(0)
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep every member
            if archive.offset > size:  # it would read until there, for years if a header says so
                raise DamagedFile("it is damaged or cut off")
            stem, _, ending = member.name.rpartition(".")
            if stem != key:
                if found.keys() - {"cls"}:  # a picture or its values are missing
                    yield Record()
                key, found = stem, {}
            is_wanted = ending in ("jpg", "json") and member.size <= MAX_PICTURE_BYTES
            content = archive.extractfile(member) if is_wanted else None
            found[ending] = content.read() if content else b""
            if found.keys() >= {"jpg", "json"}:
                yield Record(_parse(found["json"]), jpeg=found["jpg"])
                found = {}


def read_metadata_file(file: IO[bytes], name: str) -> Iterator[Record]:
    """Yield the lines of an image folder's `metadata.jsonl`."""
    folder = PurePosixPath(name).parent
    for line in file:
        values = _parse(line)
        yield Record(values, file=str(folder / str(values.get("file_name", ""))))


def read_samples_file(file: IO[bytes], _name: str) -> Iterator[Record]:
    """Yield the samples of FiftyOne's `samples.json`."""
    samples = _parse(file.read(_MAX_JSON_BYTES)).get("samples")
    if not isinstance(samples, list):
        raise DamagedFile("it is damaged: it has no list of samples")
    for values in samples:
        yield Record(values, file=str(values.get("filepath", ""))) if isinstance(values, dict) else Record()


# By format: how the names of its files end, and what reads one.
READERS: Mapping[str, tuple[str, Callable[[IO[bytes], str], Iterator[Record]]]] = {
    "parquet": (".parquet", read_parquet_file),
    "webdataset": (".tar", read_tar_file),
    "imagefolder": ("metadata.jsonl", read_metadata_file),
    "fiftyone": ("samples.json", read_samples_file),
}


@contextmanager
def translate_damage() -> Iterator[None]:
    """Raise DamagedFile for whatever a library raises about the content of a file."""
    try:
        yield
    except (DamagedFile, ToolkitError):
        raise
    except OSError as error:
        raise DamagedFile(error.strerror or str(error)) from error
    except Exception as error:
        raise DamagedFile(f"it is damaged: {type(error).__name__}") from error
    except BaseException as error:
        if type(error).__module__ == "pyo3_runtime":  # a panic of arro3 is no Exception
            raise DamagedFile("it is damaged") from error
        raise


def _parse(text: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
