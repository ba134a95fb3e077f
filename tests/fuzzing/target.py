"""Fuzz target: the inputs of one entry of the toolkit, and what opens it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from data.errors import ToolkitError

Feed = Callable[[Any], object]  # gives one damaged input to the toolkit


@dataclass(frozen=True)
class Target:
    """One entry of the toolkit. `open` yields the function that takes an input of `inputs`."""

    inputs: st.SearchStrategy[Any]
    open: Callable[[], AbstractContextManager[Feed]]


@contextmanager
def plain(feed: Feed) -> Iterator[Feed]:
    """Yield the function `feed` itself."""
    yield feed


@contextmanager
def in_folder(name: str, feed: Callable[[Path], object]) -> Iterator[Feed]:
    """Yield a function that writes its input to a file `name` and gives its folder to `feed`."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:

        def write(data: bytes) -> None:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(data)
            with suppress(ToolkitError):
                feed(Path(folder))

        yield write
