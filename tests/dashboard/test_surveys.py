"""Surveys: jobs whose results are read while they run, filtered, sorted, counted, and downloaded as tables."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timezone
from typing import Any

import pytest
from arro3.io import read_parquet

from dashboard.jobs import runner
from dashboard.jobs.tables import parquet_table
from data.entities import Game
from data.errors import OnlyAds, StreamOffline
from recognition.decision.verdict import Prediction, Verdict
from recognition.events import SourceFailed, VerdictReached, as_json
from recognition.outputs.csv_file import COLUMNS
from tests.dashboard.conftest import make_settings
from tests.dashboard.test_jobs import wait_until
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.standin import Standin

DARK_LOGIN, BRIGHT_LOGIN, TALKING, OFFLINE = "dcss_minotaur_berserker", "etr_bumpy_ride", "just_talking", "already_over"
CHESS, LARGE, CHAT = Game(7, "Chess"), Game(900_719_925_474_099_312, "<b>Large</b>"), Game(9, "Just Chatting")
NOON = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in: a channel of each game of the model, one without a game, one that is offline."""
    with Standin(world.only({DARK_LOGIN, BRIGHT_LOGIN, TALKING, OFFLINE})) as running:
        yield running


@pytest.fixture
def settings(twitch, tmp_path):
    """Return settings with the stand-in; a survey needs no database."""
    return make_settings(tmp_path, **twitch.environment, frames_per_stream=2, ad_wait_s=0.0)


def verdict(source: str, game: Game, category: Game | None, confidence: float, known: bool = True) -> VerdictReached:
    """Return a verdict of one frame."""
    prediction = Prediction(game, confidence, known, ())
    return VerdictReached(source, NOON, Verdict(game, confidence, confidence, (prediction,)), category)


EVENTS = (
    verdict("ann", CHESS, CHESS, 0.9),
    verdict("ben", LARGE, CHESS, 0.8),
    verdict("cat", CHESS, None, 0.7),
    verdict("dan", CHESS, CHAT, 0.95),
    verdict("eve", CHESS, CHAT, 0.2, known=False),
    SourceFailed("fay", NOON, StreamOffline("fay is not live")),
    SourceFailed("gus", NOON, OnlyAds("gus: nothing but ads \x1b[31m<script>")),
)


@pytest.fixture
def survey(services) -> str:
    """Return the id of a survey that has ended with EVENTS, after lines that are cut off, too deep and too long."""
    folder = services.jobs.folders.root / "20261126-120000-000000-survey"
    folder.mkdir(parents=True)
    options: dict[str, Any] = {"game": None, "top_streams": 9, "frames": 1, "preview": False, "languages": []}
    record = {"id": folder.name, "kind": "survey", "options": options, "shown": "", "command": [], "started": NOON}
    record |= {"separate": True, "ended": NOON, "exit_code": 0, "stopped": False}
    runner.save(folder, json.loads(json.dumps(record, default=datetime.isoformat)))
    lines = [json.dumps(as_json(event)) for event in EVENTS]
    (folder / runner.OUTPUT).write_text("\n".join(["{broken", "[" * 9_000, "x" * 70_000, *lines, '{"event": "verd']))
    return folder.name


def found(client, survey: str, **query) -> list[str]:
    """Return the sources of the results that match, in order."""
    answer = client.get(f"/api/v1/surveys/{survey}/results", params=query)
    assert answer.status_code == 200, answer.text
    return [result["source"] for result in answer.json()["results"]]


def test_survey_runs_to_its_end_with_results_and_tables(client, settings):
    """Each stream has a result; CSV and Parquet hold the same rows; another survey is refused meanwhile."""
    save_model(settings.model_path, (DARK, BRIGHT))  # it separates a dark game from a bright one
    body = {"top_streams": 4, "frames": 2, "languages": ["EN", "en"]}
    answer = client.post("/api/v1/surveys", json=body)
    assert answer.status_code == 201, answer.text
    survey = answer.json()
    assert survey["options"]["languages"] == ["en"]
    path = f"/api/v1/surveys/{survey['id']}"
    refused = client.post("/api/v1/surveys", json=body)
    assert (refused.status_code, survey["id"] in refused.json()["detail"]) == (409, True)
    wait_until(lambda: client.get(path).json()["state"] != "running")
    survey = client.get(path).json()
    log = client.get(f"{path}/log").json()["text"]
    assert survey["state"] == "finished", log
    assert "streams, " in log
    summary, count = survey["summary"], survey["progress"]["done"]
    assert summary["streams"] == count == survey["progress"]["total"] > 0
    assert summary["known"] + summary["unknown"] + summary["failed"] == count
    rows = list(csv.DictReader(io.StringIO(client.get(f"{path}/results.csv").text)))
    table = read_parquet(io.BytesIO(client.get(f"{path}/results.parquet").content)).read_all()
    assert table.column_names == list(COLUMNS)
    sources = [row["source"] for row in rows]
    assert sources == table.column("source").to_pylist() == found(client, survey["id"])
    assert client.delete(path).status_code == 204
    assert client.get("/api/v1/surveys").json() == {"surveys": [], "obstacle": ""}


def test_results_are_filtered_by_game_outcome_mismatch_and_text(client, survey):
    """Filters combine; ids are strings beyond JavaScript's numbers; a broken line costs itself only."""
    assert found(client, survey) == ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]
    assert found(client, survey, game=str(LARGE.id)) == ["ben"]
    assert found(client, survey, game=["7", str(LARGE.id)], mismatch=True) == ["ben", "dan"]
    assert found(client, survey, outcome=["unknown", "failed"]) == ["eve", "fay", "gus"]
    assert found(client, survey, q=" CHATTING ") == ["dan", "eve"]
    assert found(client, survey, q="nothing but") == ["gus"]
    assert found(client, survey, mismatch=False) == ["ann"]
    answer = client.get(f"/api/v1/surveys/{survey}/results", params={"limit": 2, "offset": 1}).json()
    assert (answer["total"], answer["all"], answer["offset"], len(answer["results"])) == (7, 7, 1, 2)
    assert answer["results"][0]["game"] == {"id": str(LARGE.id), "name": "<b>Large</b>"}
    assert answer["results"][0]["url"] == "https://www.twitch.tv/ben"


def test_results_are_sorted_and_those_without_a_value_come_last(client, survey):
    """Both directions end with the failures, which have no confidence."""
    assert found(client, survey, sort="confidence") == ["eve", "cat", "ben", "ann", "dan", "fay", "gus"]
    assert found(client, survey, sort="confidence", descending=True) == [
        "dan",
        "ann",
        "ben",
        "cat",
        "eve",
        "fay",
        "gus",
    ]
    assert found(client, survey, sort="game")[:1] == ["ben"]
    assert found(client, survey, sort="category", descending=True)[:2] == ["dan", "eve"]
    assert found(client, survey, sort="order", descending=True)[0] == "gus"


def test_summary_counts_games_mismatches_and_failures(client, survey):
    """Only known verdicts count for their game; only those with a category are compared."""
    summary = client.get(f"/api/v1/surveys/{survey}").json()["summary"]
    games = summary.pop("games")
    assert summary == {
        **{"streams": 7, "known": 4, "unknown": 1, "failed": 2, "frames": 5, "compared": 3, "mismatches": 2},
        "failures": {"offline": 1, "only ads": 1},
    }
    assert games[0] == {"id": "7", "name": "Chess", "streams": 3, "mismatches": 1}


def test_parquet_of_a_survey_that_was_stopped_holds_what_is_there(client, survey):
    """The table is made from the results so far; a survey without one has none."""
    content = client.get(f"/api/v1/surveys/{survey}/results.parquet").content
    table = read_parquet(io.BytesIO(content)).read_all()
    assert table.column("source").to_pylist() == [event.source for event in EVENTS]
    assert table.column("game_id").to_pylist()[:2] == [CHESS.id, LARGE.id]
    assert client.get(f"/api/v1/surveys/{survey}/results.csv").status_code == 404


def test_parquet_while_results_arrive_holds_all_of_them_later(services, survey):
    """A table that is made from fewer results than the file has by then does not stay."""
    folder, results = services.jobs.folder(survey), services.jobs.results(survey)
    with (folder / runner.OUTPUT).open("a") as file:
        file.write("\n" + json.dumps(as_json(EVENTS[0])) + "\n")
    for count in (len(EVENTS), len(EVENTS) + 1):
        assert read_parquet(io.BytesIO(parquet_table(folder, results))).read_all().num_rows == count
        results.update()


def test_survey_and_job_are_not_found_under_each_others_address(client, survey):
    """An id of a survey is none of a job; hostile ids are none of both."""
    assert client.get(f"/api/v1/jobs/{survey}").status_code == 404
    assert client.get("/api/v1/surveys/..%2f..%2fframes/results.csv").status_code == 404
    assert [each["id"] for each in client.get("/api/v1/surveys").json()["surveys"]] == [survey]
    assert client.get("/api/v1/jobs").json()["jobs"] == []


def test_hostile_survey_options_are_refused(client):
    """What is no game, number or language starts nothing; a survey needs to know of which streams."""
    for body in (
        *({}, {"game": ""}, {"game": "@/etc/passwd"}, {"top_streams": 0}, {"top_streams": 10**9}, {"game": "x" * 201}),
        *({"top_streams": 5, "languages": ["../"]}, {"top_streams": 5, "languages": ["en"] * 1000}),
        *(
            {"top_streams": 5, "source": "http://127.0.0.1/"},
            {"top_streams": 5, "frames": "1; ls"},
            {"game": "a\u202eb"},
        ),
    ):
        assert client.post("/api/v1/surveys", json=body).status_code in (400, 422), body
    assert client.get("/api/v1/surveys").json()["surveys"] == []
