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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from data.entities import FrameDetails, StoredFrame
from data.errors import DatasetError, FolderError
from data.exchange.card import to_card
from data.exchange.croissant import to_croissant
from data.exchange.destination import MANIFEST_FILE, Destination
from data.exchange.facts import Facts
from data.exchange.formats import make_format
from data.exchange.layout import Format, IndexFile, Layout, Shard
from data.exchange.sample import SPLITS, Sample, columns
from data.exchange.splits import split_by_streamer
from data.storage.frame_store import FrameStore
from data.text import plural, printable

log = logging.getLogger(__name__)

_SAMPLED = 64  # frames by whose sizes the shards are planned
_JPEG_START = b"\xff\xd8\xff"
_NAMED = 20  # frames that were left out are named up to this number


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
    """Writes one export.

    Args:
        store: where the frames are.
        destination: an empty place.
        pseudonym: returns what stands for a login.
        features: vectors of float16 by the SHA-256 of a frame's file, for an export without pictures.
    """

    def __init__(
        self,
        store: FrameStore,
        destination: Destination,
        settings: ExportSettings,
        pseudonym: Callable[[str], str],
        features: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self._store = store
        self._destination = destination
        self._settings = settings
        self._pseudonym = pseudonym
        self._features = features or {}

    def export(self, frames: Sequence[StoredFrame], names: Mapping[int, str]) -> Facts:
        """Write these frames, with their details, and return what was written and read back.

        names: of the games by id. Raises DatasetError without frames, FolderError also if what was read back differs.
        """
        if not frames:
            raise DatasetError("There are no frames to export: collect some with python -m data.download.")
        settings = self._settings
        games = {game_id: names.get(game_id, f"game {game_id}") for game_id in sorted({f.game_id for f in frames})}
        size = len(next(iter(self._features.values()), b"")) // 2
        layout = Layout(games, columns(logins=settings.logins), settings.pictures, size)
        facts = Facts(settings.format, layout, settings.logins)
        packer = make_format(settings.format, layout)
        for shard in self._shards(frames, packer.max_frames):
            self._write_shard(packer, shard, facts)
        self._write_descriptions(packer.finish(), facts)
        return facts

    def _shards(self, frames: Sequence[StoredFrame], max_frames: int | None) -> Iterator[Shard]:
        """Yield the shards of all splits; the mean size of some frames decides how many frames each of them has."""
        split_of = split_by_streamer(frames, self._settings.fractions, self._settings.seed)
        rng = random.Random(self._settings.seed)
        ordered = sorted(frames, key=lambda frame: (frame.game_id, frame.login, frame.number))
        rng.shuffle(ordered)  # a reader of one shard sees some of every game
        most = max_frames or max(1, round(self._settings.shard_bytes / self._mean_bytes(ordered)))
        for split in SPLITS:
            chosen = [frame for frame in ordered if split_of[frame.login] == split]
            count = -(-len(chosen) // most)
            for index in range(count):
                part = chosen[index * len(chosen) // count : (index + 1) * len(chosen) // count]
                yield Shard(split, f"data/{split}-{index:05}-of-{count:05}", tuple(part))

    def _mean_bytes(self, frames: Sequence[StoredFrame]) -> float:
        if not self._settings.pictures:
            return 100.0  # of the columns, packed
        sizes = [len(jpeg) for frame in frames[:_SAMPLED] if (jpeg := self._read(frame, None))]
        return sum(sizes) / len(sizes) if sizes else 1.0

    def _write_shard(self, packer: Format, shard: Shard, facts: Facts) -> None:
        """Write a shard, read it back and count it. Raises FolderError: it is not there as it was packed."""
        packed: dict[str, bytes] = {}  # SHA-256 by path
        frames: list[StoredFrame] = []

        def samples() -> Iterator[Sample]:
            for frame in shard.frames:
                if sample := self._sample(frame, facts):
                    packed[sample.frame.path] = sample.frame.sha256
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
        self._check(packer, names, packed)
        facts.add(shard.split, frames)
        log.info("%s: %s", shard.name, plural(len(frames), "frame"))

    def _check(self, packer: Format, names: Sequence[str], packed: Mapping[str, bytes]) -> None:
        found = {
            path: hashlib.sha256(jpeg).digest() if self._settings.pictures else packed.get(path)
            for path, jpeg in packer.unpack(self._destination.read(names))
        }
        if found != packed:
            raise FolderError(
                f"{len(packed):,} frames were written and {len(found):,} read back, or others: export again to another "
                "place, and check the disk."
            )

    def _sample(self, frame: StoredFrame, facts: Facts) -> Sample | None:
        """Return the frame as a sample; None, counted, if its file is gone or no JPEG."""
        if self._settings.pictures:
            jpeg = self._read(frame, facts)
            sha256 = hashlib.sha256(jpeg).digest()
        else:
            jpeg, sha256 = b"", frame.sha256
        if self._settings.pictures and not jpeg:
            return None
        public = replace(frame, sha256=sha256)
        if not self._settings.logins:
            details: FrameDetails = replace(frame.details, title="", origin="")  # they may name people
            public = replace(public, login=self._pseudonym(frame.login), details=details)
        features = self._features.get(sha256, b"") or b"\xff\xff" * facts.layout.feature_size  # not a number
        return Sample(public, facts.layout.games[frame.game_id], jpeg, features)

    def _read(self, frame: StoredFrame, facts: Facts | None) -> bytes:
        """Return the frame's JPEG bytes; b"", counted in `facts`, if its file is gone or no JPEG."""
        try:
            jpeg = self._store.read(frame)
            cause = "" if jpeg.startswith(_JPEG_START) else f"{frame.path}: not a JPEG file"
        except FolderError as error:
            jpeg, cause = b"", str(error)
        if cause and facts:
            facts.left_out += 1
            log.log(logging.WARNING if facts.left_out <= _NAMED else logging.INFO, "left out: %s", printable(cause))
        return b"" if cause else jpeg

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
                raise FolderError("What was read back differs from what was written: check the disk, export again.")
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
