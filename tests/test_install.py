"""The package as a user installs it: a wheel is built, installed away from the clone, and used from another folder.

The installed copy uses this environment's libraries, except for those of the extra `train`: they cannot be imported.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from data.commands import COMMANDS
from model.inference.location import find_model
from tests.in_process import run_command
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.sample_images import flat
from tests.standin import Standin
from tests.test_architecture import imports, modules
from twitchcategory import __version__

ROOT = Path(__file__).resolve().parent.parent
# Python imports this module at its start. Without the libraries an import fails as if they were not installed.
_WITHOUT_TRAIN = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tensorflow", "keras", "tf2onnx", "onnx", "h5py", "tensorboard", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refused())
"""
# Rooms that the base install does not use; everything else must work without the extra.
_TRAINING = tuple(
    f"model.{room}"
    for room in ("create", "export", "training", "artifacts", "datasets", "networks", "augmentation", "reports")
)


# The build without compression, which would take longer than all the rest.
_BUILD = """
import sys, zlib
compressor = zlib.compressobj
zlib.compressobj = lambda level, *rest: compressor(0, *rest)
from hatchling.cli import hatchling
sys.exit(hatchling())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel of the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-c", _BUILD, "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Install the wheel into a folder of its own, where the libraries for training cannot be imported."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    (folder / "sitecustomize.py").write_text(_WITHOUT_TRAIN)
    return folder


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """Return a folder of the user's own, with files whose names are those of the toolkit's packages."""
    for name in ("data.py", "config.py", "recognition.py"):
        (tmp_path / name).write_text("raise SystemExit('imported by mistake')\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "__init__.py").write_text("raise SystemExit('imported by mistake')\n")
    return tmp_path


def twitchcategory(installed: Path, cwd: Path, *words: str, program: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run the console command from `cwd`; return its exit code, stdout and stderr. PYTHONPATH begins with `cwd`."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    env = keep | {"PYTHONPATH": f"{cwd}{os.pathsep}{installed}"}
    command = program or (str(installed / "bin" / "twitchcategory"),)
    done = subprocess.run([*command, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_wheel_holds_the_packages_and_nothing_else(wheel):
    """Modules, model, weights, templates and font are in it; tests, benchmarks, docs and training results are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"twitchcategory-{__version__}.dist-info"
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"config.py", "twitchcategory.py", "data", "model", "recognition", "dashboard", info}
    tracked = {f"{name.replace('.', '/')}.py" for name in modules() if (ROOT / f"{name.replace('.', '/')}.py").exists()}
    assert tracked <= names
    assert {
        "model/model.onnx",
        "model/model.int8.onnx",
        "model/model.h5",
        "model/classes.txt",
        "model/model_card.md",
    } <= names
    assert {"model/reports/templates/report.html", "data/video/fonts/DejaVuSans.ttf"} <= names
    assert [name for name in names if re.fullmatch(r"model/weights/.*\.h5", name)]
    assert not [
        name
        for name in names
        if re.search(r"__pycache__|^model/(results/(?!metrics\.json$)|unfinished|model\.tflite)", name)
    ]


_CLOUD = ("data.pool", "data.storage.s3_client", "data.storage.s3_session")
_OPTIONAL = {"s3fs", "aiobotocore", "botocore", "gcsfs", "ray"}  # extras of their own, for s3://, gs:// and clusters


def test_wheel_declares_each_library_that_a_module_imports(wheel, tmp_path):
    """Whatever the base imports is a dependency; what training, dashboard and alerts import beside it is in extras."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if ".dist-info/" in name])
    (folder,) = tmp_path.iterdir()
    wanted = [Requirement(line) for line in PathDistribution(folder).requires or []]
    base, train = ({_normal(r.name) for r in wanted if bool(r.marker) is extra} for extra in (False, True))
    # Libraries that others import: SQLAlchemy, Keras, a process of its own, uvicorn, fsspec.
    others = {"psycopg2-binary", "tensorboard", "tf2onnx", "websockets", *_OPTIONAL}
    assert base | train == _imported_distributions() | others
    assert _imported_distributions(*_TRAINING, "dashboard", "recognition.outputs.targets", *_CLOUD) <= base


def test_pins_are_within_the_ranges_of_the_package():
    """requirements.txt, which make installs, pins each dependency of the package at a version that it allows."""
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M))
    pins = {_normal(name): version for name, version in pins.items()}
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.scripts]")[0]
    ranges = [Requirement(line) for line in re.findall(r'"([\w-]+>=[^"]+)"', text.partition("[project]")[2])]
    named = {_normal(each.name): each for each in ranges if each.name not in {"hatchling", *_OPTIONAL}}
    assert named.keys() == pins.keys()
    assert not [name for name, each in named.items() if not each.specifier.contains(pins[name])]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported_distributions(*without: str) -> set[str]:
    """Return the distributions that the project's modules import, except for the modules in `without`."""
    known, own = packages_distributions(), {name.partition(".")[0] for name in modules()}
    trees: list[ast.Module] = [tree for name, tree in modules().items() if not without or not name.startswith(without)]
    tops = {module.partition(".")[0] for tree in trees for module in imports(tree)} - own - sys.stdlib_module_names
    return {_normal(name) for top in tops for name in known.get(top, ())}


def test_version_is_that_of_the_wheel(wheel, installed, elsewhere):
    """`--version` prints the version that the wheel's name has."""
    assert twitchcategory(installed, elsewhere, "--version") == (0, f"twitchcategory {__version__}\n", "")
    assert f"-{__version__}-" in wheel.name


def test_help_lists_the_commands(installed, elsewhere):
    """`--help` names each sub-command; without one, or with an unknown one, the exit code is 2."""
    code, out, _ = twitchcategory(installed, elsewhere, "--help")
    assert code == 0
    assert [name for name in COMMANDS if not re.search(rf"^    {name}\b", out, re.M)] == []
    assert [twitchcategory(installed, elsewhere, *words)[0] for words in ((), ("nothing",))] == [2, 2]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_sub_command_is_that_of_its_module(name, installed, elsewhere):
    """Both print the same help, apart from the words that start the command."""
    module, _ = COMMANDS[name]
    code, out, err = twitchcategory(installed, elsewhere, name, "--help")
    done = run_command(module, "--help", env={})
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: twitchcategory {name} ")
    # Lines break elsewhere, because the words differ in length.
    assert " ".join(out.split()) == " ".join(done.stdout.split()).replace(
        f"python -m {module}", f"twitchcategory {name}"
    )


def test_module_form_works_beside_files_of_the_same_names(installed, elsewhere):
    """`python -m twitchcategory` imports the toolkit's packages, not data.py and model/ of the working directory."""
    program = (sys.executable, "-m", "twitchcategory")
    code, out, err = twitchcategory(installed, elsewhere, "info", "--help", program=program)
    assert (code, err, out.split()[:5]) == (0, "", ["usage:", "python", "-m", "twitchcategory", "info"])


def test_recognize_finds_the_model_that_comes_along_from_another_folder(world, installed, elsewhere):
    """A channel is recognised with the shipped model, without TensorFlow; .env of the working directory counts."""
    with Standin(world.only({"pingus_halloween1"})) as standin:
        (elsewhere / ".env").write_text(f"TWITCH_STANDIN={standin.url}\nFRAMES_PER_STREAM=4\n")
        code, out, err = twitchcategory(installed, elsewhere, "recognize", "pingus_halloween1")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5
    assert out.splitlines()[-1].startswith("Pingus with a score of ")


def test_recognize_prefers_the_model_of_the_working_directory(world, installed, elsewhere):
    """A model in ./model goes before the one that comes along."""
    save_model(elsewhere / "model", (DARK, BRIGHT))
    with Standin(world.only({"pingus_halloween1"})) as standin:
        (elsewhere / ".env").write_text(f"TWITCH_STANDIN={standin.url}\nFRAMES_PER_STREAM=2\n")
        code, out, err = twitchcategory(installed, elsewhere, "recognize", "pingus_halloween1")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith((f"{DARK.name} with", f"{BRIGHT.name} with"))


def test_model_path_that_is_no_default_has_no_substitute(tmp_path, monkeypatch):
    """Only the default stands for the model that comes along, and only while the folder has no file of a model."""
    monkeypatch.chdir(tmp_path)
    assert find_model(Path("model")) == ROOT / "model"
    assert find_model(Path("mine")) == Path("mine")
    assert find_model(tmp_path / "model") == tmp_path / "model"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "classes.txt").write_text("1\tOne\n")  # half a model is an error, not another model
    assert find_model(Path("model")) == Path("model")


def test_export_in_another_folder_reads_the_model_that_comes_along(elsewhere):
    """Without a model in ./model, the conversion takes the shipped one: only the images are missing."""
    done = run_command("model.export", env={}, cwd=elsewhere)
    assert done.returncode == 1
    assert done.stderr.startswith("error: dataset/frames ")
    assert "classes.txt" not in done.stderr


@pytest.mark.parametrize("name", ["train", "export-model"])
def test_command_without_its_extra_says_what_to_install(name, installed, elsewhere):
    """Training and conversion print one line with the command that installs the extra; nothing is written."""
    before = sorted(elsewhere.rglob("*"))
    code, out, err = twitchcategory(installed, elsewhere, name)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: .* tensorflow, .*: pip install 'twitchcategory\[train\]'\n", err)
    assert sorted(elsewhere.rglob("*")) == before


def test_check_without_its_extra_says_what_to_install(installed, elsewhere):
    """Features are missing, which only TensorFlow computes; frames and rows stay as they are."""
    from data.entities import Game
    from data.storage.frame_folder import FrameFolder
    from data.video.images import encode_jpeg

    folder = FrameFolder(elsewhere / "dataset/frames")
    folder.add_games([Game(7, "Chess"), Game(8, "Go")])
    noise = np.random.default_rng(1).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    for index, image in enumerate(noise):
        folder.save(7 + index % 2, f"login{index // 2}", [encode_jpeg(image, 90)])
    code, out, err = twitchcategory(installed, elsewhere, "check")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: .* tensorflow, .*: pip install 'twitchcategory\[train\]'\n", err)
    assert not (elsewhere / "dataset/frames/check.csv").exists()


def test_messages_name_the_command_as_it_was_started(installed, elsewhere):
    """An error of the console command advises its sub-commands, the same error of a module advises modules."""
    (elsewhere / ".env").write_text("MODEL_PATH=nowhere\n")
    code, out, err = twitchcategory(installed, elsewhere, "evaluate", "pictures")
    assert (code, out) == (1, "")
    assert err.endswith("Train a model: twitchcategory train\n")
    done = run_command("model.evaluate", "pictures", env={}, cwd=elsewhere)
    assert done.stderr.endswith("Train a model: python -m model.create\n")


def test_evaluate_works_without_matplotlib(installed, elsewhere):
    """The base evaluates and writes the report into ./model, not into the package; one line tells of missing plots."""
    from data.video.images import encode_jpeg

    for number in range(2):
        folder = elsewhere / "pictures" / "Pingus"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"ann-{number}.jpg").write_bytes(encode_jpeg(flat((9, 200, 9), 240, 240), 95))
    code, out, err = twitchcategory(installed, elsewhere, "evaluate", "pictures")
    assert code == 0, err
    assert re.fullmatch(r"warning: .*matplotlib.*pip install 'twitchcategory\[train\]'\n", err)
    assert out.splitlines()[-1] == "model/results/evaluation: report.html, metrics.json"
    assert (elsewhere / "model" / "results" / "evaluation" / "report.html").is_file()
    assert [path.name for path in (installed / "model" / "results").iterdir()] == ["metrics.json"]


def test_bash_completes_commands_and_options(installed, elsewhere):
    """The code that `completion bash` prints completes sub-commands, options and choices in a real bash."""
    lines = ["twitchcategory rec", "twitchcategory download --fr", "twitchcategory train --architecture c"]
    ask = "".join(
        f'COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; COMPREPLY=(); '
        '_python_argcomplete twitchcategory; echo "${COMPREPLY[@]}"\n'
        for line in lines
    )
    script = f'PATH="{installed / "bin"}:$PATH"; source <(twitchcategory completion bash)\n{ask}'
    code, out, err = twitchcategory(installed, elsewhere, "-c", script, program=("bash",))
    assert (code, err) == (0, "")
    assert [line.strip() for line in out.splitlines()] == ["recognize", "--frames", "cnn"]
