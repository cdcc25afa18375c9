"""What a member may order, and what a partner's word does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.policy import Item
from pointsbank.domain.redemption import (
    AHEAD_DAYS_MAX,
    ENDED,
    HOLD_GRACE,
    QUANTITY_MAX,
    DailyLimitReached,
    PartnerWord,
    RedemptionState,
    advance,
    hear,
    hold_until,
    require_order,
)

TODAY = date(2026, 3, 9)
LUNCH = Item("canteen", "lunch_set", MilliPoints(10_000), Fen(1_200), daily_limit=2)


def order(*, quantity: int = 1, taken: int = 0, day: date = TODAY) -> None:
    require_order(LUNCH, quantity=quantity, taken=taken, day=day, today=TODAY)


def test_a_member_may_order_up_to_the_daily_limit() -> None:
    order(quantity=2)
    order(quantity=1, taken=1)


def test_one_more_than_the_daily_limit_is_refused_with_its_facts() -> None:
    with pytest.raises(DailyLimitReached) as refused:
        order(quantity=2, taken=1)
    assert refused.value.facts() == {"item": "lunch_set", "limit": 2, "taken": 1}


@pytest.mark.parametrize("quantity", [0, -1, QUANTITY_MAX + 1, True, 1.0])
def test_a_quantity_that_is_no_number_of_meals_is_refused(quantity: int) -> None:
    with pytest.raises(InvalidValue) as refused:
        order(quantity=quantity)
    assert refused.value.field == "quantity"


@pytest.mark.parametrize("days", [-1, AHEAD_DAYS_MAX + 1])
def test_a_day_past_or_too_far_ahead_is_refused(days: int) -> None:
    with pytest.raises(InvalidValue) as refused:
        order(day=TODAY + timedelta(days=days))
    assert refused.value.field == "business_date"


def test_the_last_day_that_can_be_ordered_for_is_taken() -> None:
    order(day=TODAY + timedelta(days=AHEAD_DAYS_MAX))


def test_a_hold_never_ends_before_its_business_day_is_over() -> None:
    now = datetime(2026, 3, 9, 4, tzinfo=UTC)
    day_ends = now + timedelta(days=5)
    assert hold_until(now, day_ends=day_ends, hold_hours=1) == day_ends + HOLD_GRACE
    assert hold_until(now, day_ends=now, hold_hours=48) == now + timedelta(hours=48)


@pytest.mark.parametrize("ended", sorted(ENDED))
@pytest.mark.parametrize("word", list(PartnerWord))
def test_no_word_undoes_an_ending(ended: RedemptionState, word: PartnerWord) -> None:
    assert hear(ended, word) is None


@pytest.mark.parametrize("word", list(PartnerWord))
def test_any_word_may_overtake_the_answer_to_the_request(word: PartnerWord) -> None:
    assert hear(RedemptionState.REQUESTED, word) == RedemptionState(word)


def test_an_acceptance_heard_twice_changes_nothing() -> None:
    assert hear(RedemptionState.ACCEPTED, PartnerWord.ACCEPTED) is None


def test_a_partner_that_takes_back_its_acceptance_has_cancelled() -> None:
    assert hear(RedemptionState.ACCEPTED, PartnerWord.REFUSED) is RedemptionState.CANCELLED


def test_a_fulfilled_redemption_cannot_be_cancelled() -> None:
    with pytest.raises(WrongState):
        advance(RedemptionState.FULFILLED, RedemptionState.CANCELLED)
