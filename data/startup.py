"""The start of a process: libraries that load only if they are used, and no garbage collection meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Placeholder(ModuleType):
    """Stands for a library in the modules that import it; imports the library when one of its names is read."""

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # inspect.stack reads it of all modules
            raise AttributeError(name)
        _remove(self)
        return getattr(import_module(self.__name__), name)


@contextmanager
def import_deferred(name: str) -> Iterator[None]:
    """In the block, let `import name` load nothing until the library is used.

    Imports after the block are ordinary ones: a package whose submodules import each other fails with a placeholder.
    A library that is loaded already, or not installed, is left alone.
    """
    if name in sys.modules or find_spec(name) is None:
        yield
        return
    placeholder = sys.modules[name] = _Placeholder(name)
    try:
        yield
    finally:
        _remove(placeholder)


def _remove(placeholder: _Placeholder) -> None:
    if sys.modules.get(placeholder.__name__) is placeholder:
        sys.modules.pop(placeholder.__name__, None)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the garbage collector in the block, if it is enabled: imports create objects that stay.

    Looking for garbage among them takes 9 % of the time of the imports.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
