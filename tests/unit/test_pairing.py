"""Pairing: feasible, nearest first, the same plan for the same input."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.grid import GridDistance, default_grid_plan
from pointsbank.domain.pairing import (
    Blocked,
    FreeVolunteer,
    NearestFirst,
    OpenRequest,
    Pair,
    PairingPlan,
    Period,
)

GRIDS = default_grid_plan()
NINE = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAY = Period(NINE - timedelta(hours=9), NINE + timedelta(hours=15))


def period(from_hour: float, hours: float = 1) -> Period:
    start = NINE + timedelta(hours=from_hour)
    return Period(start, start + timedelta(hours=hours))


def request(number: int, grid: int = 6, at: Period | None = None, urgency: int = 0) -> OpenRequest:
    return OpenRequest(
        id=UUID(int=number),
        elder=UUID(int=1000 + number),
        small_grid=grid,
        period=at or period(0),
        asked_at=NINE - timedelta(days=1),
        urgency=urgency,
    )


def volunteer(number: int, grid: int = 6) -> FreeVolunteer:
    return FreeVolunteer(id=UUID(int=number), small_grid=grid, free=(DAY,))


def plan(requests: list[OpenRequest], volunteers: list[FreeVolunteer]) -> PairingPlan:
    return NearestFirst().plan(requests, volunteers, GRIDS)


def chosen(requests: list[OpenRequest], volunteers: list[FreeVolunteer]) -> dict[int, int]:
    return {pair.request.int: pair.volunteer.int for pair in plan(requests, volunteers).pairs}


def test_the_same_small_grid_comes_before_the_same_big_grid_before_a_neighbour() -> None:
    same_small, same_big, neighbour, far = (
        volunteer(n, grid) for n, grid in ((4, 6), (3, 8), (2, 10), (1, 16))
    )
    crowd = [far, neighbour, same_big, same_small]
    assert plan([request(1)], crowd).pairs == (Pair(UUID(int=1), same_small.id, GridDistance.SAME_SMALL),)
    assert chosen([request(1)], crowd[:3]) == {1: 3}
    assert chosen([request(1)], crowd[:2]) == {1: 2}
    assert chosen([request(1)], crowd[:1]) == {}


def test_the_most_urgent_request_is_served_first_and_then_the_soonest() -> None:
    requests = [request(1, at=period(1)), request(2, at=period(0.5)), request(3, at=period(1), urgency=3)]
    assert chosen(requests, [volunteer(9)]) == {3: 9}
    assert chosen(requests[:2], [volunteer(9)]) == {2: 9}


def test_among_equals_the_one_with_the_least_work_goes() -> None:
    requests = [request(number, at=period(number)) for number in range(4)]
    given_to = chosen(requests, [volunteer(8), volunteer(9)])
    assert sorted(given_to.values()) == [8, 8, 9, 9]


def test_periods_that_only_touch_do_not_overlap() -> None:
    assert not period(0).overlaps(period(1))
    assert chosen([request(1, at=period(0)), request(2, at=period(1))], [volunteer(9)]) == {1: 9, 2: 9}


@pytest.mark.parametrize(
    ("reason", "asked", "free"),
    [
        (Blocked.ONESELF, replace(request(1), elder=UUID(int=9)), volunteer(9)),
        (Blocked.EXCLUDED, replace(request(1), excluded=frozenset({UUID(int=9)})), volunteer(9)),
        (Blocked.TOO_FAR, request(1), volunteer(9, grid=16)),
        (Blocked.NO_SKILL, replace(request(1), skill="escort"), volunteer(9)),
        (Blocked.NOT_FREE, request(1), replace(volunteer(9), free=(period(0, 0.9), period(0.9, 5)))),
        (Blocked.ALREADY_PROMISED, request(1), replace(volunteer(9), busy=(period(0.9),))),
    ],
)
def test_who_cannot_go_is_not_sent_and_the_reason_is_counted(
    reason: Blocked, asked: OpenRequest, free: FreeVolunteer
) -> None:
    found = plan([asked], [free, replace(free, id=free.id)])
    assert found.pairs == ()
    assert [unpaired.blocked for unpaired in found.unpaired] == [{reason: 2}]


def test_a_request_that_nobody_was_there_for_is_told_with_no_reason() -> None:
    assert [unpaired.blocked for unpaired in plan([request(1)], []).unpaired] == [{}]


hours = st.integers(0, 12).map(float)
spans = st.builds(period, hours, st.sampled_from([0.5, 1.0, 3.0]))
ids = st.integers(1, 12).map(lambda number: UUID(int=number))
skills = st.sampled_from(["escort", "repair"])
requests_to_pair = st.lists(
    st.builds(
        OpenRequest,
        id=st.uuids(version=4),
        elder=ids,
        small_grid=st.integers(1, 16),
        period=spans,
        asked_at=st.just(NINE),
        urgency=st.integers(0, 3),
        skill=st.none() | skills,
        excluded=st.frozensets(ids, max_size=3),
    ),
    max_size=12,
    unique_by=lambda request: request.id,
)
volunteers_to_send = st.lists(
    st.builds(
        FreeVolunteer,
        id=ids,
        small_grid=st.integers(1, 16),
        free=st.lists(spans, max_size=3).map(tuple) | st.just((DAY,)),
        busy=st.lists(spans, max_size=2).map(tuple),
        skills=st.frozensets(skills),
    ),
    max_size=8,
    unique_by=lambda volunteer: volunteer.id,
)


@given(requests_to_pair, volunteers_to_send)
def test_every_plan_is_feasible_and_complete(
    requests: list[OpenRequest], volunteers: list[FreeVolunteer]
) -> None:
    found = plan(requests, volunteers)
    told = [pair.request for pair in found.pairs] + [unpaired.request for unpaired in found.unpaired]
    assert sorted(told) == sorted(request.id for request in requests)
    by_request = {request.id: request for request in requests}
    by_volunteer = {volunteer.id: volunteer for volunteer in volunteers}
    promised: dict[UUID, list[Period]] = {volunteer.id: list(volunteer.busy) for volunteer in volunteers}
    for pair in found.pairs:
        asked, sent = by_request[pair.request], by_volunteer[pair.volunteer]
        assert sent.id != asked.elder
        assert sent.id not in asked.excluded
        assert asked.skill is None or asked.skill in sent.skills
        assert any(free.start <= asked.period.start and asked.period.end <= free.end for free in sent.free)
        assert pair.distance is GRIDS.distance(sent.small_grid, asked.small_grid) is not GridDistance.FAR
        assert not any(asked.period.overlaps(other) for other in promised[sent.id])
        promised[sent.id].append(asked.period)
    for unpaired in found.unpaired:
        assert sum(unpaired.blocked.values()) == len(volunteers)


@given(requests_to_pair, volunteers_to_send, st.randoms(use_true_random=False))
def test_the_order_in_which_people_are_listed_decides_nothing(
    requests: list[OpenRequest], volunteers: list[FreeVolunteer], random: object
) -> None:
    shuffled_requests, shuffled_volunteers = list(requests), list(volunteers)
    random.shuffle(shuffled_requests)  # type: ignore[attr-defined]
    random.shuffle(shuffled_volunteers)  # type: ignore[attr-defined]
    assert plan(requests, volunteers) == plan(shuffled_requests, shuffled_volunteers)


@given(requests_to_pair, volunteers_to_send)
def test_nobody_who_could_still_go_is_left_at_home(
    requests: list[OpenRequest], volunteers: list[FreeVolunteer]
) -> None:
    found = plan(requests, volunteers)
    waiting = {unpaired.request for unpaired in found.unpaired}
    by_request = {request.id: request for request in requests}
    busy = {
        volunteer.id: (
            *volunteer.busy,
            *(by_request[pair.request].period for pair in found.pairs if pair.volunteer == volunteer.id),
        )
        for volunteer in volunteers
    }
    after = [replace(volunteer, busy=busy[volunteer.id]) for volunteer in volunteers]
    assert plan([request for request in requests if request.id in waiting], after).pairs == ()
