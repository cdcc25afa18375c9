"""Rings in a graph of flows: none, many, too many."""

from __future__ import annotations

from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit import circles
from services.audit.views import Flow


def flow(giver: int, taker: int, milli_points: int = 1_000) -> Flow:
    return Flow(UUID(int=giver), UUID(int=taker), 1, milli_points, 60, 1)


def members(ring: circles.Ring) -> list[int]:
    return [each.int for each in ring.members]


def test_a_chain_and_a_star_have_no_rings() -> None:
    chain = [flow(each, each + 1) for each in range(1, 50)]
    star = [flow(100, each) for each in range(101, 150)]
    assert circles.rings([*chain, *star]).rings == ()


def test_rings_are_told_the_strongest_first_from_their_lowest_member() -> None:
    found = circles.rings(
        [flow(2, 1, 500), flow(1, 2, 9_000), flow(5, 3, 2_000), flow(3, 4, 3_000), flow(4, 5, 4_000)]
    )
    assert [members(each) for each in found.rings] == [[3, 4, 5], [1, 2]]
    assert [each.milli_points for each in found.rings] == [2_000, 500]
    assert [each.milli_points for each in found.rings[0].flows] == [3_000, 4_000, 2_000]
    assert found.complete


def test_of_too_many_rings_the_strongest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "RINGS_EXAMINED_MAX", 40)
    everybody = range(1, 9)  # 28 pairs, 112 rings of three, 420 of four
    flows = [
        flow(one, other, 10_000 - 100 * max(one, other))
        for one in everybody
        for other in everybody
        if one != other
    ]
    found = circles.rings(flows)
    assert not found.complete
    assert 0 < len(found.rings) <= 40
    assert members(found.rings[0]) == [1, 2]
    monkeypatch.setattr(circles, "RINGS_EXAMINED_MAX", 10_000)
    every = circles.rings(flows)
    assert every.complete
    assert len(every.rings) == 28 + 112 + 420
    least = found.rings[-1].milli_points
    assert {each.members for each in every.rings if each.milli_points > least} <= {
        each.members for each in found.rings
    }


@given(edges=st.sets(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=18))
def test_every_ring_is_found_once_and_nothing_else(edges: set[tuple[int, int]]) -> None:
    expected = {
        around
        for length in (2, 3, 4)
        for around in permutations(range(1, 7), length)
        if around[0] == min(around)
        and all(pair in edges for pair in zip(around, (*around[1:], around[0]), strict=True))
    }
    found = [tuple(members(each)) for each in circles.rings([flow(*edge) for edge in edges]).rings]
    assert len(found) == len(expected)
    assert set(found) == expected
