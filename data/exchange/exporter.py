"""Exporter: frames of the dataset go, in shards, to a destination, and are read back from there.

split the streamers; put each split's frames into random order; cut them into shards
for each shard:
    read its frames; pack them into files; write the files
    read the files again; compare the path and the SHA-256 of each sample with what was packed
write the format's metadata, the games' names, the card, the description for machines
write export.json: what there must be, so that a reader can tell whether it has everything
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from data.entities import StoredFrame
from data.errors import DatasetError, FolderError
from data.exchange.card import to_card
from data.exchange.croissant import to_croissant
from data.exchange.destination import MANIFEST_FILE, Destination
from data.exchange.export_records import DamagedFile, translate_damage
from data.exchange.facts import Facts
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
        layout = Layout(games, columns(logins=settings.logins), settings.pictures, self._reader.feature_size)
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
        facts.size_bytes += sum(map(len, files.values()))
        if packer.max_frames is None:
            for name, content in files.items():
                facts.add_file(name, content, len(frames))
        self._destination.write(files)
        names = list(files)
        del files  # a shard is large: not twice in memory
        self._check(packer, names, {frame.path: frame.sha256 for frame in frames})
        facts.add(shard.split, frames)
        log.info("%s: %s", shard.name, plural(len(frames), "frame"))

    def _check(self, packer: Format, names: Sequence[str], packed: Mapping[str, bytes]) -> None:
        files = self._destination.read(names)
        try:
            with translate_damage():
                found = {
                    path: hashlib.sha256(jpeg).digest() if self._settings.pictures else packed.get(path)
                    for path, jpeg in packer.unpack(files)
                }
        except DamagedFile as error:
            raise FolderError(f"{names[0]} cannot be read back: {_CURE}") from error
        if found != packed:
            raise FolderError(f"{names[0]}: {len(packed):,} frames were written, {len(found):,} read back: {_CURE}")

    def _write_descriptions(self, lists: Sequence[IndexFile], facts: Facts) -> None:
        """Write the files that follow the shards, export.json last, and read them back. Raises FolderError."""
        for file in lists:
            if file.samples:
                facts.add_file(file.name, file.content, file.samples)
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
            "samples": facts.total,
            "splits": {split: facts.samples_of(split) for split in facts.splits},
            "fractions": list(self._settings.fractions),
            "seed": self._settings.seed,
            "files": {name: asdict(file) for name, file in facts.files.items()},
        }
        return (json.dumps(content, indent=2) + "\n").encode()
