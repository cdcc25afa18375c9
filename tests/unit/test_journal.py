"""Journal entries cannot be built wrong."""

from __future__ import annotations

from dataclasses import replace
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import FLOOR_NONE, AccountCode, AccountKind, Commodity
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import EntryKind, Transfer, entry_id, journal_entry, taken_back
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import Earning
from pointsbank.platform.ids import uuid7
from tests.ledgers import NOBODY, NOON, entry, origin

A, B = accounts.available(UUID(int=1)), accounts.available(UUID(int=2))
MINUTES = accounts.service(UUID(int=1))


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6))
def test_every_entry_balances_in_every_commodity(amounts: list[int]) -> None:
    made = entry("k", [Transfer(A, B, amount) for amount in amounts])
    assert sum(posting.amount for posting in made.postings) == 0
    assert len(made.postings) == 2 * len(amounts)


def test_a_transfer_moves_one_commodity_between_two_accounts() -> None:
    with pytest.raises(InvalidValue, match="one_commodity"):
        Transfer(A, MINUTES, 5)
    with pytest.raises(InvalidValue, match="two_accounts"):
        Transfer(A, A, 5)


def test_only_points_of_a_member_expire() -> None:
    with pytest.raises(InvalidValue, match="points_of_a_member"):
        Transfer(accounts.issuance(Commodity.MINUTE), MINUTES, 5, expires_on=NOON.date())


def test_an_entry_has_a_transfer_and_not_too_many() -> None:
    with pytest.raises(InvalidValue, match="count"):
        entry("k", [])
    with pytest.raises(InvalidValue, match="count"):
        entry("k", [Transfer(A, B, 1)] * 65)


@pytest.mark.parametrize("amount", [True, 1.0, float("nan"), "1"])
def test_a_transfer_takes_only_a_whole_amount(amount: int) -> None:
    with pytest.raises(InvalidValue, match="whole_number"):
        Transfer(A, B, amount)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_goes_one_way(amount: int) -> None:
    with pytest.raises(InvalidValue, match="above_zero"):
        Transfer(A, B, amount)


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_an_entry_has_a_key_of_bounded_length(key: str) -> None:
    with pytest.raises(InvalidValue, match="length"):
        entry(key, [Transfer(A, B, 1)])


def test_an_entry_happened_at_a_moment_with_a_timezone() -> None:
    with pytest.raises(InvalidValue, match="timezone"):
        replace(entry("k", [Transfer(A, B, 1)]), occurred_at=NOON.replace(tzinfo=None))


def test_only_a_reversal_cites_an_entry_and_it_must() -> None:
    moved = [Transfer(A, B, 1)]
    with pytest.raises(InvalidValue, match="only_reversals"):
        journal_entry(EntryKind.HOLD, moved, origin=origin(), key="k", occurred_at=NOON, reverses=3)
    with pytest.raises(InvalidValue, match="only_reversals"):
        journal_entry(EntryKind.REVERSAL, moved, origin=origin(), key="k", occurred_at=NOON)


def test_a_retry_built_later_asks_for_the_same() -> None:
    first = entry("k", [Transfer(A, B, 1)])
    later = replace(first, occurred_at=NOON.replace(hour=9))
    assert later.asks_the_same(first)


@pytest.mark.parametrize("other", [[Transfer(A, B, 2)], [Transfer(B, A, 1)], [Transfer(A, B, 1)] * 2])
def test_another_request_does_not_ask_for_the_same(other: list[Transfer]) -> None:
    assert not entry("k", other).asks_the_same(entry("k", [Transfer(A, B, 1)]))


def test_a_key_decides_the_id_and_a_documents_time_leads_it() -> None:
    early, late = uuid7(), uuid7()
    assert entry_id(f"hold:{early}:open") == entry_id(f"hold:{early}:open")
    assert entry_id(f"hold:{early}:open") != entry_id(f"hold:{early}:end")
    made = entry_id(f"hold:{early}:open")
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == early.int >> 80
    assert entry_id("no-document").version == 8
    assert entry_id(f"visit:{early}").int >> 80 <= entry_id(f"visit:{late}").int >> 80


def test_a_reversal_takes_back_what_was_given() -> None:
    original = entry("k", [Transfer(A, B, 7)])
    back = [taken_back(transfer) for transfer in original.transfers]
    mirrored = journal.reversal(9, back, origin=original.origin, occurred_at=NOON)
    assert mirrored.transfers == (Transfer(B, A, 7),)
    assert mirrored.reverses == 9
    assert taken_back(original.transfers[0], 3).amount == 3


def test_only_captures_and_voids_end_a_hold_and_they_must() -> None:
    with pytest.raises(InvalidValue, match="only_captures_and_voids"):
        replace(entry("k", [Transfer(A, B, 1)], kind=EntryKind.VOID), ends_hold=None)
    with pytest.raises(InvalidValue, match="only_captures_and_voids"):
        replace(entry("k", [Transfer(A, B, 1)]), ends_hold=UUID(int=1))


def test_an_account_holds_only_its_kinds_commodity() -> None:
    with pytest.raises(ValueError, match="holds no FEN"):
        AccountCode(AccountKind.MEMBER_AVAILABLE, UUID(int=1), Commodity.FEN)


def test_no_members_account_may_go_below_zero() -> None:
    below = {kind for kind in AccountKind if accounts.floor_of(kind) == FLOOR_NONE}
    partners = {AccountKind.PARTNER_EARNED, AccountKind.PARTNER_RECEIVABLE}  # until a refund is corrected
    assert below == {AccountKind.ISSUANCE, AccountKind.SUBSIDY_FUND} | partners


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
