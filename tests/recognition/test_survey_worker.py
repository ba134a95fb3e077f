"""recognition.cluster.survey_worker: what runs on a node, here in this process; Ray itself is in tests/cluster."""

from __future__ import annotations

import pickle

import pytest

from data.errors import StopRequested
from data.http.traffic import COUNTER
from data.pool.shipping import Model
from recognition.cluster.node_recognizer import without_secrets
from recognition.cluster.survey_worker import NodeSurvey
from recognition.engine.survey import SurveyTask
from recognition.events import SourceFailed, VerdictReached
from tests.data.conftest import settings
from tests.recognition.commands import BRIGHT
from tests.standin import Standin, World

LIVE, OVER = "etr_bumpy_ride", "already_over"


@pytest.mark.parametrize("pictures", [False, True])
def test_node_survey_returns_results_that_can_be_sent_with_what_they_cost(world: World, model_path, pictures):
    """A verdict has its picture only for an audit, a failure its reason; the requests of all results are counted."""
    with Standin(world.only({LIVE, OVER})) as twitch:
        own = settings(TWITCH_STANDIN=twitch.url, MODEL_PATH=str(model_path), FRAMES_PER_STREAM="2")
        before = COUNTER.total()
        make_worker = pickle.loads(pickle.dumps((NodeSurvey, without_secrets(own), Model())))
        worker = make_worker[0](*make_worker[1:], top=1, min_confidence=0.0, pictures=pictures)
        found, failed = (pickle.loads(pickle.dumps(worker(SurveyTask(name)))) for name in (LIVE, OVER))
        worker.cancel()
        with pytest.raises(StopRequested):
            worker(SurveyTask(LIVE))
        worker.close()
    assert isinstance(found.result, VerdictReached)
    assert (found.result.verdict.game, found.result.verdict.frames) == (BRIGHT, 2)
    assert (found.result.verdict.predictions, bool(found.result.jpeg)) == ((), pictures)
    assert isinstance(failed.result, SourceFailed)
    assert failed.result.error.reason == "offline"
    assert found.cpu_seconds > 0
    requests = found.traffic.requests + failed.traffic.requests
    assert 0 < requests <= (COUNTER.total() - before).requests
