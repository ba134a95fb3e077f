"""Ray cluster: connect to it, list its nodes, start actors on them. Ray itself stays silent except at -vv."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import interruption
from data.commands import require_extra
from data.errors import ClusterError, SettingsError
from data.pool.shipping import Model, ship

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger(__name__)

_LOCAL_MEMORY = 100 * 2**20  # bytes of the object store of a cluster that `local` starts; Ray's minimum is 75 MiB
_CONNECT_S, _SHUTDOWN_S = 10.0, 1.0
_LOCALHOST = ("localhost", "127.0.0.1", "[::1]")
_SILENT = logging.CRITICAL + 1


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, or one of several Ray nodes on a machine."""

    id: str
    address: str
    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster to which this process is connected.

    `settings` and `model` may be pickled into functions that run on the nodes; on each one, `model.settings(settings)`
    have the MODEL_PATH of that node.
    """

    address: str
    settings: Settings
    model: Model

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive. Without the cluster's head it does not return for a minute."""
        import ray

        return [
            Node(
                node["NodeID"], node["NodeManagerAddress"], *(int(node["Resources"].get(k, 0)) for k in ("CPU", "GPU"))
            )
            for node in ray.nodes()
            if node["Alive"]
        ]

    def start_actor(self, kind: type, node: Node, gpus: int = 0) -> Any:
        """Return the handle of a new actor of class `kind` on a CPU of the node. It ends with this process."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(node.id, soft=False)
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "max_concurrency": 3}
        return ray.remote(kind).options(**options, scheduling_strategy=where).remote()

    def put(self, value: Any) -> Any:
        """Return a reference to a value in the cluster's object store: an argument for many calls."""
        import ray

        return ray.put(value)

    def kill(self, actor: Any) -> None:
        """End an actor's process, without waiting for it."""
        import ray

        with suppress(Exception):  # gone already, or the head is
            ray.kill(actor, no_restart=True)


@contextmanager
def open_cluster(
    settings: Settings, model_path: Path | None = None, needs_store: bool = False, needs_database: bool | None = None
) -> Iterator[Cluster]:
    """Connect to the cluster `settings.ray_address`, check it, and yield it.

    model_path: folder of a model that the nodes need. needs_store: whether nodes use the frame store.
    needs_database: whether nodes use PostgreSQL; None: as needs_store.
    Raises ClusterError, SettingsError, ExtraMissing.
    """
    require_extra("cluster", "RAY_ADDRESS")
    with _connected(settings):
        yield Cluster(settings.ray_address, _absolute(settings), ship(model_path))


def _absolute(settings: Settings) -> Settings:
    """Return the settings for the nodes: actors run in another folder, and never on a cluster of their own."""
    paths = {name: value.absolute() for name, value in settings if isinstance(value, Path) and name != "model_path"}
    return settings.model_copy(update=paths | {"ray_address": ""})


@contextmanager
def _connected(settings: Settings) -> Iterator[None]:
    address = settings.ray_address
    if address == "local":
        with _kept_signal_handlers():
            _initialize(address)
    else:
        _knock(address, settings.timeout_s)
        _in_thread(lambda: _initialize(address), settings.timeout_s + _CONNECT_S, address)
    try:
        yield
    finally:
        _disconnect()


def _initialize(address: str) -> None:
    """Connect to the cluster, or start one on loopback."""
    verbose = logging.getLogger().isEnabledFor(logging.DEBUG)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    logging.getLogger("ray").setLevel(logging.DEBUG if verbose else _SILENT)
    options: dict[str, Any] = {"configure_logging": False, "log_to_driver": verbose}
    if address == "local":
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
        options |= {"include_dashboard": False, "object_store_memory": _LOCAL_MEMORY, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(address=address, **options)
    except Exception as error:
        log.debug("ray.init failed", exc_info=True)
        raise ClusterError(f"RAY_ADDRESS={address}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _knock(address: str, timeout_s: float) -> None:
    """Raise ClusterError if nothing listens at host:port: Ray would try for a long time.

    For auto, Ray finds the address. In place of localhost it takes the address of this machine in its network.
    """
    host, _, port = address.rpartition(":")
    if not host or host in _LOCALHOST:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()
    except OSError as error:
        raise ClusterError(
            f"RAY_ADDRESS={address}: no Ray cluster answers ({error.strerror or error}). Start one: ray start --head"
        ) from error
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"RAY_ADDRESS: invalid port in {address}") from error


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Restore the handlers of the signals that end a command after the block: ray.init replaces that of SIGTERM."""
    handlers = {number: signal.getsignal(number) for number in interruption.stop_signals()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _in_thread(work: Callable[[], object], timeout_s: float, address: str) -> None:
    """Run `work` in a thread: it may hang for minutes, and Ctrl-C does not interrupt it. Raises what it raises."""
    result: Future[object] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            result.set_exception(error)

    threading.Thread(target=run, name="ray.init", daemon=True).start()
    try:
        result.result(timeout_s)
    except FutureTimeout as error:  # another class than TimeoutError in Python 3.10
        raise ClusterError(
            f"RAY_ADDRESS={address}: the cluster does not answer; see on its head: ray status"
        ) from error


def _disconnect() -> None:
    """Leave the cluster, which ends this process's actors; do not wait long for a head that is gone."""
    import ray

    thread = threading.Thread(target=ray.shutdown, name="ray.shutdown", daemon=True)
    thread.start()
    thread.join(_SHUTDOWN_S)
