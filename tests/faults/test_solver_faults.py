"""A solver that hangs, dies or fails: the answer of greed comes in time, and says that it is that."""

from __future__ import annotations

import time

import pytest

from pointsbank.domain.pairing.check import require_sound
from pointsbank.domain.pairing.plan import How
from services.matching.engine.columns import columns_of, field_of
from services.matching.engine.parts import parts_of
from services.matching.engine.processes import SMALL, PartProcesses
from services.matching.engine.run import plan, plan_by_greed, replay
from tests.unit.pairing.days import day


@pytest.mark.parametrize("oddity", ["mute", "hung", "gone", "failing"])
def test_a_solver_with_a_bad_day_leaves_the_answer_of_greed_in_time(
    oddity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSBANK_TEST_ODDITY", oddity)
    instance = day(requests=40, volunteers=40)
    began = time.monotonic()
    with PartProcesses(2, module="tests.faults.odd_solvers") as processes:
        found = plan(instance, processes, seconds=3)
    assert time.monotonic() - began < 20
    hows = {part.how for part in found.parts}
    assert How.GREEDY in hows
    assert hows <= {How.GREEDY, How.RELAXED}  # where greed reaches the bound nobody is asked
    require_sound(instance, found)
    assert found.worth == plan_by_greed(instance).worth
    assert found.bound >= found.worth
    assert replay(instance, found.parts) == found


@pytest.mark.parametrize("which", [0, -1], ids=["the smallest", "the largest"])
def test_a_part_that_is_too_hard_keeps_no_other_from_being_solved(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = day(requests=160, volunteers=300)
    field = field_of(instance)
    sizes = sorted(len(part) for part in parts_of(field, columns_of(field)))
    assert sizes[0] > SMALL
    hard = sizes[which]
    monkeypatch.setenv("POINTSBANK_TEST_ODDITY", "hard")
    monkeypatch.setenv("POINTSBANK_TEST_HARD", str(hard))
    with PartProcesses(1, module="tests.faults.odd_solvers") as processes:
        found = plan(instance, processes, seconds=8)
    hows = {part.columns: part.how for part in found.parts}
    assert hows.pop(hard) is How.GREEDY
    assert not set(hows.values()) & {How.GREEDY, How.STOPPED}


def test_processes_go_on_after_one_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = day(requests=40, volunteers=40)
    with PartProcesses(1) as processes:
        cut = plan(instance, processes, seconds=0)
        whole = plan(instance, processes, seconds=60)
    assert How.GREEDY in {part.how for part in cut.parts}
    assert not {part.how for part in whole.parts} & {How.GREEDY, How.STOPPED}
    assert whole.worth >= cut.worth


def test_no_process_is_left_behind() -> None:
    processes = PartProcesses(2)
    processes.start()
    children = [child._process for child in processes._children]
    processes.close()
    assert len(children) == 2
    assert all(child.poll() is not None for child in children)
