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
        for sample in samples:
            key = sample.frame.path.removesuffix(".jpg")
            values = json.dumps(to_values(sample, self._columns)).encode()
            members = {"jpg": sample.jpeg, "json": values, "cls": self._labels[sample.frame.game_id]}
            for ending, data in members.items():
                content.write(_header(f"{key}.{ending}", len(data)))
                content.write(data)
                content.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        content.write(bytes(2 * tarfile.BLOCKSIZE))
        content.write(bytes(-content.tell() % tarfile.RECORDSIZE))
        return {f"{shard.name}.tar": content.getvalue()}

    def paths(self, files: Mapping[str, bytes]) -> Iterator[str]:
        """Yield each sample's path in the dataset."""
        for content in files.values():
            offset = 0
            while name := content[offset : offset + 100].rstrip(b"\0").decode():
                if name.endswith(".jpg"):
                    yield name
                size = int(content[offset + 124 : offset + 135], 8)
                offset += tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE

    def finish(self) -> list[IndexFile]:
        """Return the files that follow the shards: none."""
        return []


def _header(name: str, size: int) -> bytes:
    """Return the header of a member; `tarfile` takes five times as long to write one."""
    header = name.encode().ljust(100, b"\0") + _HEADER[100:124] + b"%011o\0" % size + _HEADER[136:148] + b" " * 8
    header += _HEADER[156:]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]  # the checksum counts itself as spaces


# Of a file that everybody may read, at the epoch: https://www.gnu.org/software/tar/manual/html_node/Standard.html
_HEADER = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
