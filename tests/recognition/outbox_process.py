"""A process with an outbox that a test kills: `python -m tests.recognition.outbox_process FILE URL…`.

Each line on stdin is a source, whose first answer it emits; it prints the source when `emit` has returned. SIGTERM
closes the outbox, as the end of stdin does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from data.entities import Game
from data.http.session import new_session
from recognition.events import GameChanged, now
from recognition.outputs.outbox.filters import Filter
from recognition.outputs.outbox.outbox import Outbox
from recognition.outputs.outbox.store import OutboxStore
from recognition.outputs.webhook import Webhook

ROOT = Path(__file__).resolve().parents[2]
GAME = Game(7, "Bleu pâle")


def started(file: Path, *urls: str) -> subprocess.Popen[str]:
    """Start the process."""
    command = [sys.executable, "-m", __name__, str(file), *urls]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def emit(process: subprocess.Popen[str], source: str) -> None:
    """Let the process emit the first answer of a source, and wait until it has."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{source}\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{source}\n"


def _main(file: str, *urls: str) -> None:
    targets = [(Webhook(url, new_session(5, deadline_s=5)), Filter()) for url in urls]
    outbox = Outbox(OutboxStore(Path(file)), targets)

    def end(*_: object) -> None:
        outbox.close()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    for line in sys.stdin:
        outbox.emit(GameChanged(line.strip(), now(), None, GAME, True, 3, 0.9))
        print(line.strip(), flush=True)
    outbox.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
