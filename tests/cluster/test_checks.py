"""Checks at the start: a node that does not fit is one line each, before any work begins."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import Settings
from data.errors import ClusterError, ExtraMissing, FolderError, SettingsError
from data.pool import checks
from data.pool.checks import Shared, check_nodes, node_faults, open_cluster_fault, place_faults, versions
from data.pool.cluster import open_cluster
from data.pool.nodes import Cluster, Node
from data.pool.shipping import Model
from tests.cluster.conftest import ROOT, RayNodes

pytestmark = pytest.mark.xdist_group("cluster")

_CONNECT = """
import sys
from config import Settings
from data import cli
from data.pool.cluster import open_cluster
args = cli.make_parser("data.info", "").parse_args([])
def work(args, settings):
    with open_cluster(settings):
        print("connected")
    return 0
cli.end_process(cli.run_command(args, work))
"""

_LOCAL = """
import time
import psutil
from config import Settings
from data.pool.cluster import open_cluster
with open_cluster(Settings(_env_file=None, ray_address="local")) as cluster:
    time.sleep(1)
    print(sum(node.cpus for node in cluster.nodes()), bool(psutil.Process().children()))
print(psutil.wait_procs(psutil.Process().children(recursive=True), 10)[1])
"""


def _connect(**environ: str) -> tuple[int, str, str]:
    """Connect to the cluster in a process of its own; return exit code, stdout and stderr."""
    command = [sys.executable, "-c", _CONNECT]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_connection_when_the_token_is_wrong_or_missing_ends_with_one_line(cluster: RayNodes):
    """Ray would try for minutes and log each attempt; the line says where the token belongs."""
    for token in ({"RAY_AUTH_TOKEN": "b" * 64}, {"RAY_AUTH_MODE": "disabled"}):
        code, stdout, stderr = _connect(RAY_ADDRESS=cluster.address, **token)
        assert (code, stdout) == (1, "")
        assert stderr.startswith(f"error: RAY_ADDRESS={cluster.address}: the cluster refuses this machine.")
        assert "RAY_AUTH_TOKEN" in stderr
        assert stderr.count("\n") == 1


def test_connection_when_nothing_listens_ends_with_one_line():
    """The port is refused at once; so are a port that is no number and a missing cluster of this machine."""
    for address in ("127.0.0.2:1", "localhost:1"):  # Ray would take this machine's own address for localhost
        with pytest.raises(ClusterError, match=r"no Ray cluster answers .Connection refused.*Start one: ray start"):
            open_cluster(Settings(_env_file=None, ray_address=address)).__enter__()
    with pytest.raises(SettingsError, match="invalid port"):
        open_cluster(Settings(_env_file=None, ray_address="localhost:99999")).__enter__()


def test_model_when_the_cache_cannot_be_written_names_the_folder_and_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The command ends with this line, instead of waiting for a worker that cannot be created."""
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FolderError, match=r"cache/.*/models/ab: Not a directory: .*set XDG_CACHE_HOME"):
        Model("ab").path()


def test_open_cluster_when_ray_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    """One line with the command that installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    opened = open_cluster(Settings(_env_file=None, ray_address="local"))
    with pytest.raises(ExtraMissing, match=r"needs ray, not installed here\. Install: pip install '.*\[cluster\]'"):
        opened.__enter__()


def test_open_cluster_when_local_starts_one_that_lasts_until_the_end():
    """Its node is there after the start, and no process of it after the block."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", _LOCAL]
    done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [f"{os.cpu_count()} True", "[]"]


def _look(settings: Settings, model: Model) -> tuple[str, str]:
    """Return what a node sees: the folder of the model and its files' hash."""
    import hashlib

    folder = model.settings(settings).model_path
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return str(folder), hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_open_cluster_when_nodes_share_store_database_and_model_yields_it(
    cluster: RayNodes, postgres: dict[str, str], tmp_path: Path
):
    """Real nodes read the file, the database and the model; nothing stays in the store.

    An actor that was started for the work does it; without that, another process of the node.
    """
    cluster.second()
    model = tmp_path / "model"
    model.mkdir()
    for name in ("model.onnx", "classes.txt"):
        (model / name).write_bytes(os.urandom(300_000))
    values = {name.lower(): value for name, value in postgres.items()}
    settings = Settings(_env_file=None, ray_address=cluster.address, download_path=tmp_path / "set", **values)
    with open_cluster(settings, model, needs_store=True, workers=True) as opened:
        nodes = [node for node in opened.nodes() if node.cpus]
        seen = opened.run_on(nodes, _look, (opened.settings, opened.model), 30)
        opened.kill(opened.ready[nodes[0].id][0])
        again = opened.run_on(nodes[:1], _look, (opened.settings, opened.model), 30)
    assert len(nodes) >= 2
    assert [*seen, *again] == [seen[0]] * (len(nodes) + 1)
    folder = Path(seen[0][0])
    assert folder.parts[-4:-1] == ("cache", "twitchcategory", "models")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in model.iterdir()
    }
    assert not [path for path in (tmp_path / "set").rglob("*") if path.is_file()]


def test_node_faults_when_versions_or_places_differ_names_the_node_and_the_setting():
    """Each fault is a line of its own; a node like this machine has none."""
    good = versions() | {"auth": "token"}
    assert node_faults("10.0.0.2", good) == []
    bad = good | {"python": "3.9", "project": "0.0.1", "store": "it is empty there", "database": "no route"}
    faults = node_faults("10.0.0.2", bad) + place_faults("10.0.0.2", bad)
    assert [(type(fault), str(fault).split(".")[0]) for fault in faults] == [
        (ClusterError, "10"),
        (ClusterError, "10"),
        (SettingsError, "STORE_URL: 10"),
        (SettingsError, "DB_HOST: 10"),
    ]
    (missing,) = node_faults("10.0.0.2", good | {"project": ""})
    assert str(missing).startswith("10.0.0.2: twitchcategory is not installed. Install on all nodes: pip install")


def test_open_cluster_fault_when_a_node_has_no_token_refuses_unless_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Loopback is closed; a token closes a network; RAY_AUTH_MODE=disabled, set by the user, only warns."""
    assert open_cluster_fault(["127.0.0.1", "127.0.0.2"], ["", ""]) == []
    assert open_cluster_fault(["10.0.0.1", "10.0.0.2"], ["token", "token"]) == []
    (fault,) = open_cluster_fault(["10.0.0.1", "127.0.0.1"], ["token", ""])
    assert "RAY_AUTH_MODE=token" in str(fault)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert open_cluster_fault(["10.0.0.1"], ["disabled"]) == []
    assert "no token" in caplog.text


class _Reports(Cluster):
    """A cluster of two machines, whose nodes report what is given: named fake."""

    def nodes(self) -> list[Node]:
        return [Node("a", "10.0.0.1", 1), Node("b", "10.0.0.2", 1)]

    def run_on(self, *_: object) -> list[object]:
        good = versions() | {"auth": "token"}
        return [good | {"project": "0.0.1"}, ClusterError("it hangs")]


def test_check_nodes_when_there_are_faults_logs_all_and_raises_the_last(caplog: pytest.LogCaptureFixture):
    """The embedded database serves one machine; a node that does not answer is a warning."""
    settings = Settings(_env_file=None)
    with pytest.raises(ClusterError, match=r"twitchcategory is 0\.0\.1"):
        check_nodes(_Reports("x:1", settings, Model()), needs_store=False, needs_database=True)
    assert [(record.levelno, record.message.split(":")[0]) for record in caplog.records] == [
        (logging.WARNING, "10.0.0.2"),
        (logging.ERROR, "DB_HOST"),
    ]


def test_look_when_a_node_has_another_folder_or_database_says_so(postgres: dict[str, str], tmp_path: Path):
    """The file of the coordinator is missing, or another one is there; the database is another one."""
    values = {name.lower(): value for name, value in postgres.items()}
    settings = Settings(_env_file=None, download_path=tmp_path, **values)
    shared = Shared(settings, ".cluster-check-1", b"content", "16384 2026-01-01 00:00:00")
    seen = checks.look(shared)
    assert "other files" in seen["store"]
    assert "another" in seen["database"]
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / ".cluster-check-1").write_bytes(b"content")
    assert checks.look(shared)["store"] == ""
