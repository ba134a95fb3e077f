"""Exporter: frames of the dataset go, in shards, to a destination, and are read back from there.

    split the streamers; put each split's frames into random order; cut them into shards
    for each shard:
        read its frames; pack them into files; write the files
        read the files again; compare their SHA-256, and the paths of their samples with those of the frames
    write the format's metadata, the games' names, the card, the description for machines
    write export.json: what there must be, so that a reader can tell whether it has everything

Memory holds one shard, up to three times.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass

from data.entities import StoredFrame
from data.errors import DatasetError, FolderError
from data.exchange.card import to_card
from data.exchange.croissant import to_croissant
from data.exchange.destination import MANIFEST_FILE, Destination
from data.exchange.facts import ExportedFile, Facts
from data.exchange.formats import make_format
from data.exchange.layout import Format, IndexFile, Layout, Shard
from data.exchange.sample import SPLITS, Sample, columns
from data.exchange.sample_reader import SampleReader
from data.exchange.splits import split_by_streamer
from data.text import plural

log = logging.getLogger(__name__)

_CURE = "check the disk, and export to another place."


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What to export, and how."""

    format: str  # a name of `data.exchange.formats.FORMATS`
    fractions: Sequence[float] = (0.8, 0.1, 0.1)  # of each game's streamers for train, validation and test
    seed: int = 0
    shard_bytes: int = 100_000_000
    pictures: bool = True
    logins: bool = False  # with logins, titles and origins; otherwise with pseudonyms


class Exporter:
    """Writes one export from `reader` to `destination`, an empty place."""

    def __init__(self, reader: SampleReader, destination: Destination, settings: ExportSettings) -> None:
        self._reader = reader
        self._destination = destination
        self._settings = settings

    def export(self, frames: Sequence[StoredFrame], games: Mapping[int, str]) -> Facts:
        """Write these frames, with their details, and return what was written and read back.

        games: names by id, in the order of the labels. Raises DatasetError without frames, FolderError also if what was
        read back differs.
        """
        if not frames:
            raise DatasetError("There are no frames to export: collect some with python -m data.download.")
        settings = self._settings
        if not settings.pictures:
            frames = self._reader.find_features(frames)
        reader = self._reader
        shown = columns(logins=settings.logins)
        layout = Layout(games, shown, settings.pictures, reader.feature_size, reader.network)
        facts = Facts(settings.format, layout, settings.logins)
        packer = make_format(settings.format, layout)
        for shard in self._shards(frames, packer.max_frames):
            self._write_shard(packer, shard, facts)
        self._write_descriptions(packer.finish(), facts)
        facts.left_out = self._reader.left_out
        return facts

    def _shards(self, frames: Sequence[StoredFrame], max_frames: int | None) -> Iterator[Shard]:
        """Yield the shards of all splits; the mean size of some frames decides how many frames each of them has."""
        split_of = split_by_streamer(frames, self._settings.fractions, self._settings.seed)
        ordered = sorted(frames, key=lambda frame: (frame.game_id, frame.login, frame.number))
        random.Random(self._settings.seed).shuffle(ordered)  # a reader of one shard sees some of every game
        most = max_frames or max(1, round(self._settings.shard_bytes / self._reader.mean_bytes(ordered)))
        for split in SPLITS:
            chosen = [frame for frame in ordered if split_of[frame.login] == split]
            count = -(-len(chosen) // most)
            for index in range(count):
                part = chosen[index * len(chosen) // count : (index + 1) * len(chosen) // count]
                yield Shard(split, f"data/{split}-{index:05}-of-{count:05}", tuple(part))

    def _write_shard(self, packer: Format, shard: Shard, facts: Facts) -> None:
        """Write a shard, read it back and count it. Raises FolderError: it is not there as it was packed."""
        frames: list[StoredFrame] = []

        def samples() -> Iterator[Sample]:
            for sample in self._reader.read(shard.frames):
                frames.append(sample.frame)
                yield sample

        files = packer.pack(shard, samples())
        hashes = {name: hashlib.sha256(content).digest() for name, content in files.items()}
        facts.size_bytes += sum(map(len, files.values()))
        if packer.max_frames is None:
            for name, content in files.items():
                facts.files[name] = ExportedFile(len(frames), len(content), hashes[name].hex())
        self._destination.write(files)
        del files  # a shard is large: not twice in memory
        self._check(packer, hashes, {frame.path for frame in frames})
        facts.add(shard.split, frames)
        log.info("%s: %s", shard.name, plural(len(frames), "frame"))

    def _check(self, packer: Format, hashes: Mapping[str, bytes], paths: Set[str]) -> None:
        """Read the files of a shard; compare their SHA-256 and the paths of their samples. Raises FolderError."""
        files = self._destination.read(list(hashes))
        for name, content in files.items():
            if hashlib.sha256(content).digest() != hashes[name]:
                raise FolderError(f"{name} differs from what was written: {_CURE}")
        found = list(packer.paths(files))
        if len(found) != len(paths) or set(found) != paths:
            raise FolderError(f"{next(iter(files))}: {len(paths):,} frames written, {len(found):,} found: {_CURE}")

    def _write_descriptions(self, lists: Sequence[IndexFile], facts: Facts) -> None:
        """Write the files that follow the shards, export.json last, and read them back. Raises FolderError."""
        for file in lists:
            if file.samples:
                sha256 = hashlib.sha256(file.content).hexdigest()
                facts.files[file.name] = ExportedFile(file.samples, len(file.content), sha256)
        files = {file.name: file.content for file in lists}
        games = "".join(f"{game_id}\t{name}\n" for game_id, name in facts.layout.games.items())
        files |= {"games.tsv": games.encode(), "README.md": to_card(facts).encode()}
        files["croissant.json"] = to_croissant(facts).encode()
        for some in (files, {MANIFEST_FILE: self._manifest(facts)}):
            self._destination.write(some)
            if self._destination.read(list(some)) != some:
                raise FolderError(f"{next(iter(some))} and others differ from what was written: {_CURE}")
            facts.size_bytes += sum(map(len, some.values()))

    def _manifest(self, facts: Facts) -> bytes:
        content = {
            "format": facts.format,
            "version": 1,
            "logins": facts.logins,
            "pictures": facts.layout.pictures,
            "features": facts.layout.network or None,
            "samples": facts.total,
            "splits": {split: facts.samples_of(split) for split in facts.splits},
            "fractions": list(self._settings.fractions),
            "seed": self._settings.seed,
            "files": {name: asdict(file) for name, file in facts.files.items()},
        }
        return (json.dumps(content, indent=2) + "\n").encode()
