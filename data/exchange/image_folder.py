"""Image folder: `train|val|test/<game>/<login>-<number>.jpg`, a folder for each class.

`datasets` reads the columns from `metadata.jsonl` beside the classes. Keras's `image_dataset_from_directory` and
Ultralytics' classification take the classes from the folders, and no notice of that file:
https://huggingface.co/docs/datasets/image_dataset#imagefolder, https://docs.ultralytics.com/datasets/classify.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from data.exchange.layout import IndexFile, Layout, Shard, unique_names
from data.exchange.sample import Sample, Split, to_values

SPLIT_FOLDERS: Mapping[Split, str] = {"train": "train", "validation": "val", "test": "test"}  # Ultralytics' names
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')  # in names of files, on any system
_MAX_BYTES = 100  # of a folder's name; file systems allow 255


class ImageFolder:
    """Format of one file a frame."""

    max_frames: int | None = 500  # files that are written together

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._folders = class_folders(layout.labels)
        self._game_ids = {folder: game_id for game_id, folder in self._folders.items()}
        self._lines: dict[Split, list[str]] = defaultdict(list)

    def pack(self, shard: Shard, samples: Iterable[Sample]) -> dict[str, bytes]:
        """Return the pictures by name, and keep their lines for `finish`."""
        files = {}
        for sample in samples:
            name = f"{self._folders[sample.frame.game_id]}/{sample.file_name}"
            files[f"{SPLIT_FOLDERS[shard.split]}/{name}"] = sample.jpeg
            line = {"file_name": name, **to_values(sample, self._columns)}
            self._lines[shard.split].append(json.dumps(line) + "\n")
        return files

    def paths(self, files: Mapping[str, bytes]) -> Iterator[str]:
        """Yield each sample's path in the dataset."""
        for name in files:
            _, folder, file_name = name.split("/")
            yield f"{self._game_ids[folder]}/{file_name}"

    def finish(self) -> list[IndexFile]:
        """Return the metadata of each split."""
        return [
            IndexFile(f"{SPLIT_FOLDERS[split]}/metadata.jsonl", "".join(lines).encode(), len(lines))
            for split, lines in self._lines.items()
        ]


def class_folders(labels: Mapping[int, str]) -> dict[int, str]:
    """Return a folder's name for each game: its label without what file systems forbid, different from all others."""
    names = {}
    for game_id, label in labels.items():
        name = _FORBIDDEN.sub("_", label).encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore")
        name = name.strip(" .")  # Windows drops these at the end; a dot at the start hides the folder
        names[game_id] = name or f"game {game_id}"
    return unique_names(names)
