"""Croissant: the dataset's description for machines, JSON-LD of schema.org and MLCommons.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html, version 1.0. Addresses are relative to the
file, so that it is valid wherever the export lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from data.exchange.card import LICENCE, title
from data.exchange.facts import Facts
from data.exchange.sample import Column

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes"),
            *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
            *("repeated", "replace", "separator", "source", "subField", "transform", "equivalentProperty"),
            "samplingRate",
        )
    },
}
_TYPES = {"integer": "sc:Integer", "text": "sc:Text", "time": "sc:DateTime"}


def to_croissant(facts: Facts) -> str:
    """Return the description as JSON."""
    distribution, source = _SOURCES[facts.format](facts)
    # FiftyOne's times are objects, and null where they are unknown: no path leads to all of them.
    columns = {name: c for name, c in facts.layout.columns.items() if (facts.format, c.kind) != ("fiftyone", "time")}
    fields = [_field(name, column, source(name)) for name, column in columns.items()]
    if facts.format == "parquet" and facts.layout.pictures:
        fields.append(_picture(source("image")))
    description = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "twitchcategory_frames",
        "description": f"{title(facts)}: {facts.total:,} frames, split by streamer.",
        "license": LICENCE,
        "version": "1.0.0",
        "datePublished": datetime.now(timezone.utc).date().isoformat(),
        "citeAs": title(facts) + ", collected with twitchcategory",
        "distribution": distribution,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "frames", "name": "frames", "field": fields}],
    }
    if facts.days:
        description["temporalCoverage"] = f"{min(facts.days)}/{max(facts.days)}"
    return json.dumps(description, indent=2) + "\n"


def _field(name: str, column: Column, source: Mapping[str, Any]) -> dict[str, Any]:
    field = {"@type": "cr:Field", "@id": f"frames/{name}", "name": name, "description": column.description}
    return {**field, "dataType": _TYPES[column.kind], "source": source}


def _picture(source: Mapping[str, Any]) -> dict[str, Any]:
    field = {"@type": "cr:Field", "@id": "frames/image", "name": "image", "description": "the frame, a JPEG file"}
    return {**field, "dataType": "sc:ImageObject", "source": {**source, "transform": {"jsonPath": "bytes"}}}


def _file_set(name: str, encoding: str, includes: str, **more: Any) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": encoding, "includes": includes, **more}


def _of_parquet(_: Facts) -> _Sources:
    shards = _file_set("shards", "application/x-parquet", "data/*.parquet")
    return [shards], lambda column: {"fileSet": {"@id": "shards"}, "extract": {"column": column}}


def _of_webdataset(facts: Facts) -> _Sources:
    shards = [_file_object(name, facts, "application/x-tar") for name in facts.files]
    inside = {"containedIn": [{"@id": shard["@id"]} for shard in shards]}
    samples = _file_set("samples", "application/json", "*.json", **inside)
    pictures = _file_set("pictures", "image/jpeg", "*.jpg", **inside)
    return [*shards, samples, pictures], lambda column: {
        "fileSet": {"@id": "samples"},
        "extract": {"jsonPath": f"$.{column}"},
    }


def _of_image_folder(_: Facts) -> _Sources:
    lists = _file_set("lists", "application/jsonlines", "*/metadata.jsonl")
    pictures = _file_set("pictures", "image/jpeg", "*/*/*.jpg")
    return [lists, pictures], lambda column: {"fileSet": {"@id": "lists"}, "extract": {"column": column}}


def _of_fiftyone(facts: Facts) -> _Sources:
    samples = _file_object("samples.json", facts, "application/json")
    pictures = _file_set("pictures", "image/jpeg", "data/*/*.jpg")

    return [samples, pictures], lambda column: {
        "fileObject": {"@id": "samples.json"},
        "extract": {"jsonPath": f"$.samples[*].{column}"},
    }


def _file_object(name: str, facts: Facts, encoding: str) -> dict[str, Any]:
    file = facts.files[name]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": encoding,
        "sha256": file.sha256,
    }


_Sources = tuple[list[dict[str, Any]], Callable[[str], dict[str, Any]]]  # the files, and where a column is in them
_SOURCES: Mapping[str, Callable[[Facts], _Sources]] = {
    "parquet": _of_parquet,
    "webdataset": _of_webdataset,
    "imagefolder": _of_image_folder,
    "fiftyone": _of_fiftyone,
}
