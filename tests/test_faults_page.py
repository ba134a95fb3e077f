"""docs/faults.md: each fault of the field names a test that exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_ROW = re.compile(r"\| .+ \| .+ \| (tests/[\w/]+\.py)::(\w+) \|")


def test_each_fault_of_the_field_names_an_existing_test():
    """Each row of the first section has three cells, and its last one is a test function of the suite."""
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    section = page.partition("## Faults of the field")[2].partition("\n## ")[0]
    heads = ("|---", "| fault |")
    rows = [line for line in section.splitlines() if line.startswith("|") and not line.startswith(heads)]
    assert len(rows) > 100
    assert not [row for row in rows if not _names_a_test(row)]
    assert len(set(rows)) == len(rows)


def _names_a_test(row: str) -> bool:
    match = _ROW.fullmatch(row)
    return match is not None and match[2] in _functions(ROOT / match[1])


@cache
def _functions(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
