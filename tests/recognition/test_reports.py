"""recognition.reports: which streams count, what the report says of them, and the three files."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # the package has no type hints
import pytest
from arro3.io import read_parquet

from data.entities import FIRST_OWN_ID, Game
from data.errors import FolderError
from recognition.decision.verdict import Prediction, Verdict
from recognition.reports import text
from recognition.reports.audit_report import AuditReport, make_report
from recognition.reports.files import write_report
from recognition.reports.outcomes import Judgement, Outcome, outcome_of
from recognition.reports.page import render_page
from tests.recognition.audited import CHESS, START, TETRIS, VALORANT, about, audited, judgement, metrics
from tests.recognition.commands import ROOT

SCHEMA = json.loads((ROOT / "docs" / "audit.schema.json").read_text(encoding="utf-8"))
JPEG = b"\xff\xd8\xff" + bytes(50)
HOSTILE = '<img src=x onerror="alert(1)">\u202e\x1b[31m\n{{ 7*7 }}\ud800' + "w" * 5000


def _verdict(
    game: Game, known: bool = True, screen: str = "", *, confidence: float = 0.96, unknown_frames: int = 0
) -> Verdict:
    frames = [Prediction(game, confidence, known and number >= unknown_frames) for number in range(10)]
    return Verdict(
        game, 10 * confidence, confidence, tuple(frames), is_confident=known, by_majority=False, screen=screen
    )


def _report(*outcomes: tuple[Outcome, int], **changes: Any) -> AuditReport:
    """Return the report of as many streams of each outcome, all in the category Chess."""
    every = [outcome for outcome, count in outcomes for _ in range(count)]
    return make_report([audited(n, outcome, **changes) for n, outcome in enumerate(every)], judgement(), about())


def _pseudonym(login: str) -> str:
    return "s" + login.encode().hex()[-16:].rjust(16, "0")


@pytest.mark.parametrize(
    ("verdict", "category", "expected"),
    [
        (_verdict(CHESS), CHESS, Outcome.MATCH),
        (_verdict(CHESS), Game(1, "Chess renamed"), Outcome.MATCH),
        (_verdict(VALORANT), CHESS, Outcome.OTHER_GAME),
        (_verdict(TETRIS), CHESS, Outcome.UNKNOWN),  # a class of low precision proves nothing
        (_verdict(CHESS, known=False), CHESS, Outcome.UNKNOWN),
        (_verdict(CHESS, known=False, screen="talking"), CHESS, Outcome.NO_GAME),
        (_verdict(CHESS, screen="menu"), CHESS, Outcome.MATCH),
        (_verdict(VALORANT, screen="menu"), CHESS, Outcome.NO_GAME),
        (_verdict(VALORANT), None, Outcome.UNKNOWN),
        (_verdict(CHESS, confidence=0.8, unknown_frames=5), CHESS, Outcome.MATCH),
        (_verdict(VALORANT, confidence=0.94), CHESS, Outcome.UNKNOWN),  # not sure enough to contradict a streamer
        (_verdict(VALORANT, unknown_frames=2), CHESS, Outcome.OTHER_GAME),
        (_verdict(VALORANT, unknown_frames=3), CHESS, Outcome.UNKNOWN),
    ],
)
def test_outcome_of_a_verdict(verdict: Verdict, category: Game | None, expected: Outcome) -> None:
    """Only a known game of sufficient precision, not the category's and not behind a menu, is another game."""
    assert outcome_of(verdict, category, judgement()) == expected


def test_judgement_judges_precise_classes_only() -> None:
    """Other categories have the reason why not; a game with an id of its own is found by name."""
    own = Game(FIRST_OWN_ID + 1, "My Game")
    judged = Judgement(
        {1: metrics(CHESS), 3: metrics(TETRIS, 0.5), own.id: metrics(own), 4: metrics(Game(4, "X"), None)}, 0.9
    )
    assert judged.judges(CHESS)
    assert judged.judges(Game(55, "my game"))
    assert judged.why_not(TETRIS) == "precision below the bound"
    assert judged.why_not(Game(4, "X")) == "precision not measured"
    assert judged.why_not(Game(99, "Just Chatting")) == "not a game of the model"
    assert judged.why_not(None) == "no category"
    assert Judgement(judged.games, 0.0).judges(Game(4, "X"))


def test_make_report_counts_unconfirmed_as_unknown_and_failed_not_at_all() -> None:
    """The shares of match, other game, no game and unknown sum to 1 without failed streams."""
    report = _report(
        (Outcome.MATCH, 80),
        (Outcome.OTHER_GAME, 10),
        (Outcome.NO_GAME, 5),
        (Outcome.NOT_CONFIRMED, 5),
        (Outcome.FAILED, 9),
    )
    shares = {outcome: share.value for outcome, share in report.by_streams.outcomes.items()}
    assert shares == pytest.approx(
        {Outcome.MATCH: 0.8, Outcome.OTHER_GAME: 0.1, Outcome.NO_GAME: 0.05, Outcome.UNKNOWN: 0.05}
    )
    assert (report.judged, report.unconfirmed, report.failures) == (100, 5, (("no frame", 9),))
    assert report.population == 109


def test_make_report_with_weights_estimates_all_live_streams() -> None:
    """One of two streams of a large stratum counts more than all of a small one; viewers count once each."""
    large = [
        audited(n, (Outcome.MATCH, Outcome.OTHER_GAME)[n], stratum="large", weight=90.0, viewers=1) for n in (0, 1)
    ]
    small = [audited(2 + n, Outcome.MATCH, stratum="small", viewers=180) for n in range(20)]
    report = make_report([*large, *small], judgement(), about())
    assert report.by_streams.outcomes[Outcome.OTHER_GAME].value == pytest.approx(90 / 200)
    assert report.by_viewers.outcomes[Outcome.OTHER_GAME].value == pytest.approx(90 / (180 + 3600))
    assert report.population == 200


def test_make_report_corrects_by_the_mistakes_of_the_validation() -> None:
    """A model that takes 4 of 100 streams for another game explains 4 of 100; taken-back ones are no mistakes left."""
    judged = Judgement({1: metrics(CHESS, 0.96, 96, 4), 2: metrics(VALORANT)}, 0.9)
    streams = [audited(n, Outcome.OTHER_GAME if n < 10 else Outcome.MATCH) for n in range(100)]
    corrected = make_report(streams, judged, about()).by_streams.corrected
    assert corrected is not None
    assert corrected.value == pytest.approx((0.1 - 0.04) / (0.96 - 0.04))
    assert corrected.low <= 0.0652 <= corrected.high
    for reason, specificity in (("second look: match", 1.0), ("no second look: offline", 0.96)):
        unconfirmed = [dataclasses.replace(audited(n, Outcome.NOT_CONFIRMED), reason=reason) for n in range(96, 100)]
        corrected = make_report([*streams[:96], *unconfirmed], judged, about()).by_streams.corrected
        assert corrected is not None
        assert corrected.value == pytest.approx((0.1 + specificity - 1) / (0.96 + specificity - 1))
    assert make_report(streams, judged, about()).categories[0].by_mistake == pytest.approx(4)


def test_make_report_without_measured_errors_leaves_the_share_as_it_is() -> None:
    """An older model's validation has no streams: nothing is corrected, and the text says so."""
    judged = Judgement({1: metrics(CHESS, 0.0, 0, 0)}, 0.0)
    report = make_report([audited(1, Outcome.MATCH)], judged, about())
    assert report.by_streams.corrected is None
    assert "not corrected" in text.correction_sentence(report.by_streams)


def test_make_report_lists_what_is_not_judged_with_its_reason() -> None:
    """A category that changed since the listing is not judged, too; small categories are summed."""
    listed = (("Just Chatting", 40, 900), ("others", 12, 30), ("", 3, 4))
    streams = [audited(1, Outcome.MATCH), audited(2, Outcome.UNKNOWN, TETRIS)]
    report = make_report(streams, judgement(), about(not_judged=listed))
    assert report.not_judged == (
        ("Just Chatting", "not a game of the model", 40, 900),
        ("others", "small categories", 12, 30),
        ("", "no category", 3, 4),
        ("Tetris", "precision below the bound", 1, 10),
    )
    assert report.judged == 1


def test_make_report_with_damaged_history_keeps_the_valid_audits() -> None:
    """The summaries come from a database: invalid ones are left out; the newest is this audit."""
    earlier = _report((Outcome.MATCH, 50), (Outcome.OTHER_GAME, 5)).summary()
    damaged: list[dict[str, Any]] = [{}, {**earlier, "by_streams": None}, {**earlier, "judged": "many"}]
    damaged.append({**earlier, "by_streams": {**earlier["by_streams"], "low": float("nan")}})
    history = [(START, json.loads(json.dumps(summary))) for summary in [earlier, *damaged]]
    report = make_report([audited(1, Outcome.MATCH)], judgement(), about(), history)
    assert [observation.judged for observation in report.history] == [55, 1]
    assert "Earlier audits" in _written_page(report)


def test_report_lines_say_the_answer_first() -> None:
    """The first line has the share and its interval; the others what it rests on and what it cost."""
    lines = text.report_lines(_report((Outcome.MATCH, 90), (Outcome.OTHER_GAME, 10), (Outcome.FAILED, 2)))
    assert re.fullmatch(
        r"10\.0 % of the live streams in 1 category show another game .*\(95 % interval .* %\)\.", lines[0]
    )
    assert "Most in another game: Chess 10 of 100" in lines
    assert lines[-1] == "Cost: 20.0 min, 5.0 min of processor time, 500 frames, 600 requests, 200.0 MB"
    assert text.report_lines(_report((Outcome.FAILED, 2)))[0] == "No stream could be judged."


class _Page(HTMLParser):
    """The tags of a page, and the addresses that it loads or links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        self.links += [value or "" for name, value in attrs if name == "href"]


def _written_page(report: AuditReport) -> str:
    return render_page(report, _pseudonym)


def test_write_report_publishes_no_login(tmp_path: Path) -> None:
    """All three files name streams by what stands for their logins; the JSON matches its schema."""
    report = _report((Outcome.MATCH, 20), (Outcome.OTHER_GAME, 3), (Outcome.FAILED, 1), jpeg=JPEG)
    write_report(tmp_path / "new" / "7", report, _pseudonym)
    files = {path.name: path.read_bytes() for path in (tmp_path / "new" / "7").iterdir()}
    assert set(files) == {"report.html", "report.json", "streams.parquet"}
    assert all(b"channel_" not in content for content in files.values())
    values = json.loads(files["report.json"])
    jsonschema.Draft202012Validator(SCHEMA).validate(values)
    assert values["mismatches"][0]["stream"] == _pseudonym("channel_20")
    rows = read_parquet(tmp_path / "new" / "7" / "streams.parquet").read_all()
    assert rows.num_rows == 24
    assert rows["stream"][0].as_py() == _pseudonym("channel_0")


def test_write_report_with_logins_links_the_channels(tmp_path: Path) -> None:
    """With names the page links each mismatch's channel."""
    write_report(tmp_path, _report((Outcome.OTHER_GAME, 1)), lambda login: login)
    page = _Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "https://www.twitch.tv/channel_0" in page.links


def test_write_report_into_a_file_raises_folder_error(tmp_path: Path) -> None:
    """The message names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="--out"):
        write_report(tmp_path / "file", _report((Outcome.MATCH, 1)), _pseudonym)


def test_page_with_hostile_names_shows_them_as_text(tmp_path: Path) -> None:
    """Names with tags, directions, escapes, lone surrogates and great length are text; nothing is loaded."""
    names: dict[str, Any] = {
        "category": Game(1, HOSTILE),
        "shown": Game(2, HOSTILE),
        "reason": HOSTILE,
        "viewers": 10**400,
    }
    streams = [audited(1, Outcome.OTHER_GAME, jpeg=JPEG, **names), audited(2, Outcome.FAILED, **names)]
    streams.append(audited(3, Outcome.MATCH, weight=float("inf"), confidence=float("nan"), viewers=-5))
    hostile = about(scope=HOSTILE, model=HOSTILE, not_judged=((HOSTILE, 3, 4),))
    write_report(tmp_path, make_report(streams, judgement(), hostile), _pseudonym)
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = _Page(content)
    assert page.tags.isdisjoint({"script", "iframe", "link"})
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert page.links == ["report.json", "streams.parquet"]
    assert "\u202e" not in content
    assert "\x1b" not in content
    assert "w" * 101 not in content
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads((tmp_path / "report.json").read_bytes()))


def test_page_with_many_mismatches_has_60_pictures_and_a_bounded_table() -> None:
    """All others are counted and stand in report.json; what is no JPEG is no picture."""
    report = _report((Outcome.OTHER_GAME, 700), jpeg=JPEG)
    first = dataclasses.replace(report.mismatches[0], jpeg=b"<svg onload=alert(1)>", confidence=1.0)
    page = _written_page(dataclasses.replace(report, mismatches=(first, *report.mismatches[1:])))
    assert len(_Page(page).sources) == 60
    assert "140 more are in report.json" in page
    assert "onload" not in page


def test_page_without_a_judged_stream_says_so() -> None:
    """A failed audit has a report, too."""
    assert "No stream could be judged" in _written_page(_report((Outcome.FAILED, 3)))
    assert "No stream could be judged" in _written_page(_report())


def test_trend_leaves_out_audits_without_a_judged_stream() -> None:
    """Such an audit, as in an outage, says nothing: its interval of 0 to 100 % would flatten all others."""
    history = [(START, _report((Outcome.MATCH, 50)).summary()), (START, _report((Outcome.FAILED, 3)).summary())]
    page = _written_page(make_report([audited(1, Outcome.MATCH)], judgement(), about(), history))
    assert page.count("<circle") == 2
    assert "in 2 audits of the same scope. Bars" in page


def test_trend_of_several_models_says_so() -> None:
    """A jump may come from the model: each point names its own; a summary without one is of an unknown model."""
    summary = _report((Outcome.MATCH, 50)).summary()
    history = [(START, {**summary, "model": "<b>" + "f" * 80}), (START, {**summary, "model": ""})]
    page = _written_page(make_report([audited(1, Outcome.MATCH)], judgement(), about(), history))
    assert "in 3 audits of the same scope, by 3 models." in page
    assert ("model unknown<" in page, f"model &lt;b&gt;{'f' * 9}<" in page) == (True, True)
