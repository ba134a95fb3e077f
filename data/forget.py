"""COMMAND: remove streamers from everywhere in the dataset, and do not collect or import them again.

write the keyed hash of each login       first: a download that runs meanwhile stops collecting the streamer
repeat:
    find files, rows and the trash of these logins
    remove them, and what was made of them
until nothing is found
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from data import cli
from data.entities import StoredFrame, is_login
from data.errors import FolderError

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog
    from data.storage.erasure import Erased
    from data.storage.frame_store import FrameStore

_ROUNDS = 20  # of erasures that find what other processes have added meanwhile
_EPILOG = """\
The command removes frames, also those in the trash, lines of manifests, rows, moves in journals, features, findings
of the last check, streams of audits and surveys, and alerts in the outbox (OUTBOX_PATH). It keeps a hash of the login
in frames/forgotten.txt, from which nobody can compute the login without the secret in frames/.key. Downloads, imports,
audits and dbSync compare logins with these hashes, and leave out the streamer, also under the pseudonym in exports of
this dataset. --allow removes the hash; it does not restore frames.

The command cannot reach:
- Exports, pages of checks, reports of audits, models and backups made before. The command prints the pseudonym that
  exports have.
- Outboxes that --outbox names, and damaged ones (outbox.sqlite.damaged-...): delete these files. A watch that is
  asked for the streamer later stores alerts again, as a survey on a cluster stores its answer, for a week.
- Copies of an object store (STORE_URL) on other machines: DOWNLOAD_PATH/mirror. The next check, training, evaluation or
  export there removes the frames and their features from them.
- Object stores at other addresses: the command cleans their copies on this machine, not the stores, and the next update
  of a copy brings the frames back. Run it with each STORE_URL.
- Titles of other streams that mention the streamer.
- PostgreSQL keeps deleted bytes in its files for a while. VACUUM leaves them there; VACUUM FULL cleans the tables, but
  not the write-ahead log. To be sure with the embedded server: delete DOWNLOAD_PATH/postgres when no command runs, then
  run python -m data.dbSync, which rebuilds all rows from the folder.

If a run is killed, repeat it with the same logins. Exit code 1: something is left, and the message says what.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser(
        "data.forget", "Remove streamers from the dataset, and do not collect or import them again.", _EPILOG
    )
    parser.add_argument("logins", nargs="+", type=_login, metavar="LOGIN", help="login, or the address of the channel")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="change nothing; print what a run would remove")
    mode.add_argument("--allow", action="store_true", help="let the streamers be collected and imported again")
    return cli.run_command(parser.parse_args(argv), _work)


def _login(text: str) -> str:
    """Return the login in an argument. Raises ArgumentTypeError."""
    from data.twitch.addresses import canonical

    login = canonical(text)
    if not is_login(login):
        raise argparse.ArgumentTypeError(f"invalid login {text!r}: write a login, or the address of a channel")
    return login


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import find_all_mirrors, make_frame_store, open_existing_catalog
    from data.storage.answer_erasure import in_answers
    from data.storage.erasure import Erased, Eraser
    from data.storage.outbox_rows import erase_alerts
    from data.twitch.addresses import canonical

    store = make_frame_store(settings)
    logins = tuple(dict.fromkeys(args.logins))
    if args.allow:
        print("\n".join(allow(store, logins)))
        return 0
    names = _names(store, logins)
    erase = functools.partial(erase_alerts, settings.outbox_path, lambda source: canonical(source) in names)
    with open_existing_catalog(settings, "dry run" if args.dry_run else "write") as catalog:
        if args.dry_run:
            found = Eraser(store, catalog).find(lambda frame: frame.login in names).counts()
            found += in_answers(catalog, lambda runs: runs.remove(names, dry_run=True))
            found += Erased(alerts=erase(dry_run=True))
            print(f"Would remove {found}.")
            return 0
        removed = forget(store, catalog, logins)
    removed += Erased(alerts=erase())
    names = _names(store, logins)
    for mirror in find_all_mirrors(settings):
        removed += mirror.erase(lambda frame: frame.login in names)
    print(f"Removed {removed}.")
    print("\n".join(_promises(store, logins)))
    return 0


def forget(store: FrameStore, catalog: Catalog | None, logins: Sequence[str]) -> Erased:
    """Remove the logins from the dataset for good; return what was removed. Raises FolderError, CatalogUnavailable."""
    from data.storage.answer_erasure import in_answers
    from data.storage.erasure import Erased, Eraser

    store.scan()  # raises for a missing folder, which the next lines would make
    for login in logins:
        store.forgotten.add(login)
    names = _names(store, logins)

    def is_theirs(frame: StoredFrame) -> bool:
        return frame.login in names

    eraser, total = Eraser(store, catalog), Erased()
    for _ in range(_ROUNDS):
        with eraser.locked():
            found = eraser.erase(eraser.find(is_theirs), is_theirs)
        total += found
        if not found:
            break
    else:
        raise FolderError(f"{store.location}: frames come back after their removal: look who writes them, and repeat.")
    if catalog:
        catalog.remove_original_rows(names)
        total += in_answers(catalog, lambda runs: runs.remove(names))
    store.remove_stale_files(store.scan())
    eraser.check_readable()
    return total


def allow(store: FrameStore, logins: Iterable[str]) -> list[str]:
    """Let the logins be collected again; return a line for each. Raises FolderError."""
    return [
        f"{login} may be collected again." if store.forgotten.remove(login) else f"{login} was not forgotten."
        for login in logins
    ]


def _names(store: FrameStore, logins: Iterable[str]) -> set[str]:
    """Return the logins, and their pseudonyms, by which an import of an export may have stored them."""
    from data.storage.layout import KEY_FILE
    from data.storage.pseudonyms import Pseudonyms

    has_key = store.files.exists(KEY_FILE)  # a dry run makes none
    return {*logins, *(map(Pseudonyms(store.files).of, logins) if has_key else ())}


def _promises(store: FrameStore, logins: Iterable[str]) -> list[str]:
    from data.storage.pseudonyms import Pseudonyms

    pseudonyms = Pseudonyms(store.files)
    return [
        f"{login} is not collected or imported any more. In exports of this dataset it is {pseudonyms.of(login)}: "
        "ask everyone who has one to delete these frames."
        for login in logins
    ]


if __name__ == "__main__":
    cli.end_process(main())
