"""Files of deploy/: what they name exists in the project, and versions are the pins. No container engine needed."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import twitchcategory
from config import Settings
from data.commands import COMMANDS

yaml: Any = pytest.importorskip("yaml")  # comes with Ray

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IMAGE = f"twitchcategory:{twitchcategory.__version__}"
# Settings of other programs.
VARIABLES = r"AWS_\w+|RAY_AUTH_(MODE|TOKEN)|POSTGRES_\w+|MINIO_\w+|MC_HOST_store"
# Fields of KubeRay's ray.io/v1 that the manifest may use: ray-operator/apis/ray/v1/raycluster_types.go of KubeRay 1.1
FIELDS = {
    "spec": {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"},
    "head": {"rayStartParams", "template"},
    "group": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", "", "\n".join(lines)).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined if line.strip()]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the compose file with its anchors and merges resolved."""
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    """Return the Kubernetes objects by kind."""
    text = (ROOT / "deploy" / "ray-cluster.yaml").read_text(encoding="utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def pods(manifests: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pods' specifications: head, workers, command."""
    cluster = manifests["RayCluster"]["spec"]
    templates = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"], manifests["Job"]["spec"]]
    return [part["template"]["spec"] for part in templates]


def pins() -> dict[str, str]:
    """Return the pinned versions by package."""
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-dev.txt"))
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))


def test_dockerfile_copies_what_exists_and_runs_as_a_user(instructions):
    """Sources are in the repository and in the build context; both images end with the user; secrets are nowhere."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    for arguments in (arguments for name, arguments in instructions if name == "COPY"):
        for source in arguments.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored
    assert ".env" not in " ".join(ignored[2:])  # `*` leaves it out
    stages = [index for index, (name, _) in enumerate(instructions) if name == "FROM"]
    ends = {instructions[start][1].split()[-1]: end for start, end in zip(stages, [*stages[1:], None], strict=True)}
    for stage in ("base", "train"):
        users = [arguments for name, arguments in instructions[: ends[stage]] if name == "USER"]
        assert users[-1] == "toolkit"
    assert not [arguments for name, arguments in instructions if name in ("ENV", "ARG") and "SECRET" in arguments]


def test_dockerfile_takes_a_python_that_the_pins_serve(instructions):
    """The version is one of those that CI tests, exact to the patch, and all stages use it."""
    version = next(arguments for name, arguments in instructions if name == "ARG").partition("=")[2]
    tested = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert re.fullmatch(r"3\.\d+\.\d+", version)
    assert version.rpartition(".")[0] in tested["jobs"]["test"]["strategy"]["matrix"]["python"]
    bases = {arguments.split()[0] for name, arguments in instructions if name == "FROM"}
    assert bases == {"python:${PYTHON}-slim-bookworm", "base"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is in Python 3.11 and later; the image has 3.12")
def test_dockerfile_installs_the_libraries_of_the_extras_as_pinned(instructions, tmp_path: Path):
    """The step's own command lists the base's libraries and three extras; Ray and s3fs have the tests' versions."""
    for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (step,) = [arguments for name, arguments in instructions if name == "RUN" and "tomllib" in arguments]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", step], cwd=tmp_path, env={"PATH": path}, check=True)
    libraries = {re.split(r"\W", line)[0] for line in (tmp_path / "base.txt").read_text().splitlines()}
    assert {"streamlink", "ray", "s3fs", "apprise", "numpy"} <= libraries
    assert not libraries & {"tensorflow", "keras", "fastapi"}
    constraints = dict(re.findall(r"^([\w.-]+)==(\S+)", (tmp_path / "constraints.txt").read_text(), re.M))
    assert constraints["ray"] == pins()["ray"]
    assert constraints["s3fs"] == pins()["s3fs"]


def test_compose_file_refers_to_what_it_defines(compose):
    """Services wait for services that have the awaited check; volumes are declared; nothing listens outside."""
    services = compose["services"]
    for service in services.values():
        for other, wait in service.get("depends_on", {}).items():
            assert other in services
            assert wait["condition"] != "service_healthy" or "healthcheck" in services[other]
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        assert "ports" not in service
        assert re.search(r":[^:]*\d", service["image"]), "a version"
    assert services["worker"]["deploy"]["replicas"] == 3
    build = services["head"]["build"]
    assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE
    assert {services[name]["image"] for name in ("head", "worker", "coordinator")} == {IMAGE}


def test_compose_file_sets_settings_and_takes_secrets_from_the_environment(compose):
    """Each variable is a setting or another program's; passwords are variables of env.example, and must be set."""
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) == set(re.findall(r"^(\w+)=", example, re.M))
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert name.lower() in Settings.model_fields or re.fullmatch(VARIABLES, name)
            if re.search("PASSWORD|TOKEN|SECRET_ACCESS_KEY|MC_HOST", name):
                assert ":?" in value
    assert not re.findall(r"^\w*(?:PASSWORD|TOKEN|SECRET)=(.+)$", example, re.M)


@pytest.mark.xdist_group("cluster")  # whose worker has imported Ray
def test_ray_start_takes_the_options_of_the_files_and_the_page(compose, manifests):
    """The installed Ray, which has the pinned version, parses them; nodes watch no logs; commands' nodes do no work."""
    start = pytest.importorskip("ray.scripts.scripts").start
    services, cluster = compose["services"], manifests["RayCluster"]["spec"]
    scripts = [services["coordinator"]["entrypoint"][2], container(manifests["Job"])["command"][2]]
    commands = [services[name]["command"].replace("${WORKER_CPUS:-2}", "2") for name in ("head", "worker")]
    commands += [ray_start(group) for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    commands += [script.partition(">")[0] for script in scripts]
    commands += [line for line in page_commands() if line.startswith("ray start")]
    for command in commands:
        options = start.make_context("start", shlex.split(command)[2:]).params
        assert options["include_log_monitor"] is False
    assert all("--num-cpus=0" in script for script in scripts)


def ray_start(group: dict[str, Any]) -> str:
    """Return the command that KubeRay makes of a group's parameters: convertParamMap in its common/pod.go."""
    words = ["ray", "start"]
    for name, value in group["rayStartParams"].items():
        is_switch = value in ("true", "false") and name not in ("log-color", "include-dashboard")
        assert isinstance(value, str)
        words += [f"--{name}"] * (value == "true") if is_switch else [f"--{name}={value}"]
    return shlex.join(words)


def page_commands() -> list[str]:
    """Return the lines of the shell blocks of the page."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page, re.M | re.S)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_page_installs_the_versions_of_the_project():
    """The wheel's version is the project's, Ray's is the pin."""
    installs = "\n".join(line for line in page_commands() if ".whl" in line)
    assert set(re.findall(r"twitchcategory-([\d.]+)-", installs)) == {twitchcategory.__version__}
    assert re.findall(r"ray==(\S+)", installs) == [pins()["ray"]]


def test_commands_of_the_job_and_the_page_are_accepted(manifests, monkeypatch):
    """Each command's own parser accepts the words, and nothing runs."""
    lines, parsed = page_commands(), []
    commands = [line.split()[2:] for line in lines if re.match(r"python -m (data|recognition)\.", line)]
    sub_commands = [line.split(" coordinator ")[1].split() for line in lines if " coordinator " in line]
    sub_commands.append(container(manifests["Job"])["args"])
    commands += [[COMMANDS[name][0], *words] for name, *words in sub_commands]
    monkeypatch.setattr("data.cli.run_command", lambda arguments, *_, **__: parsed.append(arguments) or 0)
    assert [importlib.import_module(module).main(words) for module, *words in commands] == [0] * 5
    assert len(parsed) == 5


def container(part: dict[str, Any]) -> dict[str, Any]:
    """Return the only container of a manifest's pod."""
    (found,) = part["spec"]["template"]["spec"]["containers"]
    return found


def test_manifest_has_the_fields_of_kuberay_and_the_pinned_versions(manifests, pods):
    """Fields are KubeRay's; Ray's version is the pin; bounds hold the number of workers; images are the toolkit's."""
    spec = manifests["RayCluster"]["spec"]
    assert manifests["RayCluster"]["apiVersion"] == "ray.io/v1"
    assert set(spec) == FIELDS["spec"]
    assert set(spec["headGroupSpec"]) == FIELDS["head"]
    for group in spec["workerGroupSpecs"]:
        assert set(group) == FIELDS["group"]
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert spec["rayVersion"] == pins()["ray"]
    assert {pod["containers"][0]["image"].rpartition("/")[2] for pod in pods} == {IMAGE}


def test_pods_are_bounded_and_have_no_rights(pods):
    """Each pod runs as a user without capabilities, with limits, and without a Kubernetes token."""
    for pod in pods:
        (only,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert not only["securityContext"]["allowPrivilegeEscalation"]
        assert set(only["resources"]["limits"]) == {"cpu", "memory"}


def test_ray_pods_have_the_token_in_env_and_probes_of_their_own(pods):
    """KubeRay copies `env`, not `envFrom`, into its init container; its own probes ask a dashboard."""
    for pod in pods[:2]:
        (only,) = pod["containers"]
        variables = {variable["name"]: variable for variable in only["env"]}
        assert variables["RAY_AUTH_MODE"]["value"] == "token"
        assert variables["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "twitchcategory"
        assert {"readinessProbe", "livenessProbe"} <= set(only)


def test_manifest_selects_the_pods_and_sets_settings(manifests, pods):
    """Budget and network policy select by labels that the pods have; the ConfigMap has settings and no secrets."""
    labels = manifests["Job"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    cluster = manifests["RayCluster"]
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert group["template"]["metadata"]["labels"] == labels
    selected = manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert selected["ray.io/cluster"] == cluster["metadata"]["name"]
    address = container(manifests["Job"])["command"][2]
    assert f"--address={cluster['metadata']['name']}-head-svc:6379" in address
    for name in manifests["ConfigMap"]["data"]:
        assert name.lower() in Settings.model_fields or re.fullmatch(VARIABLES, name)
        assert not re.search("PASSWORD|TOKEN|SECRET", name)
