"""The model's part of the API: what is in use, its reports, and the models beside it."""

from __future__ import annotations

import gc
import json
import shutil
import time
import weakref
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from config import Settings
from dashboard.models.reports import read_report
from dashboard.pages import markdown
from data.video.images import encode_jpeg
from model.inference.classifier import Classifier
from model.inference.onnx_header import read_header
from tests.dashboard.conftest import make_settings
from tests.in_process import run_command
from tests.recognition.commands import BRIGHT, DARK, ROOT, save_model

SHIPPED = ROOT / "model"


@pytest.fixture
def model_path(tmp_path) -> Path:
    """Return MODEL_PATH: a folder in one of its own, beside which tests put others."""
    return tmp_path / "models" / "mine"


@pytest.fixture
def settings(tmp_path, model_path) -> Settings:
    """Return settings with this model."""
    return make_settings(tmp_path, model_path=model_path)


def evaluated(model_path: Path, tmp_path: Path) -> None:
    """Write an evaluation of a model that separates dark images from bright ones: two of five are wrong."""
    for name, levels in ((DARK.name, (20, 30, 200)), (BRIGHT.name, (220, 15))):
        (tmp_path / "sorted" / name).mkdir(parents=True)
        for number, level in enumerate(levels, 1):
            jpeg = encode_jpeg(np.full((240, 240, 3), level, np.uint8), 90)
            (tmp_path / "sorted" / name / f"ann-{number}.jpg").write_bytes(jpeg)
    env = {"MODEL_PATH": str(model_path), "VISUALIZE_RESULTS": "false"}
    done = run_command("model.evaluate", str(tmp_path / "sorted"), "-q", env=env)
    assert done.returncode == 0, done.stderr


def test_shipped_model_is_described_without_loading_it():
    """Its header and its report agree with what ONNX Runtime and classes.txt say."""
    metadata, img_size = read_header(SHIPPED / "model.onnx")
    session = onnxruntime.InferenceSession(SHIPPED / "model.onnx")
    assert metadata == session.get_modelmeta().custom_metadata_map
    assert img_size == session.get_inputs()[0].shape[1]
    calibration = Classifier.load(SHIPPED, threads=1).calibration
    metrics = json.loads((SHIPPED / "results" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["unknown"]["threshold"] == pytest.approx(calibration.threshold, abs=1e-5)
    assert metrics["temperature"] == calibration.temperature
    assert f"{metrics['accuracy_by_frame']:.1%} of 3639" in (SHIPPED / "model_card.md").read_text(encoding="utf-8")


class TestShipped:
    """The model that comes with the toolkit."""

    @pytest.fixture
    def model_path(self):
        return SHIPPED

    def test_parts_of_the_api_agree(self, client):
        """The games of the model, of its report and of its confusion matrix are the same; the card is text."""
        model = client.get("/api/v1/model").json()
        assert (model["found"], model["shipped"], model["current"], model["loaded"]) == (True, True, True, False)
        assert (model["img_size"], len(model["classes"]), model["architecture"]) == (240, 37, "efficientnet_lite0")
        (report,) = client.get("/api/v1/model/metrics").json()["reports"]
        confusion = client.get("/api/v1/model/confusion").json()
        ids = [game["id"] for game in model["classes"]]
        assert ids == [game["id"] for game in report["games"]] == [game["id"] for game in confusion["classes"]]
        assert sum(map(sum, confusion["counts"])) == report["frames"] == 3639
        assert confusion["pairs"][0]["frames"] == 52
        assert 0.6 < report["macro_f1"] < 0.7
        assert client.get("/api/v1/model/card").json()["text"].startswith("---\nlibrary_name: keras\n")
        assert "model.evaluate" in client.get("/api/v1/model/worst").json()["message"]
        assert client.get("/api/v1/model/confusion?report=evaluation").status_code == 404

    def test_page_holds_the_report(self, client):
        """The page needs no script to show metrics and matrix; an unknown folder or report leaves the model in use."""
        for query in ("", "?folder=../model", "?report=nothing", "?folder=<script>&report=training"):
            page = client.get(f"/model{query}").text
            assert "World of Warcraft taken for ELDEN RING: 52 of 103" in page
            assert ("There is no model of this name" in page) == ("folder" in query)
            assert "<script>&" not in page


def test_without_a_model_the_api_says_what_to_do(client, model_path):
    """Each part answers, also if MODEL_PATH is a link to itself; a recognition is refused with the command to run."""
    model_path.parent.mkdir()
    model_path.symlink_to(model_path)
    assert client.get("/model").status_code == client.get("/api/v1/models").status_code == 200
    assert "cannot be" in client.get("/api/v1/model").json()["message"]
    model_path.unlink()
    model = client.get("/api/v1/model").json()
    assert (model["found"], model["classes"], model["loaded"]) == (False, [], False)
    assert "python -m model.create" in model["message"]
    assert client.get("/api/v1/models").json()["models"] == []
    assert client.get("/api/v1/model/card").json()["text"] is None
    assert "model.create" in client.get("/api/v1/model/metrics").json()["message"]
    assert "python -m model.create" in client.get("/model").text
    picture = encode_jpeg(np.zeros((240, 240, 3), np.uint8), 90)
    answer = client.post("/api/v1/recognitions/upload", content=picture, headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, "model.create" in answer.json()["detail"]) == (409, True)


def test_evaluation_gives_metrics_confusion_and_pictures_of_the_worst_frames(client, model_path, tmp_path):
    """What model.evaluate wrote is shown, and the model that it was of is recognised by its hash."""
    save_model(model_path, (DARK, BRIGHT))
    evaluated(model_path, tmp_path)
    (report,) = client.get("/api/v1/model/metrics").json()["reports"]
    assert (report["kind"], report["frames"], report["accuracy_by_frame"]) == ("evaluation", 5, 0.6)
    assert (report["is_current"], report["folder"]) == (True, str(tmp_path / "sorted"))
    assert report["macro_f1"] == pytest.approx((2 * 2 / 6 + 2 * 1 / 4) / 2)
    confusion = client.get("/api/v1/model/confusion?report=evaluation").json()
    assert confusion["counts"] == [[2, 1], [1, 1]]
    frames = client.get("/api/v1/model/worst?report=evaluation").json()["frames"]
    assert {frame["path"] for frame in frames} == {f"{DARK.name}/ann-3.jpg", f"{BRIGHT.name}/ann-2.jpg"}
    pictures = [client.get(frame["picture"]) for frame in frames]
    assert all(picture.headers["content-type"] == "image/jpeg" for picture in pictures)
    assert client.get("/api/v1/model/worst/3").status_code == 404
    save_model(model_path, (DARK, BRIGHT), slope=50)
    assert client.get("/api/v1/model/metrics").json()["reports"][0]["is_current"] is False


def test_changed_model_is_loaded_at_the_next_recognition(services, model_path):
    """A training takes effect without a restart; a damaged one does not. A former model is freed after its use."""
    save_model(model_path, (DARK, BRIGHT))
    first = services.models.recognizer()
    assert services.models.recognizer() is first
    save_model(model_path, (BRIGHT, DARK))
    assert services.models.info(services.models.folder()).changed
    second = services.models.recognizer()
    assert second.classifier.classes == (BRIGHT, DARK)
    assert first.classifier.classes == (DARK, BRIGHT)
    former = weakref.ref(first.classifier)
    del first
    gc.collect()
    assert former() is None
    (model_path / "model.onnx").write_bytes(b"damaged")
    assert services.models.recognizer() is second
    assert "no ONNX model" in services.models.info(services.models.folder()).message


def test_models_beside_are_compared_and_shown_by_name(client, model_path, tmp_path):
    """Each folder beside MODEL_PATH that holds a model is listed with its metrics; no other name leads anywhere."""
    save_model(model_path, (DARK, BRIGHT))
    shutil.copytree(SHIPPED / "results", model_path.parent / "shipped" / "results")
    for name in ("model.onnx", "classes.txt"):
        shutil.copy(SHIPPED / name, model_path.parent / "shipped")
    save_model(model_path.parent / "damaged", (DARK, BRIGHT))
    (model_path.parent / "damaged" / "classes.txt").write_text("1\tOther\n")
    (model_path.parent / "empty").mkdir()
    models = {model["name"]: model for model in client.get("/api/v1/models").json()["models"]}
    assert [*models] == ["mine", "damaged", "shipped"]
    assert models["mine"]["current"]
    assert models["shipped"]["training"]["accuracy_by_frame"] == pytest.approx(0.822, abs=0.001)
    assert "do not match" in models["damaged"]["message"]
    other = client.get("/api/v1/model", params={"folder": "shipped"}).json()
    assert (other["current"], len(other["classes"])) == (False, 37)
    for name in ("empty", "../models/shipped", str(SHIPPED), "..", ".", "mine/", "a\0"):
        assert client.get("/api/v1/model/card", params={"folder": name}).status_code in (404, 400), name


def test_report_of_many_games_is_read_fast(tmp_path):
    """Of 600 games only the most frequent confusions become values of the answer."""
    metrics = json.loads((SHIPPED / "results" / "metrics.json").read_text(encoding="utf-8"))
    metrics["games"] = [{**metrics["games"][0], "id": number} for number in range(600)]
    metrics["confusion"] = [[(row + column) % 7 for column in range(600)] for row in range(600)]
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    start = time.process_time()
    assert len(read_report(tmp_path, "training").confusion.pairs) == 20
    assert time.process_time() - start < 1


def test_report_is_parsed_once_until_it_changes(tmp_path):
    """The requests of one page share it; a file that was written again is read again."""
    path = shutil.copy(SHIPPED / "results" / "metrics.json", tmp_path)
    first = read_report(tmp_path, "training")
    assert read_report(tmp_path, "training") is first
    text = Path(path).read_text(encoding="utf-8")
    Path(path).write_text(text.replace('"accuracy_by_frame": 0', '"accuracy_by_frame": 1', 1), encoding="utf-8")
    assert read_report(tmp_path, "training") is not first


def test_hostile_card_is_read_in_linear_time():
    """Brackets without an end cost one pass each, not one for each of them; they stay text."""
    for text in ("[" * 200_000, "[a](" * 50_000, "[a](b" * 50_000):
        ((kind, content, _),) = markdown.blocks(text)
        assert (kind, [span.text for span in content]) == ("p", [text])


@pytest.mark.parametrize(
    "change",
    [
        lambda metrics: metrics["confusion"].pop(),
        lambda metrics: metrics["confusion"][0].__setitem__(0, -1),
        lambda metrics: metrics["confusion"][0].__setitem__(0, 10**4000),
        lambda metrics: metrics["games"][0].__setitem__("name", "\ud800"),
        lambda metrics: metrics.__setitem__("ece", float("nan")),
        lambda metrics: metrics.clear(),
    ],
    ids=["no row", "negative", "huge", "surrogate", "nan", "empty"],
)
def test_foreign_report_costs_itself_only(client, model_path, change):
    """A metrics.json of another origin is named as the trouble; everything else answers."""
    save_model(model_path, (DARK, BRIGHT))
    metrics = json.loads((SHIPPED / "results" / "metrics.json").read_text(encoding="utf-8"))
    change(metrics)
    (model_path / "results").mkdir()
    (model_path / "results" / "metrics.json").write_text(json.dumps(metrics))
    assert "cannot be read" in client.get("/api/v1/model/metrics").json()["message"]
    assert client.get("/api/v1/model/confusion").status_code == 409
    assert client.get("/api/v1/models").json()["models"][0]["classes"] == 2
    assert len(client.get("/api/v1/model").json()["classes"]) == 2
