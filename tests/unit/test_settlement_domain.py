"""Totals, hashes, the settlement entry, and the naming of differences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.settlement import (
    DifferenceKind,
    Line,
    LineKind,
    SettledLine,
    Totals,
    content_hash,
    reconcile,
    settlement_entry,
    totals,
)

NOON = datetime(2026, 3, 9, 4, tzinfo=UTC)
BATCH, PARTNER = UUID(int=11), UUID(int=12)


def line(number: int, milli_points: int = 10_000, fen: int = 1_200) -> Line:
    return Line(UUID(int=number), MilliPoints(milli_points), Fen(fen))


books = st.dictionaries(st.integers(1, 40), st.integers(1, 3), max_size=20)


def test_totals_are_the_sums_of_the_lines() -> None:
    assert totals([line(1), line(2, 2_000, 300)]) == Totals(2, MilliPoints(12_000), Fen(1_500))


SETTLED = SettledLine(UUID(int=2), LineKind.CAPTURE, date(2026, 3, 9), MilliPoints(10_000), Fen(1_200))


@pytest.mark.parametrize(
    "changed",
    [
        {"redemption": UUID(int=3)},
        {"kind": LineKind.CORRECTION},
        {"service_date": date(2026, 3, 8)},
        {"milli_points": 9_999},
        {"fen": 1},
        {"subsidy_fen": 1},
        {"cash_fen": 1},
    ],
)
def test_the_hash_changes_with_anything_in_a_line(changed: dict[str, Any]) -> None:
    assert content_hash([SETTLED]) != content_hash([replace(SETTLED, **changed)])


def entry_of(sums: Totals) -> list[tuple[AccountKind, Commodity, int]]:
    entry = settlement_entry(
        batch=BATCH,
        partner=PARTNER,
        business_date=date(2026, 3, 9),
        sequence=2,
        sums=sums,
        policy_version=1,
        at=NOON,
    )
    assert entry.key == f"batch:{PARTNER}:2026-03-09:2"
    assert entry.origin.source_id == BATCH
    return [(leg.account.kind, leg.commodity, leg.amount) for leg in entry.postings]


def test_settling_retires_the_points_and_makes_the_money_due() -> None:
    assert entry_of(Totals(2, MilliPoints(12_000), Fen(1_500))) == [
        (AccountKind.PARTNER_EARNED, Commodity.POINT, -12_000),
        (AccountKind.PARTNER_SETTLED, Commodity.POINT, 12_000),
        (AccountKind.SUBSIDY_FUND, Commodity.FEN, -1_500),
        (AccountKind.PARTNER_RECEIVABLE, Commodity.FEN, 1_500),
    ]


def test_a_batch_that_costs_no_money_moves_none() -> None:
    kinds = [kind for kind, _, _ in entry_of(Totals(1, MilliPoints(2_000), Fen(0)))]
    assert kinds == [AccountKind.PARTNER_EARNED, AccountKind.PARTNER_SETTLED]


def test_every_way_to_disagree_has_a_name() -> None:
    here = [line(1), line(2), line(3), line(5)]
    there = [line(1), line(3, fen=1), line(4), line(5), line(5)]
    assert [(each.kind, each.redemption.int) for each in reconcile(here, there)] == [
        (DifferenceKind.MISSING_THERE, 2),
        (DifferenceKind.AMOUNT, 3),
        (DifferenceKind.MISSING_HERE, 4),
        (DifferenceKind.DUPLICATE, 5),
    ]


def test_books_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        list(reconcile([line(2), line(1)], []))


@given(here=books, there=books)
def test_reconciling_names_exactly_what_differs(here: dict[int, int], there: dict[int, int]) -> None:
    found = {
        (each.kind, each.redemption.int)
        for each in reconcile(
            [line(number, amount) for number, amount in sorted(here.items())],
            [line(number, amount) for number, amount in sorted(there.items())],
        )
    }
    assert found == (
        {(DifferenceKind.MISSING_THERE, number) for number in here.keys() - there.keys()}
        | {(DifferenceKind.MISSING_HERE, number) for number in there.keys() - here.keys()}
        | {
            (DifferenceKind.AMOUNT, number)
            for number in here.keys() & there.keys()
            if here[number] != there[number]
        }
    )


@given(book=books)
def test_a_book_agrees_with_itself(book: dict[int, int]) -> None:
    lines = [line(number, amount) for number, amount in sorted(book.items())]
    assert list(reconcile(lines, [replace(each) for each in lines])) == []
