"""Fairness: figures by nearest rank, warnings only where chance does not explain them, load."""

from __future__ import annotations

import pytest

from pointsbank.domain.fairness import (
    RATE_BELOW_PERMILLE,
    REQUESTS_MIN,
    WAIT_TIMES,
    AgeBand,
    Asking,
    Fairness,
    Gap,
    age_band,
    fairness,
    load,
)


def asked(
    count: int,
    *,
    grid: int = 1,
    waited: int = 60,
    visited: bool = True,
    due: bool = True,
    kind: str = "shopping",
    band: AgeBand = AgeBand.SEVENTIES,
) -> list[Asking]:
    return [Asking(grid, band, kind, waited, due, visited)] * count


def report(*askings: list[Asking]) -> Fairness:
    every = [asking for some in askings for asking in some]
    return fairness(every, [], grids=[1, 2, 3], kinds=["shopping"])


@pytest.mark.parametrize(
    ("age", "band"),
    [(69, "under_70"), (70, "from_70"), (79, "from_70"), (80, "from_80"), (89, "from_80"), (90, "from_90")],
)
def test_ages_are_cut_at_seventy_eighty_and_ninety(age: int, band: str) -> None:
    assert age_band(age) == band


def test_an_unknown_birthday_is_a_band_of_its_own_told_only_where_it_occurs() -> None:
    assert age_band(None) is AgeBand.UNKNOWN
    assert AgeBand.UNKNOWN not in [group.key for group in report(asked(1)).bands]
    assert AgeBand.UNKNOWN in [group.key for group in report(asked(1, band=AgeBand.UNKNOWN)).bands]


def test_waiting_is_told_by_nearest_rank() -> None:
    every = [asking for minutes in range(1, 12) for asking in asked(1, waited=minutes)]
    community = report(every).community
    assert (community.median, community.ninetieth, community.longest) == (6, 10, 11)
    two = report(asked(1, waited=10), asked(1, waited=30)).community
    assert (two.median, two.ninetieth, two.longest) == (10, 30, 30)


def test_the_rate_counts_only_requests_whose_time_has_come() -> None:
    community = report(asked(2), asked(1, visited=False), asked(5, due=False, visited=False)).community
    assert (community.requests, community.due, community.visited, community.rate) == (8, 3, 2, 666)


def test_a_grid_nobody_asked_from_is_told_with_nothing() -> None:
    (_, second, _) = report(asked(1)).grids
    assert (second.key, second.service.requests, second.service.rate, second.service.median) == (
        2,
        0,
        None,
        None,
    )


def test_a_grid_that_is_seldom_visited_is_left_behind_from_the_least_number_on() -> None:
    served = asked(1_000, grid=1)

    def gaps(count: int) -> tuple[Gap, ...]:
        return report(served, asked(count, grid=2, visited=False)).grids[1].left_behind

    assert gaps(REQUESTS_MIN - 1) == ()
    assert gaps(REQUESTS_MIN) == (Gap.RATE,)


def test_a_rate_is_left_behind_only_beyond_the_distance() -> None:
    tolerated = 1_000 * (1_000 - RATE_BELOW_PERMILLE) // 1_000

    def gaps(visited: int) -> tuple[Gap, ...]:
        missed = asked(1_000 - visited, grid=2, visited=False)
        # So many served elsewhere that the community's rate rounds down to 999.
        return report(asked(999_000, grid=1), asked(visited, grid=2), missed).grids[1].left_behind

    assert gaps(tolerated) == ()
    assert gaps(tolerated - 2) == (Gap.RATE,)


def test_waiting_more_than_so_many_times_the_usual_is_left_behind() -> None:
    def gaps(waited: int) -> tuple[Gap, ...]:
        every = report(asked(100, grid=1, waited=60), asked(REQUESTS_MIN, grid=2, waited=waited))
        return every.grids[1].left_behind

    assert gaps(60 * WAIT_TIMES) == ()
    assert gaps(60 * WAIT_TIMES + 1) == (Gap.WAITING,)


def test_bands_and_kinds_are_named_too() -> None:
    found = report(
        asked(100),
        asked(20, kind="repair", band=AgeBand.NINETY_UP, visited=False),
    )
    behind = [group.key for group in (*found.bands, *found.kinds) if group.left_behind]
    assert behind == [AgeBand.NINETY_UP, "repair"]
    assert found.left_behind
    assert not report(asked(100)).left_behind


def test_a_kind_the_policy_no_longer_names_is_told_last() -> None:
    assert [group.key for group in report(asked(1, kind="ironing")).kinds] == ["shopping", "ironing"]


def test_load_tells_the_busiest_tenth_the_idle_and_the_unevenness() -> None:
    told = load([(0, 0)] * 5 + [(1, 60)] * 5 + [(5, 700)])
    assert (told.volunteers, told.visits, told.minutes, told.idle) == (11, 10, 1_000, 5)
    assert (told.busiest, told.busiest_share) == (2, 760)
    # Ranks 6 to 10 at 60 and 11 at 700: 2 · (60 · 40 + 7 700) − 12 · 1 000 over 11 · 1 000.
    assert told.gini == 745


def test_load_that_is_the_same_for_all_is_even_and_no_load_is_nothing() -> None:
    assert load([(1, 30)] * 7).gini == 0
    assert (load([]).gini, load([]).busiest_share, load([(0, 0)]).idle) == (0, 0, 1)
