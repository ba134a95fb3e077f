"""Deferred imports and the pause of the garbage collector, in processes of their own or undone."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import suppress

from data import startup


def _printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_deferred_library_loads_when_it_is_used():
    """Reading __file__ of all modules, as inspect.stack does, does not load it; reading a name of it does."""
    code = (
        "import sys, inspect; from data.startup import import_deferred\n"
        "with import_deferred('trio'): import trio as first; inspect.stack()\n"
        "print('trio' in sys.modules, first.sleep.__name__, 'trio._core' in sys.modules)\n"
        "import trio; print(trio.sleep is first.sleep, trio is first)"
    )
    assert _printed(code) == ["False", "sleep", "True", "True", "False"]


def test_library_that_is_used_in_the_block_loads_there():
    """The library replaces the placeholder, so that the end of the block does not remove it."""
    code = (
        "import sys; from data.startup import import_deferred\n"
        "with import_deferred('trio'): from trio import sleep\n"
        "import trio; print(type(sys.modules['trio']).__name__, trio.sleep is sleep)"
    )
    assert _printed(code) == ["module", "True"]


def test_submodule_of_a_deferred_library_is_imported_after_the_block():
    """Its submodules import each other, for which the package must be in sys.modules or not be there at all."""
    code = (
        "from data.startup import import_deferred\n"
        "with import_deferred('trio'): import trio as first\n"
        "import trio.socket; print(trio.socket.AF_INET.name, first.socket is trio.socket)"
    )
    assert _printed(code) == ["AF_INET", "True"]


def test_deferring_leaves_loaded_and_missing_libraries_alone():
    """A missing library still raises ImportError where it is imported."""
    with startup.import_deferred("no_such_library"), startup.import_deferred("gc"):
        assert "no_such_library" not in sys.modules
        assert sys.modules["gc"] is gc


def test_grabber_loads_neither_trio_nor_decoders():
    """They load while the first request is under way, or never."""
    code = (
        "import sys, config; from data import factories; factories.make_grabber(config.Settings(None)).close()\n"
        "print(*{'trio._core', 'av', 'cv2'} & sys.modules.keys(), 'streamlink' in sys.modules)"
    )
    assert _printed(code) == ["True"]


def test_collector_is_as_before_after_the_pause():
    """An error ends the pause, too; a collector that was off before stays off, also in a pause within a pause."""
    with suppress(ValueError), startup.collection_paused():
        with startup.collection_paused():
            pass
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()
