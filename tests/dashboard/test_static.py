"""The files of the pages: small, and without what the content security policy forbids."""

from __future__ import annotations

from pathlib import Path

import dashboard.pages

PAGES = Path(dashboard.pages.__file__).parent
SCRIPTS = sorted((PAGES / "static").rglob("*.js"))
_MAX_BYTES = 80_000


def test_scripts_of_all_pages_together_stay_small():
    """All of our JavaScript, unpacked and with its comments, takes at most 80 kB."""
    assert sum(path.stat().st_size for path in SCRIPTS) <= _MAX_BYTES


def test_scripts_never_make_html_of_texts():
    """No script has a function that reads a text as HTML or as code."""
    forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc")
    assert not [f"{path.name}: {word}" for path in SCRIPTS for word in forbidden if word in path.read_text("utf-8")]


def test_pages_load_nothing_from_elsewhere():
    """Templates, style sheets and scripts name no other server, except the namespace of SVG."""
    files = [*SCRIPTS, *PAGES.rglob("*.css"), *PAGES.rglob("*.html")]
    texts = {path: path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "") for path in files}
    assert not [
        path.name for path, text in texts.items() if "http://" in text or "https://" in text or 'src="//' in text
    ]
