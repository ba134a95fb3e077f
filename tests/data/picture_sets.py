"""Picture sets: folders of real picture files, each with an image of its own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, size: tuple[int, int] = (64, 48)) -> bytes:
    """Write a picture in the format of the path's suffix, `size` (width, height); return its bytes.

    Its image depends on the last three parts of the path, so that it is another one in each folder.
    """
    rng = np.random.default_rng(list("/".join(path.parts[-3:]).encode("utf-8", "surrogateescape")))
    image = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    done, content = cv2.imencode(path.suffix.lower(), image)
    assert done
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.tobytes())
    return content.tobytes()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and the time of each file below a folder, by path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
