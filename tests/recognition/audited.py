"""Streams, judgements and facts of an audit, as its reports take them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from data.entities import Game
from model.evaluation.game_metrics import GameMetrics
from recognition.reports.audit_report import AuditAbout
from recognition.reports.outcomes import AuditedStream, Judgement, Outcome

START = datetime(2026, 11, 26, 15, 2, tzinfo=timezone.utc)
CHESS, VALORANT, TETRIS = Game(1, "Chess"), Game(2, "VALORANT"), Game(3, "Tetris")


def metrics(game: Game, precision: float | None = 1.0, right: int = 50, other_game: int = 0) -> GameMetrics:
    """Return metrics of a class of the model."""
    return GameMetrics(game, precision, 50, right, other_game, 0, 0, right)


def judgement() -> Judgement:
    """Return a judgement that counts Chess and VALORANT; Tetris is a class that is not precise enough."""
    all_metrics = [metrics(CHESS), metrics(VALORANT), metrics(TETRIS, 0.5)]
    return Judgement({one.game.id: one for one in all_metrics}, 0.9)


def audited(number: int, outcome: Outcome, category: Game | None = CHESS, **changes: Any) -> AuditedStream:
    """Return stream `number` with this outcome: 10 viewers, without a sample; `changes` replace values."""
    shown = {Outcome.MATCH: category, Outcome.OTHER_GAME: VALORANT}.get(outcome)
    values: dict[str, Any] = {
        "login": f"channel_{number}",
        "category": category,
        "viewers": 10,
        "language": "en",
        "stratum": "",
        "weight": 1.0,
        "outcome": outcome,
        "shown": shown,
        "screen": "talking" if outcome == Outcome.NO_GAME else "",
        "confidence": 0.97,
        "frames": 5,
        "looks": 1,
        "at": START + timedelta(seconds=number),
    }
    return AuditedStream(**values | changes)


def about(**changes: Any) -> AuditAbout:
    """Return facts of an audit of 100 listed streams; `changes` replace values."""
    values: dict[str, Any] = {
        "id": 7,
        "scope": "the 100 largest streams",
        "started": START,
        "ended": START + timedelta(minutes=20),
        "model": "model",
        "model_hash": "9f" * 32,
        "listed": 100,
        "sampled": 100,
        "not_judged": (),
        "seconds": 1200.0,
        "cpu_seconds": 300.0,
        "frames": 500,
        "requests": 600,
        "bytes": 200_000_000,
        "version": "1.0",
    }
    return AuditAbout(**values | changes)
