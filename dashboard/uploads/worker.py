"""Worker: decode one upload in a process of its own, which may die of it.

The server gives it the upload as stdin, an empty file as stdout and the form of the frames as arguments. When its
libraries are loaded, it gives up what damaged or hostile bytes could use: memory, time, larger files, and with the last
file descriptor also every further file and connection. Exit code 0: stdout holds the frames, each after its length.
Exit code 3: stdout says why there is none.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import IO

EXIT_UNDECODABLE = 3
LENGTH_BYTES = 4
MAX_JPEG_BYTES = 1 << 20  # of a frame: one of 240 pixels has at most about 170 kB
_MAX_MEMORY = 1280 << 20  # of address space: the libraries take 400 MB, a picture of 64 million pixels 192 MB twice
_MAX_MESSAGE = 300
_HEAD = 16
_PICTURES = (b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")  # a GIF is a video
_AVIF = (b"ftypavif", b"ftypavis")


def main(argv: list[str]) -> int:
    """Decode stdin to stdout. argv: frames, pixels of a side, JPEG quality, and seconds of CPU."""
    frames, img_size, quality, cpu_s = map(int, argv)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_AS, _MAX_MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, frames * (MAX_JPEG_BYTES + LENGTH_BYTES))
    from data.errors import ToolkitError
    from data.video.preload import preload

    preload()
    _limit(resource.RLIMIT_NOFILE, 3)  # stdin, stdout and stderr are open; nothing else can be
    source, output = sys.stdin.buffer, sys.stdout.buffer
    try:
        for jpeg in islice(_decode(source, frames, img_size, quality, 0.7 * cpu_s), frames):
            output.write(len(jpeg).to_bytes(LENGTH_BYTES, "big") + jpeg)
    except (ToolkitError, OSError, MemoryError) as error:
        text = "it takes too much memory" if isinstance(error, MemoryError) else str(error)
        output.seek(0)
        output.truncate()
        output.write(text.encode(errors="replace")[:_MAX_MESSAGE])
        return EXIT_UNDECODABLE
    finally:
        output.flush()
    return 0


def _limit(kind: int, most: int) -> None:
    resource.setrlimit(kind, (most, most))


def _decode(source: IO[bytes], frames: int, img_size: int, quality: int, cpu_s: float) -> Iterator[bytes]:
    """Yield the frames of a picture or a recording, JPEGs; after `cpu_s` no more is read. Raises UndecodableVideo."""
    from data.video.images import picture_to_frame
    from data.video.recording import sample_recording

    head = os.pread(source.fileno(), _HEAD, 0)
    if head.startswith(_PICTURES) or head[8:12] == b"WEBP" or head[4:12] in _AVIF:
        yield picture_to_frame(source.read(), img_size, quality)
    else:
        yield from sample_recording(
            source, 0.0, frames, img_size, quality, spread_first=False, stopped=lambda: time.process_time() > cpu_s
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
