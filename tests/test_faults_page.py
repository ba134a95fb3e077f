"""docs/faults.md: each fault of the field names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_ROW = re.compile(r"\| (.+) \| (.+) \| (?:`)?(tests/[\w/]+\.py)::(\w+)(?:`)? \|")


def test_each_fault_of_the_field_names_an_existing_test():
    """Each row of the first table has three cells, and its last one is a test function of the suite."""
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    table = page.partition("## Faults of the field")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 60
    assert not [row for row in rows if not _names_a_test(row)]
    assert len(set(rows)) == len(rows)


def _names_a_test(row: str) -> bool:
    match = _ROW.fullmatch(row)
    if not match or not (path := ROOT / match[3]).is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == match[4] for node in ast.walk(tree))
