"""The start of a process: libraries that load only if they are used, and no garbage collection meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class _DeferredModule(ModuleType):
    """A module whose code runs when something is read that its code defines.

    Unlike one of importlib's LazyLoader, it does not run for `__file__`, which `inspect.stack` reads of all modules.
    """

    def __getattr__(self, name: str) -> Any:
        self.__class__ = ModuleType  # type: ignore[assignment] # from here on it is a usual module
        if self.__spec__ and self.__spec__.loader:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def defer_import(name: str) -> None:
    """Let `import name` load nothing until the library is used. One that is loaded, or not installed, is left alone."""
    if name not in sys.modules and (spec := find_spec(name)):
        module = module_from_spec(spec)
        module.__class__ = _DeferredModule
        sys.modules[name] = module


@contextmanager
def collection_paused() -> Iterator[None]:
    """Look for no garbage in the block: imports create objects that stay, and looking at them takes 9 % of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
