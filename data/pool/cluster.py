"""Connection to a Ray cluster, checked before it is used. Ray itself stays silent except at -vv."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from data import interruption
from data.commands import require_extra
from data.errors import ClusterError, SettingsError
from data.pool.checks import check_nodes
from data.pool.nodes import Cluster
from data.pool.shipping import ship
from data.pool.worker_host import WorkerHost
from data.threads import start_thread

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger(__name__)

_LOCAL_MEMORY = 100 * 2**20  # bytes of the object store of a cluster that `local` starts; Ray's minimum is 75 MiB
_CONNECT_S, _SHUTDOWN_S = 10.0, 1.5  # the second one twice: less than interruption.GRACE_S
_START_S = 120.0  # of a cluster on this machine, which may be busy
_LOCALHOST = ("localhost", "127.0.0.1", "[::1]")
_LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"  # Ray takes another address for 127.0.0.1
_TICK_S = 0.1
_SILENT = logging.CRITICAL + 1
_MAX_LOG = 100_000  # bytes
_REFUSED = (b"InvalidAuthToken", b"Unauthenticated")
_TOKEN_ADVICE = (
    "Set RAY_AUTH_MODE=token, and the cluster's token in RAY_AUTH_TOKEN, or in a file that RAY_AUTH_TOKEN_PATH names"
)


@contextmanager
def open_cluster(
    settings: Settings,
    model_path: Path | None = None,
    needs_store: bool = False,
    needs_database: bool | None = None,
    *,
    workers: bool = False,
) -> Iterator[Cluster]:
    """Connect to the cluster `settings.ray_address`, check it, and yield it.

    model_path: folder of a model that the nodes need. needs_store: whether nodes use the frame store.
    needs_database: whether nodes use PostgreSQL; None: as needs_store. workers: whether RemoteWorkers will run; their
    processes start beside the checks, and get nothing before.
    Raises ClusterError, SettingsError, ExtraMissing.
    """
    require_extra("cluster", "A cluster (--ray, RAY_ADDRESS)")
    with _connected(settings):
        cluster = Cluster(settings.ray_address, _absolute(settings), ship(model_path))
        if workers:
            cluster.prepare_actors(WorkerHost)
        if settings.ray_address != "local":  # that is this machine alone, with the embedded database if need be
            database = needs_store if needs_database is None else needs_database
            check_nodes(cluster, needs_store=needs_store, needs_database=database)
        yield cluster


def _absolute(settings: Settings) -> Settings:
    """Return the settings for the nodes: actors run in another folder, and never on a cluster of their own."""
    paths = {name: value.absolute() for name, value in settings if isinstance(value, Path) and name != "model_path"}
    return settings.model_copy(update=paths | {"ray_address": ""})


@contextmanager
def _connected(settings: Settings) -> Iterator[None]:
    address, limit_s = settings.ray_address, settings.timeout_s + _CONNECT_S
    if address == "local":
        log.info("starting Ray on this machine")
        limit_s = _START_S
    else:
        _knock(address, settings.timeout_s)
    others = psutil.Process().children(recursive=True)
    started: Future[None] = Future()
    stop = threading.Event()
    ended = start_thread(partial(_hold, address, started, stop), "ray")  # may hang; Ctrl-C would not interrupt it
    try:
        _wait_for_start(started, address, limit_s)
        yield
    finally:
        if address == "local":
            end_start(started, others)
        stop.set()
        if started.done():  # a connection that hangs does not end, and Ray would log its next attempts to stderr
            wait([ended], _SHUTDOWN_S)


def _hold(address: str, started: Future[None], stop: threading.Event) -> None:
    """Connect, and stay until `stop`: the processes of a local cluster end with the thread that has started them."""
    try:
        _initialize(address)
    except BaseException as error:  # noqa: BLE001 - `started.result` raises it
        started.set_exception(error)
    else:
        started.set_result(None)
        stop.wait()
    import ray

    ray.shutdown()  # it ends this process's actors


def end_start(started: Future[None], others: Collection[psutil.Process], timeout_s: float = _SHUTDOWN_S) -> None:
    """Kill the processes of a start that has failed or hangs: Ray forgets them, and a node's agents would run for ever.

    others: children of this process that are none of them. timeout_s: for a start that hangs.
    """
    for _ in range(round(timeout_s / _TICK_S)):
        ended = bool(wait([started], _TICK_S).done)
        if ended and not started.exception():
            return
        for process in set(psutil.Process().children(recursive=True)).difference(others):
            with suppress(psutil.Error):
                process.kill()
        if ended:
            return


def _wait_for_start(started: Future[None], address: str, timeout_s: float) -> None:
    """Wait for `_initialize`; restore all the time the handlers of signals, which Ray replaces. Raises ClusterError."""
    handlers = {number: signal.getsignal(number) for number in interruption.stop_signals()}
    end = time.monotonic() + timeout_s
    try:
        with _captured_stderr() as stderr:
            while not wait([started], _TICK_S).done:
                _set_handlers(handlers)
                if any(word in os.pread(stderr, _MAX_LOG, 0) for word in _REFUSED):
                    raise ClusterError(f"RAY_ADDRESS={address}: the cluster refuses this machine. {_TOKEN_ADVICE}")
                if time.monotonic() > end:
                    raise ClusterError(f"RAY_ADDRESS={address}: {_unanswered(address)}")
            log.debug("Ray: %s", os.pread(stderr, _MAX_LOG, 0).decode(errors="replace"))
    finally:
        _set_handlers(handlers)
    started.result()


def _set_handlers(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _initialize(address: str) -> None:
    """Connect to the cluster, or start one on loopback."""
    verbose = logging.getLogger().isEnabledFor(logging.DEBUG)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == "local" and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    import ray

    # Ray prints the death of a node and what workers print to stdout, whatever log_to_driver is.
    ray._private.worker.print_worker_logs = _log_lines
    logging.getLogger("ray").setLevel(logging.DEBUG if verbose else _SILENT)
    options: dict[str, Any] = {"configure_logging": False, "log_to_driver": verbose}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _LOCAL_MEMORY, "_node_ip_address": _LOOPBACK}
    try:
        ray.init(address=address, **options)
    except Exception as error:
        log.debug("ray.init failed", exc_info=True)
        raise ClusterError(f"RAY_ADDRESS={address}: {_reason(error)}") from error


def _log_lines(data: dict[str, Any], *_: object) -> None:
    """Log the lines of a node or worker: replaces Ray's function that prints them."""
    log.debug("Ray: %s", "\n".join(map(str, data.get("lines", ()))))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "authentication token" in text:
        return f"this machine has no valid token. {_TOKEN_ADVICE}"
    if "Could not find any running Ray instance" in text:
        return "no Ray cluster runs on this machine. Start one: ray start --head"
    return text[:300] or type(error).__name__


def _knock(address: str, timeout_s: float) -> None:
    """Raise ClusterError if nothing listens at host:port: Ray would try for a long time. For auto, Ray finds that."""
    host, _, port = address.rpartition(":")
    if not host:
        return
    if not 0 < int(port) < 2**16:
        raise SettingsError(f"RAY_ADDRESS: invalid port in {address}")
    if host in _LOCALHOST:
        from ray._private.services import get_node_ip_address

        host = get_node_ip_address()  # as Ray does
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()
    except OSError as error:
        raise ClusterError(
            f"RAY_ADDRESS={address}: no Ray cluster answers ({error.strerror or error}). Start one: ray start --head"
        ) from error


def _unanswered(address: str) -> str:
    if ":" not in address:
        return "Ray does not start on this machine, or its head hangs; see: ray status"
    return (
        "no node of the cluster runs on this machine, or its head hangs. "
        f"Start one here: ray start --address={address} --num-cpus=0"
    )


@contextmanager
def _captured_stderr() -> Iterator[int]:
    """Send file descriptor 2 to a file in the block; yield the file's descriptor. Ray's C++ code logs there."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file.fileno()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
