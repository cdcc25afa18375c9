"""The life and the times of a help request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.help_request import NEXT, RequestState, advance, require_time

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
ENDS = (RequestState.POSTED, RequestState.CANCELLED, RequestState.EXPIRED)


@pytest.mark.parametrize("state", list(RequestState))
@pytest.mark.parametrize("to", list(RequestState))
def test_a_request_goes_only_where_its_life_leads(state: RequestState, to: RequestState) -> None:
    if to in NEXT[state]:
        assert advance(state, to) is to
    else:
        with pytest.raises(WrongState) as refused:
            advance(state, to)
        assert (refused.value.state, refused.value.action) == (state, to)


def test_the_straight_way_leads_from_open_to_posted() -> None:
    state = RequestState.OPEN
    for to in ("offered", "accepted", "under_way", "done", "posted"):
        state = advance(state, RequestState(to))
    assert state is RequestState.POSTED


@pytest.mark.parametrize("end", ENDS)
def test_what_has_ended_goes_nowhere(end: RequestState) -> None:
    assert NEXT[end] == frozenset()


def test_help_that_has_begun_cannot_be_cancelled() -> None:
    begun = [state for state in RequestState if RequestState.CANCELLED not in NEXT[state]]
    assert begun == [RequestState.UNDER_WAY, RequestState.DONE, *ENDS]


@pytest.mark.parametrize(
    ("starts_in", "minutes"),
    [(timedelta(0), 10), (timedelta(days=60), 720), (timedelta(hours=1), 60)],
)
def test_the_bounds_of_time_are_inside(starts_in: timedelta, minutes: int) -> None:
    require_time(NOW + starts_in, minutes, now=NOW)


@pytest.mark.parametrize(
    ("starts_in", "minutes", "field", "rule"),
    [
        (timedelta(seconds=-1), 60, "starts_at", "in_the_future"),
        (timedelta(days=60, seconds=1), 60, "starts_at", "within_60_days"),
        (timedelta(hours=1), 9, "minutes", "between_10_and_720"),
        (timedelta(hours=1), 721, "minutes", "between_10_and_720"),
        (timedelta(hours=1), True, "minutes", "between_10_and_720"),
        (timedelta(hours=1), 60.0, "minutes", "between_10_and_720"),
    ],
)
def test_time_out_of_bounds_is_refused_by_name(
    starts_in: timedelta, minutes: int, field: str, rule: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_time(NOW + starts_in, minutes, now=NOW)
    assert refused.value.facts() == {"field": field, "rule": rule}


def test_a_time_without_a_timezone_is_refused() -> None:
    with pytest.raises(InvalidValue) as refused:
        require_time((NOW + timedelta(hours=1)).replace(tzinfo=None), 60, now=NOW)
    assert refused.value.rule == "timezone"
