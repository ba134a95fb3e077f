"""Network namespaces joined by a bridge, as root on Linux; they are named after the process that makes them.

    this namespace: bridge with the address `host`; servers that listen at `loopback`
        ├── veth ── namespace 0, address(0)
        └── veth ── namespace 1, address(1) …

TWITCH_STANDIN takes loopback URLs only. So `loopback` is an address in 127.0.0.0/8 that the namespaces route over their
links to this one (sysctl route_localnet): a server that listens there has one URL for all, and a cut link cuts a
namespace off from it. Nothing outside this machine reaches it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

_NAMESPACES, _LINKS = Path("/run/netns"), Path("/sys/class/net")
_TOOLS = ("ip", "unshare", "setpriv", "taskset")


class Namespaces:
    """The namespaces of this process, up to 61. `folder`: for files of its own; `close` removes it with all the rest.

    Raises SystemExit with one line where namespaces are not permitted.
    """

    def __init__(self) -> None:
        _require_namespaces()
        _remove_remains()
        self._name = f"tw{os.getpid()}"
        number = os.getpid() % 2048  # of a subnet of 64 addresses within 198.18.0.0/15: RFC 2544, for benchmarks
        self._subnet, self._first = f"198.{18 + number // 1024}.{number // 4 % 256}", number % 4 * 64 + 1
        self.host = f"{self._subnet}.{self._first}"
        self.loopback = f"127.{77 + number // 256}.{number % 256}.1"
        self.folder = Path(tempfile.gettempdir()) / self._name
        self.folder.mkdir(mode=0o700)
        bridge = f"{self._name}b"
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{self.host}/26", "dev", bridge)
        _ip("link", "set", bridge, "up")
        Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("1", encoding="ascii")

    def close(self) -> None:
        """Kill the processes in the namespaces and those of `folder`; remove everything."""
        _remove(self._name)

    def address(self, number: int) -> str:
        """Return the IP address of a namespace."""
        return f"{self._subnet}.{self._first + 1 + number}"

    def add(self, number: int) -> None:
        """Make the namespace and its link."""
        name, address, link = self._namespace(number), self.address(number), self._link(number)
        _ip("netns", "add", name)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", link, "master", f"{self._name}b", "up")
        _ip("-n", name, "addr", "add", f"{address}/26", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        # The kernel's own route of 127.0.0.0/8 shrinks to 127.0.0.1.
        _ip("-n", name, "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
        _ip("-n", name, "route", "add", f"{self.loopback}/32", "via", self.host, "src", address)
        _ip("netns", "exec", name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")

    def command(self, number: int, core: int, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the command that runs `words` there on one core, in a PID namespace that ends with its process."""
        place = ("ip", "netns", "exec", self._namespace(number), "taskset", "-c", str(core))
        return (*place, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words)

    def signal(self, number: int, kind: signal.Signals) -> None:
        """Send a signal to each process in the namespace."""
        for process in _processes(self._namespace(number)):
            with suppress(ProcessLookupError):
                os.kill(process, kind)

    def set_link(self, number: int, state: str) -> None:
        """Set a namespace's link "up" or "down". Packets on a link that is down are lost; nobody gets an error."""
        _ip("link", "set", self._link(number), state)

    def _namespace(self, number: int) -> str:
        return f"{self._name}n{number}"

    def _link(self, number: int) -> str:
        return f"{self._name}v{number}"


def _require_namespaces() -> None:
    """Raise SystemExit with one line unless this process may make network namespaces."""
    if missing := [name for name in _TOOLS if not shutil.which(name)]:
        raise SystemExit(f"No network namespaces: {', '.join(missing)} not found; install iproute2 and util-linux")
    name = f"tw{os.getpid()}test"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except RuntimeError as error:
        raise SystemExit(f"No network namespaces: {error}; run it as root, a container with --privileged") from None


def _remove_remains() -> None:
    """Remove what killed runs have left: its names hold the ids of processes that are gone."""
    names = [path.name for folder in (_NAMESPACES, _LINKS) if folder.is_dir() for path in folder.iterdir()]
    names += [path.name for path in Path(tempfile.gettempdir()).glob("tw*")]
    owners = {found[1] for name in names if (found := re.fullmatch(r"tw(\d+)(?:[bnv]\d*|test)?", name))}
    for owner in owners:
        if not psutil.pid_exists(int(owner)) or int(owner) == os.getpid():
            _remove(f"tw{owner}")


def _remove(name: str) -> None:
    """Kill the processes of a run, and remove its namespaces, links and files."""
    folder = Path(tempfile.gettempdir()) / name
    namespaces = [path.name for path in _NAMESPACES.glob(f"{name}n*")] if _NAMESPACES.is_dir() else []
    running = {process for namespace in namespaces for process in _processes(namespace)} | _processes_of(folder)
    for process in running:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _wait(running)
    for namespace in (*namespaces, f"{name}test"):
        with suppress(RuntimeError):
            _ip("netns", "del", namespace)  # with its end of the link, and so with the other one
    with suppress(RuntimeError):
        _ip("link", "del", f"{name}b")
    shutil.rmtree(folder, ignore_errors=True)


def _processes(namespace: str) -> list[int]:
    try:
        return [int(word) for word in _ip("netns", "pids", namespace).split()]
    except RuntimeError:  # it is gone
        return []


def _processes_of(folder: Path) -> set[int]:
    """Return the processes whose command line names the folder: all of Ray's."""
    found = psutil.process_iter(["pid", "cmdline"])
    return {process.pid for process in found if any(f"{folder}/" in word for word in process.info["cmdline"] or ())}


def _wait(processes: set[int]) -> None:
    """Wait up to 10 s until the killed processes are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(process).wait(10)


def _ip(*words: str) -> str:
    """Run iproute2's `ip`; return what it prints. Raises RuntimeError with its message."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
