"""Simulation of a cluster: what must hold whatever the times are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cluster_simulation import Costs, Survey, Worker

STREAMS = 600


def survey(costs: Costs, nodes: int) -> Survey:
    """Return a survey of STREAMS on nodes of two workers with eight slots each."""
    workers = [Worker(number // 2, [0.0] * 8) for number in range(2 * nodes)]
    return Survey(costs, workers, STREAMS, 10, np.random.default_rng(0))


@pytest.mark.parametrize("nodes", [1, 3])
def test_survey_without_waits_takes_the_time_of_its_streams(nodes: int):
    """With a coordinator that costs little, all cores are busy: the time is the sum of the streams' by the cores."""
    costs = Costs(service=0.1, spread=0.5, wait=0.05, call=1e-6, store=0.0, result=1e-6)
    run = survey(costs, nodes)
    assert run.run() == pytest.approx(STREAMS * 0.1 / (2 * nodes), rel=0.1)
    assert run.done == STREAMS
    assert run.repeated == 0


def test_survey_with_a_slow_coordinator_takes_its_time():
    """The coordinator's core is the limit: its calls and results add up to the whole time."""
    run = survey(Costs(service=0.001, spread=0.5, wait=0.0, call=0.001, store=0.0, result=0.01, gather=0.1), 3)
    seconds = run.run()
    assert run.busy == pytest.approx(seconds, rel=0.05)
    assert seconds >= STREAMS * 0.01


def test_survey_with_a_slow_database_takes_the_time_of_its_statements():
    """A reply with results costs one statement, whatever their number; a reply without results costs none."""
    costs = Costs(service=0.001, spread=0.5, wait=0.0, call=1e-6, store=0.05, result=1e-6, gather=0.1)
    run = survey(costs, 3)
    seconds = run.run()
    assert run.busy == pytest.approx(seconds, rel=0.05)
    assert STREAMS / 10 <= run.busy / 0.05 < STREAMS / 5  # a reply has up to ten streams, fewer towards the end


def test_survey_whose_nodes_die_answers_each_stream_once():
    """Two of three nodes die: what they had is begun again by the other one, and the survey takes longer."""
    costs = Costs(service=0.1, spread=0.5, wait=0.05, call=0.001, store=0.001, result=0.001)
    whole = survey(costs, 3).run()
    run = survey(costs, 3)
    assert run.run(frozenset({0, 1}), whole / 2) > 1.5 * whole
    assert run.done == STREAMS
    assert 0 < run.repeated <= 4 * 10
