"""Alert rules: which events are news, also after a restart."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from data.entities import Game
from data.errors import StreamOffline, StreamUnavailable
from recognition.decision.verdict import Verdict
from recognition.events import FrameClassified, GameChanged, SourceFailed, VerdictReached, now
from recognition.outputs.outbox.rules import AlertRules, Reported
from tests.recognition.alerts import CHESS, VALORANT

CHATTING = Game(509658, "Just Chatting")


def change(after: Game | None, category: Game | None = None, before: Game | None = None) -> GameChanged:
    """Return the change of one source."""
    return GameChanged("someone", now(), before, after, after is not None, 3, 0.9, category, jpeg=b"decided")


def frame() -> FrameClassified:
    """Return a frame of the source; the rules do not read its prediction."""
    prediction: Any = None
    return FrameClassified("someone", datetime(2026, 11, 26, tzinfo=timezone.utc), 9, prediction, b"later")


def kinds(rules: AlertRules, *events: Any) -> list[str]:
    """Return the kinds of the alerts of some events."""
    return [alert.kind for event in events for alert in rules.alerts_of(event)]


def verdict() -> VerdictReached:
    """Return a verdict for Chess."""
    reached = Verdict(CHESS, score=8.0, confidence=0.8, predictions=(), ranking=(), is_confident=True)
    return VerdictReached("someone", now(), reached)


def test_first_answer_changes_and_unknown_are_alerts():
    """Each alert has the game before and after, the picture, and its own id."""
    rules = AlertRules({})
    events = [change(CHESS), change(VALORANT, before=CHESS), change(None, before=VALORANT), change(None), change(CHESS)]
    alerts = [alert for event in events for alert in rules.alerts_of(event)]
    assert [(a.kind, a.before, a.game, a.known) for a in alerts] == [
        ("start", None, CHESS, True),
        ("change", CHESS, VALORANT, True),
        ("unknown", VALORANT, None, False),
        ("change", None, CHESS, True),
    ]
    assert len({alert.id for alert in alerts}) == 4
    assert {alert.jpeg for alert in alerts} == {b"decided"}


def test_first_answer_after_a_restart_is_compared_with_what_was_reported():
    """The same game, renamed or not, is no news; another one is a change from the reported one, in the JSON too."""
    reported = {"someone": Reported(CHESS)}
    assert kinds(AlertRules(reported), change(CHESS), change(Game(CHESS.id, "Schach"))) == []
    [alert] = AlertRules(reported).alerts_of(change(VALORANT))
    assert (alert.kind, alert.before) == ("change", CHESS)
    assert alert.event["before"] == {"id": CHESS.id, "name": CHESS.name}


def test_end_of_the_stream_forgets_its_game():
    """A verdict is the end, but not that of a watch that is being ended; the next stream's first answer is a start."""
    stopping = False
    rules = AlertRules({}, is_stopping=lambda: stopping)
    [*_, end] = [alert for event in (change(VALORANT), verdict()) for alert in rules.alerts_of(event)]
    assert (end.kind, end.before, end.game, end.confidence) == ("end", VALORANT, CHESS, 0.8)
    assert kinds(rules, change(VALORANT)) == ["start"]
    stopping = True
    assert kinds(rules, verdict()) == []
    assert rules.reported == {"someone": Reported(VALORANT)}


def test_failure_of_a_stream_that_was_reported_as_live_is_its_end():
    """A stream that ended while nobody watched ends once; other failures are failures."""
    offline = SourceFailed("someone", now(), StreamOffline("someone is not live"))
    rules = AlertRules({"someone": Reported(CHESS)})
    outage = SourceFailed("someone", now(), StreamUnavailable("status 503"))
    alerts = [alert for event in (outage, offline, offline) for alert in rules.alerts_of(event)]
    assert [(a.kind, a.before, a.message) for a in alerts] == [
        ("failure", CHESS, "status 503"),
        ("end", CHESS, "someone is not live"),
        ("failure", None, "someone is not live"),
    ]


def test_mismatch_is_reported_when_it_lasts_and_once_for_each_pair():
    """A category that follows within two minutes is no mismatch; one that stays is, and its end is a match."""
    time_s, category = 0.0, CHATTING
    rules = AlertRules({}, category_of=lambda _: category, clock=lambda: time_s)
    assert kinds(rules, change(CHESS, category)) == ["start"]
    time_s, category = 100.0, CHESS
    assert kinds(rules, frame(), change(VALORANT, category)) == ["change"]
    time_s = 210.0
    assert kinds(rules, frame()) == []
    time_s = 230.0
    [mismatch] = rules.alerts_of(frame())
    assert (mismatch.kind, mismatch.game, mismatch.category) == ("mismatch", VALORANT, CHESS)
    assert (mismatch.mismatch, mismatch.event["mismatch"], mismatch.jpeg) == (True, True, b"later")
    time_s = 999.0
    assert kinds(rules, frame(), frame()) == []
    again = AlertRules(rules.reported, category_of=lambda _: category, mismatch_after_s=0)
    assert kinds(again, change(VALORANT, category), frame()) == []
    category = VALORANT
    [match] = rules.alerts_of(frame())
    assert (match.kind, match.category, match.mismatch) == ("match", VALORANT, False)
    assert kinds(rules, frame()) == []
    category = CHATTING
    assert kinds(AlertRules({}, mismatch_after_s=0), change(CHESS, category)) == ["start", "mismatch"]


def test_alerts_say_whether_a_mismatch_was_reported():
    """A change with a new mismatch does not say so before the two minutes are over; a return to a reported one does."""
    time_s, category = 0.0, CHESS
    rules = AlertRules({}, category_of=lambda _: category, clock=lambda: time_s)
    alerts = [*rules.alerts_of(change(CHESS, category)), *rules.alerts_of(change(VALORANT, category))]
    time_s = 120.0
    alerts += rules.alerts_of(frame())
    alerts += [*rules.alerts_of(change(None, category)), *rules.alerts_of(change(VALORANT, category))]
    category = VALORANT
    alerts += rules.alerts_of(frame())
    assert [(alert.kind, alert.mismatch, alert.mismatch_reported) for alert in alerts] == [
        ("start", False, False),
        ("change", True, False),
        ("mismatch", True, True),
        ("unknown", None, True),
        ("change", True, True),
        ("match", False, False),
    ]


def test_mismatch_when_the_game_is_unknown_says_nothing():
    """Without a game or a category there is nothing to compare: a reported mismatch stays open."""
    rules = AlertRules({}, mismatch_after_s=0, category_of=lambda _: CHATTING)
    assert kinds(rules, change(CHESS, CHATTING), change(None, CHATTING), frame()) == ["start", "mismatch", "unknown"]
    assert rules.reported["someone"] == Reported(None, (CHESS.id, CHATTING.id))
    assert kinds(rules, change(CHESS, CHATTING)) == ["change"]
