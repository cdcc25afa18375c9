"""Visits: their minutes, their steps, and who may confirm them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.visit import (
    STRENGTH,
    ConfirmationMethod,
    ConfirmedByThePaid,
    VisitState,
    minutes_between,
    require_check_in,
    require_check_out,
    require_confirmation,
)

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
VOLUNTEER, ELDER = UUID(int=1), UUID(int=2)


@given(st.integers(min_value=60, max_value=24 * 3600 + 59))
def test_begun_minutes_do_not_count(seconds: int) -> None:
    assert minutes_between(NOON, NOON + timedelta(seconds=seconds)) == seconds // 60


@pytest.mark.parametrize(
    ("lasts", "rule"),
    [
        (timedelta(0), "after_check_in"),
        (timedelta(minutes=-5), "after_check_in"),
        (timedelta(seconds=59), "at_least_a_minute"),
        (timedelta(hours=24, minutes=1), "within_24_hours"),
    ],
)
def test_a_visit_lasts_from_a_minute_to_a_day(lasts: timedelta, rule: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        minutes_between(NOON, NOON + lasts)
    assert refused.value.facts() == {"field": "checked_out", "rule": rule}


def test_minutes_are_the_same_in_any_timezone_and_unknown_without_one() -> None:
    out = (NOON + timedelta(minutes=45)).astimezone(timezone(timedelta(hours=8)))
    assert minutes_between(NOON, out) == 45
    with pytest.raises(InvalidValue) as refused:
        minutes_between(NOON, out.replace(tzinfo=None))
    assert refused.value.rule == "timezone"


def test_check_in_opens_two_hours_before_and_stays_open() -> None:
    for early in (timedelta(hours=2), timedelta(0), timedelta(hours=-9)):
        require_check_in(VisitState.PLANNED, NOON, now=NOON - early)
    with pytest.raises(InvalidValue) as refused:
        require_check_in(VisitState.PLANNED, NOON, now=NOON - timedelta(hours=2, seconds=1))
    assert refused.value.rule == "not_yet"


@pytest.mark.parametrize("state", list(VisitState))
def test_each_step_is_taken_from_one_state_only(state: VisitState) -> None:
    steps: dict[VisitState, Callable[[], None]] = {
        VisitState.PLANNED: lambda: require_check_in(state, NOON, now=NOON),
        VisitState.UNDER_WAY: lambda: require_check_out(state),
        VisitState.DONE: lambda: require_confirmation(state, volunteer=VOLUNTEER, confirmer=ELDER),
    }
    for right, step in steps.items():
        late = right is VisitState.PLANNED and state is VisitState.NO_SHOW_VOLUNTEER
        if state is right or late:
            step()
        else:
            with pytest.raises(WrongState) as refused:
                step()
            assert refused.value.state == state


def test_who_is_paid_may_not_confirm() -> None:
    with pytest.raises(ConfirmedByThePaid):
        require_confirmation(VisitState.DONE, volunteer=VOLUNTEER, confirmer=VOLUNTEER)


def test_every_method_has_a_strength_and_the_elders_own_word_is_strongest() -> None:
    assert set(STRENGTH) == set(ConfirmationMethod)
    assert max(STRENGTH, key=STRENGTH.__getitem__) is ConfirmationMethod.ELDER
    assert min(STRENGTH, key=STRENGTH.__getitem__) is ConfirmationMethod.RECORD
