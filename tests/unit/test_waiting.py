"""How long a request may wait before who is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.waiting import (
    WAITING_SECTION,
    Escalation,
    WaitingRules,
    escalation_due,
    parse_waiting,
    waiting_since,
)

ASKED = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
RULES = WaitingRules((40, 30, 20, 10), (80, 60, 40, 20), ahead_minutes=1_440)


@pytest.mark.parametrize("urgency", range(4))
def test_the_grid_leader_is_told_to_the_minute_and_the_coordinator_later(urgency: int) -> None:
    leader, coordinator = RULES.grid_leader_minutes[urgency], RULES.coordinator_minutes[urgency]
    for minutes, due in (
        (0, Escalation.NONE),
        (leader - 1, Escalation.NONE),
        (leader, Escalation.GRID_LEADER),
        (coordinator - 1, Escalation.GRID_LEADER),
        (coordinator, Escalation.COORDINATOR),
    ):
        assert escalation_due(ASKED, urgency, ASKED + timedelta(minutes=minutes), RULES) is due


@given(st.integers(0, 3), st.integers(0, 200), st.integers(0, 200))
def test_the_longer_it_waits_the_higher_it_stands(urgency: int, minutes: int, more: int) -> None:
    sooner = escalation_due(ASKED, urgency, ASKED + timedelta(minutes=minutes), RULES)
    assert sooner <= escalation_due(ASKED, urgency, ASKED + timedelta(minutes=minutes + more), RULES)


def test_what_is_asked_for_a_far_day_waits_only_when_that_day_is_near() -> None:
    soon, far = ASKED + timedelta(hours=5), ASKED + timedelta(days=9)
    assert waiting_since(ASKED, soon, RULES) == ASKED
    assert waiting_since(ASKED, far, RULES) == far - timedelta(days=1)


def test_a_policy_that_does_not_mention_waiting_has_the_usual_clock() -> None:
    assert parse_waiting({}) == WaitingRules() == parse_waiting({"waiting": WAITING_SECTION})


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"grid_leader_minutes": [1, 2, 3]}, "waiting.grid_leader_minutes"),
        ({"grid_leader_minutes": [0, 1, 1, 1]}, "waiting.grid_leader_minutes"),
        ({"coordinator_minutes": [1_440, 1_440, 360, 60]}, "waiting.coordinator_minutes"),
        ({"ahead_minutes": None}, "waiting.ahead_minutes"),
        ({"ahead": 1}, "waiting.ahead"),
    ],
)
def test_a_clock_that_cannot_be_is_refused_by_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_waiting({"waiting": WAITING_SECTION | changed})
    assert refused.value.field == field
