"""Deferred imports and the pause of the garbage collector, in processes of their own or undone."""

from __future__ import annotations

import gc
import subprocess
import sys

from data import startup


def _printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_deferred_module_loads_when_it_is_used():
    """Reading __file__ of all modules, as inspect.stack does, does not load it; an attribute or submodule does."""
    code = (
        "import sys, inspect; from data.startup import defer_import\n"
        "defer_import('trio'); defer_import('trio'); import trio; inspect.stack()\n"
        "print('trio._core' in sys.modules); print(trio.sleep.__name__, 'trio._core' in sys.modules)\n"
        "import trio.socket; print(trio.socket.AF_INET.name)"
    )
    assert _printed(code) == ["False", "sleep", "True", "AF_INET"]


def test_deferring_leaves_loaded_and_missing_libraries_alone():
    """A missing library still raises ImportError where it is imported."""
    startup.defer_import("no_such_library")
    assert "no_such_library" not in sys.modules
    startup.defer_import("gc")
    assert sys.modules["gc"] is gc


def test_grabber_loads_neither_trio_nor_decoders():
    """They load while the first request is under way, or never."""
    code = (
        "import sys, config; from data import factories; factories.make_grabber(config.Settings(None)).close()\n"
        "print(*{'trio._core', 'av', 'cv2'} & sys.modules.keys(), 'streamlink' in sys.modules)"
    )
    assert _printed(code) == ["True"]


def test_collector_works_again_after_the_pause():
    """An error ends the pause, too."""
    with startup.collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
