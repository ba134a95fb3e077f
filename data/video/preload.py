"""Preload: import what decoding would import later, for a process that can open no file by then."""

from __future__ import annotations

from importlib import import_module

# PyAV imports these when a file holds such a stream.
_STREAMS = ("av.audio.stream", "av.audio.codeccontext", "av.subtitles.stream", "av.subtitles.codeccontext")
_READERS = ("data.video.images", "data.video.recording")


def preload() -> None:
    """Import the readers of pictures and recordings, with all that their libraries import on demand."""
    from PIL import Image

    for name in (*_READERS, *_STREAMS):
        import_module(name)
    Image.init()  # its plug-ins
