"""Features of a dataset's frames by a frozen backbone with its initial weights, stored for all later checks.

    hash the files; compute and store what is missing: thumbnails, vectors, vectors of example screens
    project all vectors on few axes, batch by batch: the full vectors of 100,000 frames take 600 MB

TensorFlow is imported only if a vector is missing.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from config import Settings
from data.commands import require_extra
from data.entities import Game, StoredFrame
from data.errors import DatasetError, FolderError, ModelError, UndecodableVideo
from data.storage.features import THUMBNAILS, FeatureStore
from data.storage.frame_store import FrameStore
from data.text import plural, printable
from data.video.images import decode_thumbnail, resize_image, to_grayscale
from model.augmentation.screens import SCREENS, draw_screens
from model.cleaning import space
from model.cleaning.check import check
from model.cleaning.findings import CheckResult
from model.networks import backbones
from model.terminal.progress import Progress, no_progress

logger = logging.getLogger(__name__)

_EXAMPLES, _SEED = 50, 123  # example screens of each kind
_NO_FRAME = "There is no readable frame to check. Collect some with python -m data.download."
_BATCH, _STORED_AT_ONCE = 32, 1024  # frames; a kill costs the last ones only


@dataclass(frozen=True, slots=True, eq=False)
class CheckInputs:
    """What `model.cleaning.check.check` compares, of n frames."""

    frames: Sequence[StoredFrame]  # with their hashes; unreadable and deleted ones are left out
    features: np.ndarray  # float32 (n, k)
    negatives: dict[str, np.ndarray]  # features of example screens by kind, float32 (m, k)
    thumbnails: np.ndarray  # grey, uint8 (n, 900)

    def check(self, games: Sequence[Game], rows: np.ndarray | None = None) -> CheckResult:
        """Check the frames, or only those of `rows`, int64 (m,). Raises DatasetError."""
        rows = np.arange(len(self.frames)) if rows is None else rows
        frames, pictures = [self.frames[row] for row in rows.tolist()], self.thumbnails[rows]
        return check(frames, self.features[rows], games, negatives=self.negatives, thumbnails=pictures)


@dataclass(frozen=True, slots=True)
class StoredFeatures:
    """Frames that can be decoded, with their hashes, and what is stored of each."""

    frames: Sequence[StoredFrame]
    vectors: FeatureStore
    thumbnails: FeatureStore
    screens: dict[str, list[bytes]]  # keys of the example screens' vectors, by kind

    def present(self) -> list[StoredFrame]:
        """Return the frames with features: one whose file was deleted meanwhile has none. Raises FolderError."""
        hashes = [frame.sha256 for frame in self.frames]
        gone = self.vectors.missing(hashes) | self.thumbnails.missing(hashes)
        return [frame for frame in self.frames if frame.sha256 not in gone]


def collect(
    settings: Settings,
    store: FrameStore,
    frames: Sequence[StoredFrame],
    log: Callable[[str], None],
    progress: Progress = no_progress,
) -> CheckInputs:
    """Return what a check needs of these frames; compute and store what is missing.

    Raises DatasetError: no readable frame. SettingsError, ModelError, FolderError,
    ExtraMissing: features are missing, and TensorFlow is not installed.
    """
    stored = fill(settings, store, frames, log, progress)
    if not (kept := stored.present()):
        raise DatasetError(_NO_FRAME)
    hashes = [frame.sha256 for frame in kept]
    features, projection = space.project(lambda: stored.vectors.batches(hashes), len(hashes))
    negatives = {kind: projection.apply(stored.vectors.get(keys)[0]) for kind, keys in stored.screens.items()}
    return CheckInputs(kept, features, negatives, stored.thumbnails.get(hashes)[0])


def fill(
    settings: Settings,
    store: FrameStore,
    frames: Sequence[StoredFrame],
    log: Callable[[str], None],
    progress: Progress = no_progress,
) -> StoredFeatures:
    """Compute and store what is missing of these frames, and return where it is. Raises as `collect` does."""
    network = _Network.of(settings)
    vectors, thumbnails = (FeatureStore(store.features / name) for name in (network.folder, THUMBNAILS))
    frames = _readable(store, thumbnails, frames, progress)
    if not frames:
        raise DatasetError(_NO_FRAME)
    screens = screen_keys()
    missing = vectors.missing(frame.sha256 for frame in frames)
    unseen = vectors.missing(key for keys in screens.values() for key in keys)
    if missing or unseen:
        require_extra("train", "The check")  # TensorFlow computes the features
        from model.training.hardware import tensorflow_errors

        wanted = list({frame.sha256: frame for frame in frames if frame.sha256 in missing}.values())
        log(f"backbone: features of {plural(len(wanted), 'frame')}")
        backbone = network.load()
        with tensorflow_errors("Repeat the command: the features computed so far are kept."):
            _add_screens(vectors, {kind: keys for kind, keys in screens.items() if unseen & set(keys)}, backbone)
            _add_vectors(store, vectors, wanted, backbone, progress)
    return StoredFeatures(frames, vectors, thumbnails, screens)


@dataclass(frozen=True, slots=True)
class _Network:
    """The backbone of the settings, or the default one if theirs has no trained weights."""

    settings: Settings
    folder: str  # its name, size and weights

    @classmethod
    def of(cls, settings: Settings) -> _Network:
        backbones.require_architecture(settings.architecture)
        weights = backbones.resolve_weights(settings.architecture, settings.initial_weights)
        if weights == backbones.RANDOM:
            default = Settings.model_fields
            names = ("architecture", "initial_weights")
            settings = settings.model_copy(update={name: default[name].default for name in names})
            weights = backbones.resolve_weights(settings.architecture, settings.initial_weights)
        path = Path(weights)
        mark = hashlib.sha256(path.read_bytes()).hexdigest()[:8] if path.is_file() else backbones.IMAGENET
        return cls(settings, f"{settings.architecture}-{settings.img_size}-{mark}")

    def load(self) -> Any:
        """Return the backbone, images → features. Imports TensorFlow. Raises SettingsError: invalid weights."""
        from model.training import hardware

        machine = hardware.set_up(
            self.settings.seed, mixed_precision=self.settings.mixed_precision, all_gpus=False, show=False
        )
        from model.networks import network
        from model.training.factories import make_network

        parts = network.split_head(make_network(self.settings, 2, machine))
        if parts is None:
            raise DatasetError("The network has no frozen backbone. Set INITIAL_WEIGHTS=shipped.")
        return machine.accelerate(parts[0])


def _readable(
    store: FrameStore, thumbnails: FeatureStore, frames: Sequence[StoredFrame], progress: Progress
) -> list[StoredFrame]:
    """Return the frames that can be decoded, with their hashes; store the thumbnails that are missing."""
    known = [one for frame in store.described(frames) if (one := _hashed(store, frame)).sha256]
    missing = thumbnails.missing(frame.sha256 for frame in known)
    wanted = list({frame.sha256: frame for frame in known if frame.sha256 in missing}.values())
    unusable: set[bytes] = set()
    with progress("checking frames", len(wanted)) as advance:
        for start in range(0, len(wanted), _STORED_AT_ONCE):
            pictures: dict[bytes, np.ndarray] = {}
            for frame in wanted[start : start + _STORED_AT_ONCE]:
                try:
                    pictures[frame.sha256] = to_grayscale(decode_thumbnail(store.read(frame))).ravel()  # (900,)
                except (FolderError, UndecodableVideo) as error:
                    logger.warning("%s is left out: %s", printable(frame.path), error)
                    unusable.add(frame.sha256)
                advance(1)
            if pictures:
                thumbnails.add(list(pictures), np.stack(list(pictures.values())))
    return [frame for frame in known if frame.sha256 not in unusable]


def _hashed(store: FrameStore, frame: StoredFrame) -> StoredFrame:
    """Return the frame with its file's hash; without one, after a warning, if the file cannot be read."""
    if frame.sha256:
        return frame
    try:
        return replace(frame, sha256=store.sha256(frame))
    except FolderError as error:
        logger.warning("%s is left out: %s", printable(frame.path), error)
        return frame


def _add_screens(vectors: FeatureStore, screens: dict[str, list[bytes]], backbone: Any) -> None:
    """Compute and store the vectors of the example screens of these kinds."""
    import tensorflow as tf

    for kind, keys in screens.items():
        images = [resize_image(image, backbone.input_shape[1]) for image in draw_screens(kind, len(keys), _SEED)]
        # With labels, as batches of frames have: Keras traces a network again for other types.
        batches = tf.data.Dataset.from_tensor_slices((np.stack(images), np.zeros(len(images), np.int64))).batch(_BATCH)
        vectors.add(keys, to_float16(backbone.predict(batches, verbose=0)))


def _add_vectors(
    store: FrameStore, vectors: FeatureStore, frames: list[StoredFrame], backbone: Any, progress: Progress
) -> None:
    """Compute and store the vectors of these frames."""
    from model.datasets.image_dataset import ImageDataset
    from model.training.callbacks import BatchProgress

    root, classes = Path(store.location), [Game(game_id, "") for game_id in {frame.game_id for frame in frames}]
    with progress("features", math.ceil(len(frames) / _BATCH)) as advance:
        for start in range(0, len(frames), _STORED_AT_ONCE):
            part = frames[start : start + _STORED_AT_ONCE]
            batches = ImageDataset(root, part, classes, backbone.input_shape[1], _BATCH).batches()
            values = to_float16(backbone.predict(batches, verbose=0, callbacks=[BatchProgress(advance)]))
            # What was deleted meanwhile, as by data.forget, must not come back.
            kept = [row for row, frame in enumerate(part) if (root / frame.path).exists()]
            vectors.add([part[row].sha256 for row in kept], values[kept])


def to_float16(values: np.ndarray) -> np.ndarray:
    """Return a network's features as they are stored. Raises ModelError: some are NaN, or too large."""
    with np.errstate(over="ignore"):
        stored = np.asarray(values, np.float16)
    if not np.isfinite(stored).all():
        raise ModelError(
            "The features are not finite: the weights are damaged, or not those of ARCHITECTURE. "
            "Set INITIAL_WEIGHTS=shipped or to another file."
        )
    return stored


def screen_keys() -> dict[str, list[bytes]]:
    """Return the keys of the example screens' vectors, in place of hashes of files, by kind."""
    return {
        kind: [hashlib.sha256(f"{kind} {_SEED} {index}".encode()).digest() for index in range(_EXAMPLES)]
        for kind in SCREENS
    }


def network_folder(settings: Settings) -> str:
    """Return the name of the feature store's folder for these settings. Raises SettingsError."""
    return _Network.of(settings).folder
