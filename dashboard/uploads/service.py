"""Upload service: a picture or a clip of a visitor becomes frames.

receive   the bytes lie in a file without a name  (dashboard.security limits their number and their time)
decode    a process of its own decodes them, which may die of it  (dashboard.uploads.worker)
check     its frames are JPEGs of the right size, or none
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dashboard.uploads import worker
from data.errors import ToolkitError, UndecodableVideo
from data.text import printable_line

if TYPE_CHECKING:
    from config import Settings

MAX_BYTES = 64 << 20
_MAX_WORKERS = 2
_MAX_FRAMES = 30
_CPU_S, _DECODE_S = 30, 60.0  # of the worker, and until it is killed
_POLL_S = 0.02
_SCAN, _MAX_SCANS = b"\xff\xda", 100  # each one of a JPEG's scans costs a pass over all of its pixels
# What the worker may know: no settings, which hold secrets.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "LANG", "TMPDIR")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_ROOT = Path(__file__).resolve().parents[2]  # where the packages lie, installed or not


class UploadTooLarge(ToolkitError):
    """The upload exceeds MAX_BYTES."""


class TooManyUploads(ToolkitError):
    """Other uploads are decoded; the same one may succeed later."""


class UploadService:
    """Decodes uploads, a few at a time. Thread-safe; `close` ends the workers."""

    def __init__(self, settings: Settings) -> None:
        self._img_size, self._quality = settings.img_size, settings.jpeg_quality
        self.frames = min(settings.frames_per_stream, _MAX_FRAMES)
        self._workers = threading.BoundedSemaphore(_MAX_WORKERS)
        self._lock = threading.Lock()  # guards `_running` and `_closed`
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def start(self) -> None:
        """Do nothing: a worker is started for each upload."""

    def close(self) -> None:
        """Kill the workers that run."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def decode(self, upload: IO[bytes], gone: threading.Event | None = None) -> list[bytes]:
        """Return the frames of an upload, JPEGs; one of a picture. Raises UndecodableVideo, TooManyUploads.

        gone: once set, nobody waits for the frames, and the worker is killed.
        """
        if not self._workers.acquire(timeout=_DECODE_S):
            raise TooManyUploads(_BUSY)
        try:
            with tempfile.TemporaryFile() as output:
                code = self._run(upload, output, gone or threading.Event())
                output.seek(0)
                if code == worker.EXIT_UNDECODABLE:
                    reason = printable_line(output.read(1000).decode(errors="replace"))
                    raise UndecodableVideo(f"The file cannot be used: {reason}")
                if code:
                    raise UndecodableVideo("The file cannot be used: decoding it takes too much memory or time.")
                return self._read_frames(output)
        finally:
            self._workers.release()

    def _run(self, upload: IO[bytes], output: IO[bytes], gone: threading.Event) -> int:
        """Run a worker and return its exit code; one that was killed has a negative one."""
        upload.seek(0)
        with self._lock:
            if self._closed:
                raise TooManyUploads("The server is about to end.")
            process = subprocess.Popen(
                self._command(),
                stdin=upload,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=_ROOT,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ONE_THREAD,
                start_new_session=True,  # Ctrl-C is for the server
            )
            self._running.add(process)
        end = time.monotonic() + _DECODE_S
        try:
            while (code := process.poll()) is None and time.monotonic() < end and not gone.wait(_POLL_S):
                pass
            return -1 if code is None else code
        finally:
            process.kill()
            process.wait()
            with self._lock:
                self._running.discard(process)

    def _command(self) -> list[str]:
        numbers = (self.frames, self._img_size, self._quality, _CPU_S)
        return [sys.executable, "-m", worker.__name__, *map(str, numbers)]

    def _read_frames(self, output: IO[bytes]) -> list[bytes]:
        """Return the frames that a worker wrote. Raises UndecodableVideo: it wrote something else."""
        from data.video.images import picture_size

        frames: list[bytes] = []
        while (head := output.read(worker.LENGTH_BYTES)) and len(frames) < self.frames:
            length = min(int.from_bytes(head, "big"), worker.MAX_JPEG_BYTES)
            frames.append(output.read(length))
            is_jpeg = frames[-1].startswith(b"\xff\xd8") and frames[-1].count(_SCAN) <= _MAX_SCANS
            if not is_jpeg or picture_size(frames[-1]) != (self._img_size, self._img_size):
                raise UndecodableVideo("The file cannot be used: its frames are damaged.")
        if not frames:
            raise UndecodableVideo("The file cannot be used: it holds no picture.")
        return frames


_BUSY = "Other uploads are being decoded; try again in some seconds."


async def receive(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    """Write the chunks of a body to a file. Raises UploadTooLarge, and UndecodableVideo for an empty one."""
    size = 0
    async for chunk in chunks:
        if (size := size + len(chunk)) > MAX_BYTES:
            raise UploadTooLarge(f"The upload is larger than {MAX_BYTES >> 20} MiB; send a shorter or smaller one.")
        file.write(chunk)
    if not size:
        raise UndecodableVideo("The upload is empty; send the picture or the clip itself as the body.")
