"""A hold ends once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain import accounts
from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.hold import Hold, HoldExpired, HoldState
from pointsbank.domain.points import MilliPoints
from tests.ledgers import NOON, origin

MEMBER, CANTEEN = UUID(int=1), UUID(int=2)
LATER = NOON + timedelta(hours=1)


def hold(amount: int = 100, **changes: Any) -> Hold:
    return Hold(
        id=UUID(int=3),
        member=MEMBER,
        partner=CANTEEN,
        amount=MilliPoints(amount),
        expires_at=LATER,
        **changes,
    )


ENDINGS: list[Callable[[Hold], object]] = [
    lambda h: h.capture(h.amount, origin(), at=NOON),
    lambda h: h.void(origin(), at=NOON),
    lambda h: h.expire(origin(), at=LATER),
]


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("state", [HoldState.CAPTURED, HoldState.VOIDED, HoldState.EXPIRED])
def test_a_hold_that_has_ended_stays_as_it_is(end: Callable[[Hold], object], state: HoldState) -> None:
    with pytest.raises(WrongState):
        end(hold(state=state))


def test_expiry_is_held_against_when_we_were_told() -> None:
    told = LATER - timedelta(microseconds=1)
    captured, entry = hold().capture(MilliPoints(100), origin(), at=LATER, told_at=told)
    assert (captured.state, entry.occurred_at) == (HoldState.CAPTURED, told)
    with pytest.raises(HoldExpired):
        hold().capture(MilliPoints(100), origin(), at=LATER, told_at=LATER)


@given(st.integers(1, 10**9).flatmap(lambda amount: st.tuples(st.just(amount), st.integers(1, amount))))
def test_a_capture_pays_its_part_and_releases_exactly_the_rest(amounts: tuple[int, int]) -> None:
    amount, captured = amounts
    ended, entry = hold(amount).capture(MilliPoints(captured), origin(), at=NOON)
    legs: Counter[accounts.AccountCode] = Counter()
    for leg in entry.postings:
        legs[leg.account] += leg.amount
    assert legs[accounts.held(MEMBER)] == -amount
    assert legs[accounts.partner_earned(CANTEEN)] == captured
    assert legs[accounts.available(MEMBER)] == amount - captured
    assert (ended.state, ended.captured) == (HoldState.CAPTURED, captured)


@pytest.mark.parametrize("amount", [0, -1, 101])
def test_no_more_can_be_captured_than_was_held_and_no_less_than_something(amount: int) -> None:
    with pytest.raises(InvalidValue, match="within_hold"):
        hold(100).capture(MilliPoints(amount), origin(), at=NOON)


def test_an_expired_hold_cannot_be_captured() -> None:
    with pytest.raises(HoldExpired):
        hold().capture(MilliPoints(1), origin(), at=LATER)


def test_a_hold_cannot_expire_before_its_time() -> None:
    with pytest.raises(InvalidValue, match="not_yet_expired"):
        hold().expire(origin(), at=NOON)


def test_every_ending_uses_one_key_so_that_the_ledger_records_one() -> None:
    keys = {
        hold().capture(MilliPoints(5), origin(), at=NOON)[1].key,
        hold().void(origin(), at=NOON)[1].key,
        hold().expire(origin(), at=LATER)[1].key,
    }
    assert len(keys) == 1
    assert hold().opening(origin(), at=NOON).key not in keys


@pytest.mark.parametrize("amount", [0, -5])
def test_nothing_cannot_be_held(amount: int) -> None:
    with pytest.raises(InvalidValue, match="above_zero"):
        hold(amount)
