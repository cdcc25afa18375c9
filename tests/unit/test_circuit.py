"""When a partner is called, and when it is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pointsbank.domain.circuit import (
    FAILURES_MAX,
    PAUSE_MAX,
    PAUSE_MIN,
    TRIAL_SECONDS_MAX,
    Circuit,
    CircuitState,
)

NOON = datetime(2026, 3, 9, 4, tzinfo=UTC)


def opened() -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES_MAX):
        circuit = circuit.failed(NOON)
    return circuit


def test_one_failure_less_than_the_most_leaves_the_circuit_closed() -> None:
    circuit = Circuit()
    for _ in range(FAILURES_MAX - 1):
        circuit = circuit.failed(NOON)
    assert circuit.state is CircuitState.CLOSED
    assert circuit.admit(NOON) == circuit


def test_an_answer_forgives_the_failures_before_it() -> None:
    circuit = Circuit().failed(NOON).answered()
    assert circuit.untroubled


def test_an_open_circuit_lets_nobody_call_until_its_pause_is_over() -> None:
    circuit = opened()
    assert circuit.state is CircuitState.OPEN
    assert circuit.admit(NOON + PAUSE_MIN - timedelta(microseconds=1)) is None
    assert circuit.admit(NOON + PAUSE_MIN) is not None


def test_after_the_pause_one_call_is_let_through_and_no_second() -> None:
    trial = opened().admit(NOON + PAUSE_MIN)
    assert trial is not None
    assert trial.state is CircuitState.HALF_OPEN
    assert trial.admit(NOON + PAUSE_MIN + timedelta(seconds=1)) is None


def test_a_trial_whose_worker_died_is_followed_by_another() -> None:
    trial = opened().admit(NOON + PAUSE_MIN)
    assert trial is not None
    assert trial.admit(NOON + PAUSE_MIN + TRIAL_SECONDS_MAX) is not None


def test_a_trial_that_is_answered_closes_the_circuit() -> None:
    trial = opened().admit(NOON + PAUSE_MIN)
    assert trial is not None
    assert trial.answered() == Circuit()


@pytest.mark.parametrize("trials", [1, 2, 4, 30])
def test_each_trial_that_fails_doubles_the_pause_up_to_the_longest(trials: int) -> None:
    circuit, now = opened(), NOON
    for _ in range(trials):
        assert circuit.next_call_at is not None
        now = circuit.next_call_at
        trial = circuit.admit(now)
        assert trial is not None
        circuit = trial.failed(now)
    assert circuit.next_call_at is not None
    assert circuit.next_call_at - now == min(PAUSE_MAX, PAUSE_MIN * 2**trials)


def test_a_failure_that_is_told_late_does_not_lengthen_the_pause() -> None:
    circuit = opened()
    assert circuit.failed(NOON + timedelta(seconds=3)) == circuit
