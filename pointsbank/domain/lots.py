"""Lots: points earned together expire together.

A member's lots are folded from the lines of their two accounts, available and held, in recorded order:

- what comes from elsewhere is a new lot with the line's own day (``expires_on``; None: it never expires);
- what is spent is taken from the lots that expire first, those that never do last, ties by entry number;
- a hold sets lots aside and remembers which; what it gives back are the same lots with their old days, and
  what a capture pays is the first-expiring of them;
- a reversal of points received takes from that entry's own lots first, then as any spending does; a reversal
  of points given (a gift, a donation, a captured order) gives the lots back that were given, the
  last-expiring first.

So the sum of the lots is the balance after every line, and the same lines always give the same lots.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from pointsbank.domain.journal import EntryKind


class Side(StrEnum):
    """Where points are, as seen from a member."""

    AVAILABLE = "available"
    HELD = "held"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class PointLine:
    """A journal line that touches a member's available or held account. amount: milli-points, above 0."""

    number: int
    line: int
    kind: EntryKind
    source_id: UUID
    amount: int
    source: Side
    target: Side
    expires_on: date | None = None
    reverses: int | None = None


class LotKey(NamedTuple):
    """A lot in the order of spending: its last local day (``date.max``: never expires), and its line."""

    last_day: date
    number: int
    line: int


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of points received together. number: of the entry that gave them."""

    number: int
    source_id: UUID
    expires_on: date | None
    available: int
    held: int

    def is_due(self, today: date) -> bool:
        """Tell whether its day has passed."""
        return self.expires_on is not None and self.expires_on < today


Portion = tuple[LotKey, int]
"""So many milli-points of a lot."""


class LotsBroken(ValueError):
    """The lines take what is not there: they are not one member's whole history."""


class _Purse:
    """Portions of lots, in the order of spending."""

    def __init__(self) -> None:
        self.left: dict[LotKey, int] = {}
        self._order: list[LotKey] = []

    def add(self, portions: Iterable[Portion]) -> None:
        for key, amount in portions:
            if key not in self.left:
                insort(self._order, key)
                self.left[key] = 0
            self.left[key] += amount

    def take(self, amount: int, *, first: Sequence[LotKey] = ()) -> list[Portion]:
        """Take ``amount``, from the lots named ``first`` if they are here, then in order."""
        taken: list[Portion] = []
        wanted = [key for key in first if key in self.left]
        while amount:
            if not wanted and not self._order:
                raise LotsBroken("more is taken than there is")
            key = wanted.pop(0) if wanted else self._order[0]
            part = min(amount, self.left[key])
            taken.append((key, part))
            amount -= part
            self._less(key, part)
        return taken

    def _less(self, key: LotKey, amount: int) -> None:
        self.left[key] -= amount
        if not self.left[key]:
            del self.left[key]
            del self._order[bisect_left(self._order, key)]


class Lots:
    """A member's lots, line by line. Amounts are milli-points."""

    def __init__(self) -> None:
        self.last_number = 0
        self._sources: dict[LotKey, UUID] = {}
        self._available = _Purse()
        self._held: dict[UUID, _Purse] = {}  # by the document that set points aside
        self._of_entry: dict[int, list[LotKey]] = {}  # lots an entry gave
        self._given: dict[int, list[Portion]] = {}  # portions an entry took away for good

    @classmethod
    def of(cls, lines: Iterable[PointLine]) -> Lots:
        """Return what is left after ``lines``, in recorded order. Raises LotsBroken."""
        lots = cls()
        for line in lines:
            lots.apply(line)
        return lots

    @property
    def available(self) -> int:
        """What can be spent: the balance of the available account."""
        return sum(self._available.left.values())

    @property
    def held(self) -> int:
        """What is set aside: the balance of the held account."""
        return sum(amount for purse in self._held.values() for amount in purse.left.values())

    def lots(self) -> list[Lot]:
        """Return the lots with something left, in the order of spending."""
        held: dict[LotKey, int] = {}
        for purse in self._held.values():
            for key, amount in purse.left.items():
                held[key] = held.get(key, 0) + amount
        return [
            Lot(
                number=key.number,
                source_id=self._sources[key],
                expires_on=_day(key),
                available=self._available.left.get(key, 0),
                held=held.get(key, 0),
            )
            for key in sorted(self._available.left.keys() | held.keys())
        ]

    def due(self, today: date) -> int:
        """Return how much of what can be spent is of lots whose last day is before ``today``."""
        return sum(amount for key, amount in self._available.left.items() if key.last_day < today)

    def expiring(self, through: date = date.max) -> list[tuple[date, int]]:
        """Return what can be spent by its last day, up to ``through``, the first to expire first."""
        days: dict[date, int] = {}
        for key in sorted(self._available.left):
            if key.last_day < date.max and key.last_day <= through:
                days[key.last_day] = days.get(key.last_day, 0) + self._available.left[key]
        return list(days.items())

    def next_spent(self, amount: int) -> list[tuple[date | None, int]]:
        """Return what spending ``amount`` would take, by day: each last day once, first-expiring first.

        Raises LotsBroken when there is less.
        """
        days: dict[date | None, int] = {}
        for key in sorted(self._available.left):
            part = min(amount, self._available.left[key])
            if part:
                days[_day(key)] = days.get(_day(key), 0) + part
                amount -= part
        if amount:
            raise LotsBroken("more is taken than there is")
        return list(days.items())

    def apply(self, line: PointLine) -> None:
        """Fold one more line. Raises LotsBroken."""
        self.last_number = max(self.last_number, line.number)
        match line.source, line.target:
            case Side.ELSEWHERE, Side.AVAILABLE:
                self._available.add(self._received(line))
            case Side.AVAILABLE, Side.ELSEWHERE:
                own = self._of_entry.get(line.reverses, ()) if line.reverses is not None else ()
                self._note(line.number, self._available.take(line.amount, first=own))
            case Side.AVAILABLE, Side.HELD:
                self._purse(line.source_id).add(self._available.take(line.amount))
            case Side.HELD, Side.AVAILABLE:
                self._available.add(self._from_held(line))
            case Side.HELD, Side.ELSEWHERE:
                self._note(line.number, self._from_held(line))
            case Side.ELSEWHERE, Side.HELD:
                self._purse(line.source_id).add(self._received(line))
            case _:
                raise LotsBroken("a line moves points between two places")

    def _received(self, line: PointLine) -> list[Portion]:
        """Return what a line brings: the lots it gives back, and for the rest a lot of its own."""
        rest = line.amount
        back: list[Portion] = []
        given = self._given.get(line.reverses, []) if line.reverses is not None else []
        while rest and given:
            key, amount = given.pop()
            part = min(rest, amount)
            if part < amount:
                given.append((key, amount - part))
            back.append((key, part))
            rest -= part
        if rest:
            key = LotKey(line.expires_on or date.max, line.number, line.line)
            self._sources[key] = line.source_id
            self._of_entry.setdefault(line.number, []).append(key)
            back.append((key, rest))
        return back

    def _from_held(self, line: PointLine) -> list[Portion]:
        """Take from what the line's own document holds, first-expiring first."""
        return self._purse(line.source_id).take(line.amount)

    def _purse(self, source_id: UUID) -> _Purse:
        return self._held.setdefault(source_id, _Purse())

    def _note(self, number: int, portions: list[Portion]) -> None:
        self._given.setdefault(number, []).extend(portions)


def _day(key: LotKey) -> date | None:
    return None if key.last_day == date.max else key.last_day


def last_day(received_on: date, months: int | None) -> date | None:
    """Return the last local day of points received on a local day: the end of the month ``months`` later.

    months: None for points that never expire. Whole months, so that a member has one day a month to mind.
    """
    if months is None:
        return None
    place = received_on.year * 12 + received_on.month - 1 + months
    year, month = place // 12, place % 12 + 1
    return date(year, month, calendar.monthrange(year, month)[1])
