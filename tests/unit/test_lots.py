"""Lots: what is left of points received together, and the order in which they are spent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.journal import EntryKind
from pointsbank.domain.lots import Lots, LotsBroken, PointLine, Side, last_day

JUNE, JULY, AUGUST = date(2026, 6, 30), date(2026, 7, 31), date(2026, 8, 31)
A, H, X = Side.AVAILABLE, Side.HELD, Side.ELSEWHERE
VISIT, ORDER, OTHER_ORDER = UUID(int=1), UUID(int=2), UUID(int=3)


@dataclass
class Book:
    """Lines as they are recorded, one entry each unless ``same`` says that it goes on."""

    lines: list[PointLine] = field(default_factory=list)

    def add(
        self,
        kind: EntryKind,
        amount: int,
        source: Side,
        target: Side,
        *,
        document: UUID = VISIT,
        until: date | None = None,
        reverses: int | None = None,
        same: bool = False,
    ) -> int:
        last = self.lines[-1] if self.lines else None
        number = last.number + (not same) if last else 1
        line = last.line + 1 if last and same else 1
        self.lines.append(PointLine(number, line, kind, document, amount, source, target, until, reverses))
        return number

    def earn(self, amount: int, until: date | None) -> int:
        return self.add(EntryKind.EARNING, amount, X, A, until=until)

    def spend(self, amount: int) -> int:
        return self.add(EntryKind.DONATION, amount, A, X)

    def hold(self, amount: int, document: UUID = ORDER) -> int:
        return self.add(EntryKind.HOLD, amount, A, H, document=document)

    def left(self) -> list[tuple[date | None, int, int]]:
        return [(lot.expires_on, lot.available, lot.held) for lot in Lots.of(self.lines).lots()]


def test_the_lot_that_expires_first_is_spent_first_and_one_that_never_does_last() -> None:
    book = Book()
    book.earn(10, None)
    book.earn(10, JULY)
    book.earn(10, JUNE)
    book.spend(15)
    assert book.left() == [(JULY, 5, 0), (None, 10, 0)]


def test_of_two_lots_of_one_day_the_earlier_entry_is_spent_first() -> None:
    book = Book()
    first = book.earn(10, JULY)
    second = book.earn(10, JULY)
    book.spend(12)
    (lot,) = Lots.of(book.lines).lots()
    assert (lot.number, lot.available) == (second, 8)
    assert first < second


def test_a_void_gives_back_the_very_lots_that_the_hold_took() -> None:
    book = Book()
    book.earn(10, JUNE)
    book.earn(10, AUGUST)
    book.hold(12)
    book.earn(5, JULY)
    assert book.left() == [(JUNE, 0, 10), (JULY, 5, 0), (AUGUST, 8, 2)]
    book.add(EntryKind.VOID, 12, H, A, document=ORDER)
    assert book.left() == [(JUNE, 10, 0), (JULY, 5, 0), (AUGUST, 10, 0)]


def test_a_capture_pays_with_the_first_expiring_held_lots_and_releases_the_others() -> None:
    book = Book()
    book.earn(10, JUNE)
    book.earn(10, AUGUST)
    book.hold(15)
    book.add(EntryKind.CAPTURE, 12, H, X, document=ORDER)
    book.add(EntryKind.CAPTURE, 3, H, A, document=ORDER, same=True)
    assert book.left() == [(AUGUST, 8, 0)]


def test_each_hold_keeps_its_own_lots() -> None:
    book = Book()
    book.earn(10, JUNE)
    book.earn(10, AUGUST)
    book.hold(10)
    book.hold(10, OTHER_ORDER)
    book.add(EntryKind.VOID, 10, H, A, document=OTHER_ORDER)
    assert book.left() == [(JUNE, 0, 10), (AUGUST, 10, 0)]


def test_a_lot_whose_day_passed_while_it_was_held_comes_back_due() -> None:
    book = Book()
    book.earn(10, JUNE)
    book.hold(10)
    assert Lots.of(book.lines).due(JULY) == 0
    book.add(EntryKind.VOID, 10, H, A, document=ORDER)
    assert Lots.of(book.lines).due(JULY) == 10


def test_points_can_be_spent_on_their_last_day_and_are_due_the_day_after() -> None:
    book = Book()
    book.earn(10, JUNE)
    assert Lots.of(book.lines).due(JUNE) == 0
    assert Lots.of(book.lines).due(date(2026, 7, 1)) == 10


def test_a_reversed_earning_takes_its_own_lot_before_one_that_expires_sooner() -> None:
    book = Book()
    book.earn(10, JUNE)
    wrong = book.earn(10, AUGUST)
    book.add(EntryKind.REVERSAL, 10, A, X, reverses=wrong)
    assert book.left() == [(JUNE, 10, 0)]


def test_a_reversed_earning_that_was_partly_spent_takes_the_rest_as_spending_does() -> None:
    book = Book()
    wrong = book.earn(10, JUNE)
    book.spend(4)
    book.earn(10, AUGUST)
    book.add(EntryKind.REVERSAL, 10, A, X, reverses=wrong)
    assert book.left() == [(AUGUST, 6, 0)]


def test_a_reversed_gift_gives_the_giver_the_old_lots_back() -> None:
    book = Book()
    book.earn(10, JUNE)
    book.earn(10, AUGUST)
    given = book.add(EntryKind.GIFT, 10, A, X)
    book.add(EntryKind.GIFT, 2, A, X, same=True)
    book.add(EntryKind.REVERSAL, 12, X, A, reverses=given)
    assert book.left() == [(JUNE, 10, 0), (AUGUST, 10, 0)]


def test_a_refund_of_a_part_gives_the_last_expiring_lots_back() -> None:
    book = Book()
    book.earn(10, JUNE)
    book.earn(10, AUGUST)
    book.hold(15)
    paid = book.add(EntryKind.CAPTURE, 15, H, X, document=ORDER)
    book.add(EntryKind.REVERSAL, 7, X, A, reverses=paid)
    assert book.left() == [(JUNE, 2, 0), (AUGUST, 10, 0)]


def test_what_would_be_spent_next_is_told_by_day() -> None:
    book = Book()
    book.earn(3, JULY)
    book.earn(4, JULY)
    book.earn(10, None)
    lots = Lots.of(book.lines)
    assert lots.next_spent(9) == [(JULY, 7), (None, 2)]
    with pytest.raises(LotsBroken):
        lots.next_spent(18)


def test_lines_that_take_what_is_not_there_are_refused() -> None:
    book = Book()
    book.earn(3, JULY)
    book.spend(4)
    with pytest.raises(LotsBroken):
        Lots.of(book.lines)


@pytest.mark.parametrize(
    ("received", "months", "last"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2026, 3, 1), 24, date(2028, 3, 31)),
        (date(2027, 12, 15), 2, date(2028, 2, 29)),
        (date(2026, 5, 5), None, None),
    ],
)
def test_a_term_ends_with_the_month_so_many_months_later(
    received: date, months: int | None, last: date | None
) -> None:
    assert last_day(received, months) == last


def reversal_of(data: st.DataObject, given_away: dict[int, int]) -> tuple[int, int]:
    number = data.draw(st.sampled_from(sorted(given_away)))
    return number, data.draw(st.integers(1, given_away.pop(number)))


@given(st.data())
def test_the_lots_always_sum_to_the_balances_and_are_the_same_whenever_they_are_folded(
    data: st.DataObject,
) -> None:
    book, available, holds, given_away = Book(), 0, dict[UUID, int](), dict[int, int]()
    running = Lots()
    for step in range(data.draw(st.integers(1, 40))):
        moves = ["earn"] + ["spend", "hold"] * (available > 0) + ["end"] * bool(holds)
        moves += ["reverse"] * bool(given_away)
        start = len(book.lines)
        match data.draw(st.sampled_from(moves)):
            case "earn":
                amount = data.draw(st.integers(1, 50))
                book.earn(amount, data.draw(st.sampled_from([JUNE, JULY, AUGUST, None])))
                available += amount
            case "spend":
                amount = data.draw(st.integers(1, available))
                given_away[book.spend(amount)] = amount
                available -= amount
            case "hold":
                amount = data.draw(st.integers(1, available))
                holds[UUID(int=100 + step)] = amount
                book.hold(amount, UUID(int=100 + step))
                available -= amount
            case "end":
                document = data.draw(st.sampled_from(sorted(holds)))
                amount = holds.pop(document)
                paid = data.draw(st.integers(0, amount))
                if paid:
                    given_away[book.add(EntryKind.CAPTURE, paid, H, X, document=document)] = paid
                if amount - paid:
                    book.add(EntryKind.VOID, amount - paid, H, A, document=document, same=paid > 0)
                available += amount - paid
            case "reverse":
                number, amount = reversal_of(data, given_away)
                book.add(EntryKind.REVERSAL, amount, X, A, reverses=number)
                available += amount
        for line in book.lines[start:]:
            running.apply(line)
        assert (running.available, running.held) == (available, sum(holds.values()))
        assert all(lot.available >= 0 and lot.held >= 0 for lot in running.lots())
        # What is given back has its old day: nothing has a day that was not earned.
        assert running.lots() == Lots.of(book.lines).lots()
    earned = {(line.number, line.expires_on) for line in book.lines if line.kind is EntryKind.EARNING}
    assert {(lot.number, lot.expires_on) for lot in running.lots()} <= earned
