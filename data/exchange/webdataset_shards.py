"""WebDataset shards: tar files that are read from the first byte to the last, the samples in random order.

A sample is the members `<game_id>/<login>-<number>` with the endings `.jpg`, `.json` (the columns) and `.cls` (the
class, its place in games.tsv), one after the other: https://github.com/webdataset/webdataset#the-webdataset-format.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping

from data.exchange.layout import IndexFile, Layout, Shard
from data.exchange.sample import Sample, to_values


class WebDatasetShards:
    """Format of one tar file a shard."""

    max_frames: int | None = None  # of a shard: its bytes decide

    def __init__(self, layout: Layout) -> None:
        self._columns = layout.columns
        self._labels = {game_id: str(label).encode() for label, game_id in enumerate(layout.games)}

    def pack(self, shard: Shard, samples: Iterable[Sample]) -> dict[str, bytes]:
        """Return the shard's file by name."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for sample in samples:
                key = sample.frame.path.removesuffix(".jpg")
                values = json.dumps(to_values(sample, self._columns)).encode()
                members = {"jpg": sample.jpeg, "json": values, "cls": self._labels[sample.frame.game_id]}
                for ending, data in members.items():
                    member = tarfile.TarInfo(f"{key}.{ending}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep every member's name
        return {f"{shard.name}.tar": content.getvalue()}

    def unpack(self, files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        """Yield each sample's path in the dataset and its JPEG bytes, as files of `pack` hold them."""
        for content in files.values():
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
                for member in archive:
                    if member.name.endswith(".jpg") and (file := archive.extractfile(member)):
                        yield member.name, file.read()

    def finish(self) -> list[IndexFile]:
        """Return the files that follow the shards: none."""
        return []
