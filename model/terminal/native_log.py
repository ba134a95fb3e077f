"""Native log filter: what TensorFlow's C++ libraries write to file descriptor 2, without what is only information.

They log there before they read TF_CPP_MIN_LOG_LEVEL, and TensorFlow Lite never reads it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from data import startup

# Severity I or W in absl's and TensorFlow's format, TensorFlow Lite's INFO, absl's preamble, and an error of CUDA's
# plugins, which register twice.
_INFORMATION = re.compile(
    rb"[IW]\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |INFO: |WARNING: All log messages before absl|"
    rb".*Unable to register cu\w+ factory|\s*$"
)


@contextmanager
def importing_tensorflow(show: bool) -> Iterator[None]:
    """Import TensorFlow in the block. Unless `show`, it logs nothing then and later, since errors are raised too.

    Keras would import libraries for features that the toolkit does not use, where they are installed. These and the
    garbage collector would take half of the time.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if show else "3")
    absent = {"matplotlib", "pandas", "scipy", "sklearn"} - sys.modules.keys()
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: importing it raises ImportError
    try:
        with startup.collection_paused(), nullcontext() if show else filtered_stderr():
            yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def filtered_stderr() -> Iterator[None]:
    """Hold back what the block writes to file descriptor 2; print it afterwards without informational lines."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            for line in held:
                if not _INFORMATION.match(line):
                    os.write(2, line)
