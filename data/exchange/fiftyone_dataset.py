"""FiftyOne dataset on disk: `metadata.json` (the fields), `samples.json`, and the pictures below `data/`.

FiftyOne 1.0 and later import it: `fiftyone.Dataset.from_dir(folder, dataset_type=fiftyone.types.FiftyOneDataset)`. The
game is the label `ground_truth`, the split a tag, the columns are fields of the sample. The format is that of
https://docs.voxel51.com/user_guide/import_datasets.html#fiftyonedataset: documents of MongoDB as extended JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from data.exchange.layout import IndexFile, Layout, Shard
from data.exchange.sample import COLUMNS, Sample, Split, to_values

_VERSION = "1.0.0"  # of FiftyOne: later ones migrate what they import
_FIELDS = "fiftyone.core.fields."
_TYPES = {"integer": "IntField", "text": "StringField", "time": "DateTimeField"}
_BUILT_IN = {
    **{"id": "ObjectIdField", "filepath": "StringField", "tags": "ListField", "_media_type": "StringField"},
    **{"_rand": "FloatField", "_dataset_id": "ObjectIdField", "created_at": "DateTimeField"},
    "last_modified_at": "DateTimeField",
}
_LABEL = {"id": "ObjectIdField", "tags": "ListField", "label": "StringField", "confidence": "FloatField"}


class FiftyOneDataset:
    """Format of one file a frame, and the samples in one file."""

    max_frames: int | None = 500  # files that are written together

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._documents: list[str] = []

    def pack(self, shard: Shard, samples: Iterable[Sample]) -> dict[str, bytes]:
        """Return the pictures by name, and keep their documents for `finish`."""
        files = {}
        for sample in samples:
            name = f"data/{sample.frame.path}"
            files[name] = sample.jpeg
            self._documents.append(json.dumps(self._document(name, shard.split, sample)))
        return files

    def paths(self, files: Mapping[str, bytes]) -> Iterator[str]:
        """Yield each sample's path in the dataset."""
        return (name.partition("/")[2] for name in files)

    def finish(self) -> list[IndexFile]:
        """Return the samples' documents and the fields."""
        samples = '{"samples": [\n' + ",\n".join(self._documents) + "\n]}\n"
        fields = [_field(name, kind) for name, kind in _BUILT_IN.items()]
        columns = self._layout.columns.items()
        fields += [_field(name, _TYPES[column.kind], column.description) for name, column in columns]
        label = _field("ground_truth", "EmbeddedDocumentField", "the game that the streamer declared")
        label["embedded_doc_type"] = "fiftyone.core.labels.Classification"
        label["fields"] = [_field(name, kind) for name, kind in _LABEL.items()]
        metadata = {"version": _VERSION, "media_type": "image", "sample_fields": [*fields, label]}
        metadata["default_classes"] = list(self._layout.labels.values())
        return [
            IndexFile("samples.json", samples.encode(), len(self._documents)),
            IndexFile("metadata.json", json.dumps(metadata, indent=1).encode(), 0),
        ]

    def _document(self, name: str, split: Split, sample: Sample) -> dict[str, Any]:
        values = to_values(sample, self._layout.columns)
        for column, value in values.items():
            if COLUMNS[column].kind == "time" and value is not None:
                values[column] = {"$date": value}
        key = hashlib.sha256(name.encode()).hexdigest()
        label = {"_id": {"$oid": key[24:48]}, "_cls": "Classification", "tags": []}
        return {
            "_id": {"$oid": key[:24]},
            "filepath": name,
            "tags": [split],
            "_media_type": "image",
            "_rand": int(key[48:60], 16) / 16**12,
            "ground_truth": {**label, "label": self._layout.labels[sample.frame.game_id]},
            **values,
        }


def _field(name: str, kind: str, description: str | None = None) -> dict[str, Any]:
    """Return the document of a field."""
    return {
        "name": name,
        "ftype": _FIELDS + kind,
        "embedded_doc_type": None,
        "subfield": f"{_FIELDS}StringField" if kind == "ListField" else None,
        "fields": [],
        "db_field": "_id" if name == "id" else name,
        "description": description,
        "info": None,
    }
