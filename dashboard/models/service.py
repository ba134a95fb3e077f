"""Model service: the recogniser that all parts share, and what there is to know of its model and of others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.models.comparison import compare, folder_beside
from dashboard.models.folder import ModelFolder, Stamp, real_path, shown_name, utc_time
from dashboard.models.recognition import Recognition, SourceQueue, recognise_frames
from dashboard.models.schemas import ComparedModels, ModelInfo
from data import factories
from data.entities import StoredFrame
from data.errors import ModelError
from model.inference.classifier import INT8_FILE, ONNX_FILE
from model.inference.location import find_model
from recognition.model_loading import load_classifier
from recognition.recognizer import Recognizer

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger(__name__)

_TOP = 5  # games in a ranking
_THREADS = 1  # of one inference: several streams and visitors are served at a time
_CONNECTIONS = 64  # that stay open: one for each stream of a wall


class ModelService:
    """The model in MODEL_PATH. Thread-safe; nothing is loaded before the first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # held while a model is loaded
        self._recognizer: Recognizer | None = None  # all share its connections; who has a former one goes on with it
        self._sources: SourceQueue | None = None
        self._tried: Stamp | None = None  # files that were loaded last, or could not be
        self._loaded: tuple[Path, Stamp, float] | None = None  # folder, files and time of the recogniser's model

    def start(self) -> None:
        """Do nothing: the model is loaded when it is needed."""

    def close(self) -> None:
        """End the recogniser's waits and connections."""
        with self._lock:
            if self._sources:
                self._sources.close()
            if self._recognizer:
                self._recognizer.close()
            self._recognizer = None

    def recognizer(self) -> Recognizer:
        """Return the recogniser; load the model at the first call, and again when its files have changed.

        Raises ModelError.
        """
        with self._lock:
            folder = self.folder()
            stamp = folder.stamp()
            if self._recognizer is None or (self._is_changed(folder, stamp) and stamp != self._tried):
                self._tried = stamp
                try:
                    self._recognizer = self._load()
                    self._loaded = folder.path, stamp, time.time()
                except ModelError as error:
                    if self._recognizer is None:
                        raise
                    log.warning("%s The former model stays in use.", error)
            return self._recognizer

    def recognise_source(self, source: str, frames: int) -> Recognition:
        """Return what a source shows. Raises TooManyRecognitions, ModelError, StreamError."""
        with self._lock:
            self._sources = self._sources or SourceQueue()
        return self._sources.recognise(self.recognizer, source, frames)

    def recognise_frames(self, name: str, jpegs: Sequence[bytes]) -> Recognition:
        """Return what some frames show together. `name`: the events' source. Raises ModelError, UndecodableVideo."""
        return recognise_frames(self.recognizer(), name, jpegs)

    def recognise_stored(self, frame: StoredFrame) -> Recognition:
        """Return what a frame of the dataset shows. Raises FolderError, ModelError, UndecodableVideo."""
        from data.video.images import picture_to_frame

        jpeg = factories.make_frame_store(self._settings).read(frame)
        # One that was put there by hand may have any size.
        jpeg = picture_to_frame(jpeg, self._settings.img_size, self._settings.jpeg_quality)
        return self.recognise_frames(frame.path, [jpeg])

    def _load(self) -> Recognizer:
        """Return a recogniser with the model as it is now, for sources that visitors name. Raises ModelError."""
        classifier = load_classifier(self._settings, _THREADS)
        if self._recognizer:
            return self._recognizer.with_classifier(classifier)
        settings = self._settings.model_copy(
            update={"parallel_streams": max(_CONNECTIONS, self._settings.parallel_streams)}
        )
        stop = threading.Event()
        grabber = factories.make_grabber(settings, stop.wait, public_only=True)
        load = partial(load_classifier, settings, _THREADS)
        return Recognizer(settings, grabber, load, stop=stop, top=_TOP, threads=_THREADS).with_classifier(classifier)

    def _is_changed(self, folder: ModelFolder, stamp: Stamp) -> bool:
        return self._loaded is not None and self._loaded[:2] != (folder.path, stamp)

    def folder(self, name: str = "") -> ModelFolder:
        """Return the folder of the model, or the one of this name beside MODEL_PATH. Raises ModelNotFound."""
        path = self._settings.model_path
        return folder_beside(path, name) if name else ModelFolder(find_model(path), path / "results")

    def info(self, folder: ModelFolder) -> ModelInfo:
        """Return what is known of a model, without loading it."""
        own = self.folder()
        is_current = real_path(folder.path) == real_path(own.path)
        loaded = self._loaded if is_current else None
        info = ModelInfo(
            found=folder.holds_model,
            message="",
            name=shown_name(folder.path),
            current=is_current,
            shipped=folder.is_shipped,
            loaded=loaded is not None,
            loaded_at=utc_time(loaded[2]) if loaded else None,
            changed=is_current and self._is_changed(own, own.stamp()),
            threads=_THREADS,
            files=folder.files(),
        )
        try:
            info.classes = folder.classes()
            info.calibration, info.img_size = folder.calibration()
            info.int8 = self._settings.int8 == "true" and any(file.name == INT8_FILE for file in info.files)
            info.file = INT8_FILE if info.int8 else ONNX_FILE
            if report := folder.report("training"):
                info.trained, info.architecture = report.report.date, report.architecture
        except ModelError as error:
            info.message = str(error)
        return info

    def compared(self) -> ComparedModels:
        """Return the models in MODEL_PATH and beside it."""
        return compare(self.folder(), self._settings.model_path)
