"""data.forget and the outbox: a streamer who is forgotten leaves the file of alerts, byte for byte."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from data.errors import FolderError
from data.storage.outbox_rows import erase_alerts
from data.twitch.addresses import canonical
from recognition.outputs.outbox.rules import Reported
from recognition.outputs.outbox.store import OutboxStore
from tests.recognition.alerts import CHESS, alert

ANN, BOB = "ann_zebrafish", "bob"
_ADDRESS = f"https://www.twitch.tv/{ANN.upper()}"


def is_ann(source: str) -> bool:
    """Return whether a source is Ann's channel."""
    return canonical(source) == ANN


def _fill(file: Path) -> None:
    """Store an alert of each source for two targets, one of them delivered, and what was reported."""
    with closing(OutboxStore(file)) as store:
        for number, source in enumerate((ANN, BOB, _ADDRESS), start=1):
            event = {"source": source}
            store.add(
                [(alert(number, source=source, event=event, jpeg=b"x" * 9000), ["t", "u"])], {source: Reported(CHESS)}
            )
            store.remove("u", number)


def test_erase_leaves_no_byte_of_the_login_and_all_of_others(tmp_path):
    """Alerts, what was reported, and addresses of the same channel go; another streamer's alert is still delivered."""
    file = tmp_path / "outbox.sqlite"
    _fill(file)
    assert erase_alerts(file, is_ann, dry_run=True) == 4
    assert erase_alerts(file, is_ann) == 4
    assert erase_alerts(file, is_ann) == 0
    assert not any(ANN in path.read_bytes().decode("latin-1").lower() for path in tmp_path.iterdir())
    with closing(OutboxStore(file)) as store:
        assert store.waiting() == {"t": 1}
        assert store.reported().keys() == {BOB}
        delivery = store.next("t")
        assert delivery
        assert delivery.alert.source == BOB


def test_erase_when_a_watch_uses_the_file_says_what_to_do(tmp_path):
    """The watch would write the streamer again: the command fails."""
    file = tmp_path / "outbox.sqlite"
    with closing(OutboxStore(file)), pytest.raises(FolderError, match="a watch uses it; end the watch"):
        erase_alerts(file, is_ann)


def test_erase_when_there_is_no_outbox_makes_none(tmp_path):
    """Most datasets have none; a file of another kind is an error and stays as it is."""
    file = tmp_path / "outbox.sqlite"
    assert erase_alerts(file, is_ann) == 0
    assert not file.exists()
    file.write_bytes(b"no database" * 100)
    with pytest.raises(FolderError, match="Cannot remove alerts"):
        erase_alerts(file, is_ann)
    assert file.read_bytes() == b"no database" * 100
