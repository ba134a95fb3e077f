"""Model shipping: nodes get the model's files through Ray's object store, once for each hash of the files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import atomic
from data.errors import ClusterError, FolderError, ModelError
from data.pool.calls import describe_error, results

if TYPE_CHECKING:
    from config import Settings

_FILES = ("model.onnx", "model.int8.onnx", "classes.txt")
_FETCH_S = 60.0


@dataclass(frozen=True, slots=True)
class Model:
    """The files of a model, by their hash; without a model, nothing."""

    sha256: str = ""
    files: Any = None  # ray.ObjectRef of dict[str, bytes]: content by name

    def settings(self, settings: Settings) -> Settings:
        """Return the settings with the MODEL_PATH of this node. Call it on a node: it writes the files if needed."""
        return settings.model_copy(update={"model_path": self.path()}) if self.sha256 else settings

    def path(self) -> Path:
        """Return the folder of the model on this node. Raises FolderError, ModelError, ClusterError."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "twitchcategory" / "models" / self.sha256
        try:
            if _sha256(_read(folder)) != self.sha256:
                self._write(folder)
        except OSError as error:
            text = f"{folder}: {error.strerror or error}: free some space, or set XDG_CACHE_HOME on the node"
            raise FolderError(text) from error
        return folder

    def _write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (files,) = results([self.files], _FETCH_S)
        if isinstance(files, Exception):  # a TimeoutError would be an OSError, as of the folder
            raise ClusterError(f"the model has not arrived on this node ({describe_error(files)})") from files
        for name, content in files.items():
            with atomic.atomic_file(folder / name) as file:
                file.write_bytes(content)
        if _sha256(_read(folder)) != self.sha256:
            raise ModelError(f"{folder}: the model's files changed on their way to this node; remove the folder")


def ship(model_path: Path | None) -> Model:
    """Put the model's files into the cluster's object store. Raises ModelError."""
    if model_path is None:
        return Model()
    import ray

    files = _read(model_path)
    if not files:
        raise ModelError(f"{model_path} holds no model; train one: python -m model.create")
    return Model(_sha256(files), ray.put(files))


def _read(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in _FILES if (folder / name).is_file()}


def _sha256(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
