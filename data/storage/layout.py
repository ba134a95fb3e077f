"""Layout of a dataset: the names of its files and folders below the root, beside the games' folders."""

from __future__ import annotations

import re

GAME_FOLDER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
NAMES_FILE = "games.tsv"
CLAIMS_FILE = ".claims"
TRASH_FOLDER, CHANGES_FOLDER, FEATURES_FOLDER = ".trash", ".changes", ".features"
LOCKS_FOLDER = ".locks"  # of an object store
KEY_FILE, FORGOTTEN_FILE, CHECK_FILE = ".key", "forgotten.txt", "check.csv"
OWN_NAMES = frozenset(
    (NAMES_FILE, CLAIMS_FILE, TRASH_FOLDER, CHANGES_FOLDER, FEATURES_FOLDER, KEY_FILE, FORGOTTEN_FILE, CHECK_FILE)
)
MAX_FRAME_BYTES = 64 << 20
