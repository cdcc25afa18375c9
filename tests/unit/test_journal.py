"""Journal entries cannot be built wrong."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import FLOOR_NONE, AccountCode, AccountKind, Commodity
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import EntryKind, Posting, Unbalanced, journal_entry, transfer
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import Earning
from tests.ledgers import NOBODY, NOON, entry, origin

A, B = accounts.available(UUID(int=1)), accounts.available(UUID(int=2))
MINUTES = accounts.service(UUID(int=1))


def test_an_unbalanced_entry_cannot_be_built() -> None:
    with pytest.raises(Unbalanced) as caught:
        entry("k", [Posting(A, 5), Posting(B, -4)])
    assert (caught.value.commodity, caught.value.difference) == ("POINT", 1)


def test_commodities_are_never_summed_together() -> None:
    with pytest.raises(Unbalanced):
        entry("k", [Posting(A, 5), Posting(MINUTES, -5)])


@given(st.lists(st.integers(-1_000, 1_000).filter(bool), min_size=1, max_size=6))
def test_an_entry_is_built_exactly_when_its_postings_sum_to_zero(amounts: list[int]) -> None:
    postings = [Posting(A, amount) for amount in amounts]
    if len(postings) >= 2 and sum(amounts) == 0:
        assert len(entry("k", postings).postings) == len(amounts)
    else:
        with pytest.raises((Unbalanced, InvalidValue)):
            entry("k", postings)


def test_an_entry_has_two_postings_or_more_and_not_too_many() -> None:
    with pytest.raises(InvalidValue, match="count"):
        entry("k", [])
    with pytest.raises(InvalidValue, match="count"):
        entry("k", [Posting(A, 1), Posting(A, -1)] * 33)


@pytest.mark.parametrize("amount", [0, True, 1.0, float("nan")])
def test_a_posting_takes_only_a_whole_amount_other_than_zero(amount: int) -> None:
    with pytest.raises(InvalidValue):
        Posting(A, amount)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_goes_one_way(amount: int) -> None:
    with pytest.raises(InvalidValue, match="above_zero"):
        transfer(A, B, amount)


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_an_entry_has_a_key_of_bounded_length(key: str) -> None:
    with pytest.raises(InvalidValue, match="length"):
        entry(key, transfer(A, B, 1))


def test_an_entry_happened_at_a_moment_with_a_timezone() -> None:
    with pytest.raises(InvalidValue, match="timezone"):
        replace(entry("k", transfer(A, B, 1)), occurred_at=NOON.replace(tzinfo=None))


def test_only_a_reversal_cites_an_entry_and_it_must() -> None:
    moved = transfer(A, B, 1)
    with pytest.raises(InvalidValue, match="only_reversals"):
        journal_entry(EntryKind.HOLD, moved, origin=origin(), key="k", occurred_at=NOON, reverses=3)
    with pytest.raises(InvalidValue, match="only_reversals"):
        journal_entry(EntryKind.REVERSAL, moved, origin=origin(), key="k", occurred_at=NOON)


def test_a_retry_built_later_asks_for_the_same() -> None:
    first = entry("k", transfer(A, B, 1))
    later = replace(first, occurred_at=NOON.replace(hour=9))
    assert first.fingerprint == later.fingerprint


@pytest.mark.parametrize("other", [transfer(A, B, 2), transfer(B, A, 1)])
def test_another_request_has_another_fingerprint(other: tuple[Posting, Posting]) -> None:
    assert entry("k", transfer(A, B, 1)).fingerprint != entry("k", other).fingerprint


def test_a_reversal_is_the_mirror_image() -> None:
    original = entry("k", transfer(A, B, 7))
    mirrored = journal.reversal(9, original.postings, origin=original.origin, occurred_at=NOON)
    assert [(leg.account, leg.amount) for leg in mirrored.postings] == [(A, 7), (B, -7)]
    assert mirrored.reverses == 9


def test_an_account_holds_only_its_kinds_commodity() -> None:
    with pytest.raises(ValueError, match="holds no FEN"):
        AccountCode(AccountKind.MEMBER_AVAILABLE, UUID(int=1), Commodity.FEN)


def test_only_issuance_and_the_fund_may_go_below_zero() -> None:
    below = {kind for kind in AccountKind if accounts.floor_of(kind) == FLOOR_NONE}
    assert below == {AccountKind.ISSUANCE, AccountKind.SUBSIDY_FUND}


def test_a_visit_earns_minutes_and_points_in_one_entry() -> None:
    volunteer = UUID(int=1)
    made = earning_entry(
        UUID(int=5),
        Earning(Minutes(60), MilliPoints(1_000)),
        volunteer=volunteer,
        confirmer=NOBODY,
        policy_version=1,
        occurred_at=NOON,
    )
    assert made is not None
    assert {(leg.account, leg.amount) for leg in made.postings} == {
        (accounts.service(volunteer), 60),
        (accounts.issuance(Commodity.MINUTE), -60),
        (accounts.available(volunteer), 1_000),
        (accounts.issuance(Commodity.POINT), -1_000),
    }


def test_a_visit_wholly_clipped_earns_no_entry() -> None:
    nothing = earning_entry(
        UUID(int=5),
        Earning(Minutes(0), MilliPoints(0), Minutes(60), MilliPoints(1_000)),
        volunteer=UUID(int=1),
        confirmer=NOBODY,
        policy_version=1,
        occurred_at=NOON,
    )
    assert nothing is None
