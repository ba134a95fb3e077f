"""Signals that end a command: the first one asks for the end, a second one or the end of a grace period forces it.

The request is Python's own: a handler in the main thread, which raises KeyboardInterrupt or sets an event. It needs the
main thread, which may wait for a server in a C library, or for threads that do. The forced end needs only the watcher,
a thread that learns of signals by `signal.set_wakeup_fd`: it calls what `at_forced_end` registered and `os._exit`.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE_S = 3.5  # with the time to stop the embedded PostgreSQL, less than 5 s
_SAME_S = 0.3  # a terminal that closes sends SIGHUP twice, through the kernel and the shell: they count as one
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], None]

_at_forced_end: list[Callable[[], object]] = []  # latest last


def stop_signals() -> list[signal.Signals]:
    """Return the signals that end a command: SIGINT, SIGTERM, and SIGHUP unless `nohup` had it ignored."""
    return [number for number in _NUMBERS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Let `handler` take the signals that end a command in the block. Call it in the main thread."""
    previous = {number: signal.signal(number, handler) for number in stop_signals()}
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)


def raise_interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, once: a handler. Only the forced end interrupts the cleanup that follows."""
    for number in stop_signals():
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN it still reaches the watcher
    raise KeyboardInterrupt


@contextmanager
def at_forced_end(callback: Callable[[], object]) -> Iterator[None]:
    """Have the watcher call `callback` if it ends the process in the block, latest first. It must be thread-safe."""
    _at_forced_end.append(callback)
    try:
        yield
    finally:
        _at_forced_end.remove(callback)


@contextmanager
def forced_end(grace_s: float = GRACE_S) -> Iterator[None]:
    """End the process `grace_s` seconds after the first handled signal in the block, at once at a second one.

    A block within another one has its own grace period.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    thread = threading.Thread(target=_watch, args=(reader, grace_s), name="signals", daemon=True)
    # The watcher itself takes no signal: it would defeat `signals_deferred` in the main thread.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        writer.close()  # ends the thread
        thread.join()
        reader.close()


def _watch(reader: socket.socket, grace_s: float) -> None:
    with suppress(EOFError):
        first = _next_signal(reader, math.inf)
        began = time.monotonic()
        while (left_s := began + _SAME_S - time.monotonic()) > 0:
            _next_signal(reader, left_s)
        second = _next_signal(reader, began + grace_s - time.monotonic())
        _end_process(second or first)


def _next_signal(reader: socket.socket, timeout_s: float) -> int:
    """Return the number of the next signal; 0 if none comes in time. Raises EOFError: the block has ended."""
    end = time.monotonic() + timeout_s
    while (left_s := end - time.monotonic()) > 0:
        reader.settimeout(None if math.isinf(left_s) else left_s)
        try:
            data = reader.recv(1)
        except TimeoutError:
            break
        if not data:
            raise EOFError
        if data[0] in _NUMBERS:  # the wakeup descriptor reports every signal that has a handler
            return data[0]
    return 0


def _end_process(number: int) -> None:
    """Call what is registered, and end with the code that a shell gives to a process that the signal killed."""
    with suppress(OSError):
        show_cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a live display has hidden it
        os.write(2, show_cursor + b"error: Interrupted; did not wait for what was going on.\n")
    for callback in reversed(_at_forced_end):
        with suppress(Exception):
            callback()
    os._exit(128 + number)
