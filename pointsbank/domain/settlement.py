"""Settlement totals, and the difference between our captures and a partner's statement."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.journal import EntryKind, JournalEntry, Origin, SourceKind, Transfer
from pointsbank.domain.points import Fen, MilliPoints


@dataclass(frozen=True, slots=True)
class Line:
    """One captured redemption, as either side's books have it."""

    redemption: UUID
    milli_points: MilliPoints
    fen: Fen


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a batch or a statement. fen: prices; subsidy_fen, cash_fen: of them, see SettledLine."""

    lines: int = 0
    milli_points: MilliPoints = MilliPoints(0)
    fen: Fen = Fen(0)
    subsidy_fen: Fen = Fen(0)
    cash_fen: Fen = Fen(0)

    @property
    def due_fen(self) -> int:
        """What the partner is still to be paid: the prices less what it took at its counter."""
        return self.fen - self.cash_fen


SIGNATURES = 2
"""How many people sign a batch before it is paid."""


class BatchState(StrEnum):
    """How far a batch is. Its lines never change: ``frozen ──two signatures──► approved ──► paid``."""

    FROZEN = "frozen"
    APPROVED = "approved"
    PAID = "paid"


class LineKind(StrEnum):
    """What a line of a batch is."""

    CAPTURE = "capture"  # a redemption that was served
    CORRECTION = "correction"  # a refund of one, below zero


@dataclass(frozen=True, slots=True)
class SettledLine:
    """One line of a batch. service_date: the local day it was served for, of a correction too.

    fen: the price, as the partner's statement has it. subsidy_fen: what city, district and town pay of it;
    cash_fen: what the partner took of the elder at its counter. The rest is the community's to pay.
    """

    redemption: UUID
    kind: LineKind
    service_date: date
    milli_points: MilliPoints
    fen: Fen
    subsidy_fen: Fen = Fen(0)
    cash_fen: Fen = Fen(0)

    @property
    def place(self) -> tuple[UUID, LineKind]:
        """Where it stands among a batch's lines."""
        return self.redemption, self.kind


class DifferenceKind(StrEnum):
    """How the two books disagree about one redemption."""

    MISSING_HERE = "missing_here"  # the partner served what we never captured
    MISSING_THERE = "missing_there"  # we captured what the partner says it never served
    AMOUNT = "amount"  # both know it, the figures differ
    DUPLICATE = "duplicate"  # the partner lists it twice


@dataclass(frozen=True, slots=True)
class Difference:
    """One disagreement; ``here`` and ``there`` are the lines as each side has them."""

    kind: DifferenceKind
    redemption: UUID
    here: Line | None
    there: Line | None


def totals(lines: Iterable[Line | SettledLine]) -> Totals:
    """Return the sums over ``lines``: of a batch less its corrections."""
    count = milli_points = fen = subsidy = cash = 0
    for line in lines:
        count += 1
        milli_points += line.milli_points
        fen += line.fen
        if isinstance(line, SettledLine):
            subsidy += line.subsidy_fen
            cash += line.cash_fen
    return Totals(count, MilliPoints(milli_points), Fen(fen), Fen(subsidy), Fen(cash))


def content_hash(lines: Iterable[SettledLine]) -> bytes:
    """Return SHA-256 over the lines, given in order of ``place``: what a frozen batch is known by."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(
            f"{line.redemption}:{line.kind}:{line.service_date}:{line.milli_points}:{line.fen}"
            f":{line.subsidy_fen}:{line.cash_fen}\n".encode()
        )
    return digest.digest()


def settlement_entry(
    *,
    batch: UUID,
    partner: UUID,
    business_date: date,
    sequence: int,
    sums: Totals,
    policy_version: int,
    at: datetime,
) -> JournalEntry | None:
    """Return the one entry of a batch: its points end at the partner, its money becomes due, less what
    it took in cash.

    sums: of one line or more; where corrections outweigh captures, points and money go the other way. None
    if they come to nothing. The system acts (the community itself); the partner is the subject.
    """
    moved = [
        _signed(accounts.partner_earned(partner), accounts.partner_settled(partner), sums.milli_points),
        _signed(accounts.subsidy_fund(), accounts.partner_receivable(partner), sums.due_fen),
    ]
    transfers = [each for each in moved if each is not None]
    if not transfers:
        return None
    return journal.journal_entry(
        EntryKind.SETTLEMENT,
        transfers,
        origin=Origin(
            source_kind=SourceKind.SETTLEMENT_BATCH,
            source_id=batch,
            actor=accounts.COMMUNITY_OWNER,
            subject=partner,
            policy_version=policy_version,
        ),
        key=f"batch:{partner}:{business_date}:{sequence}",
        occurred_at=at,
    )


def _signed(source: AccountCode, target: AccountCode, amount: int) -> Transfer | None:
    """Return the transfer of an amount, from the target where it is below zero; None of nothing."""
    if not amount:
        return None
    return Transfer(source, target, amount) if amount > 0 else Transfer(target, source, -amount)


def reconcile(here: Iterable[Line], there: Iterable[Line]) -> Iterator[Difference]:
    """Yield every difference between two books, each given in ascending order of redemption.

    Both are streamed: memory does not grow with their length. Raises ValueError if one is out of order.
    """
    ours, theirs = _ascending(here, strictly=True), _ascending(there, strictly=False)
    mine, other = next(ours, None), next(theirs, None)
    while mine is not None or other is not None:
        if other is None or (mine is not None and mine.redemption < other.redemption):
            assert mine is not None
            yield Difference(DifferenceKind.MISSING_THERE, mine.redemption, mine, None)
            mine = next(ours, None)
            continue
        if mine is None or other.redemption < mine.redemption:
            yield Difference(DifferenceKind.MISSING_HERE, other.redemption, None, other)
        elif (mine.milli_points, mine.fen) != (other.milli_points, other.fen):
            yield Difference(DifferenceKind.AMOUNT, mine.redemption, mine, other)
        seen, known = other.redemption, mine
        while (other := next(theirs, None)) is not None and other.redemption == seen:
            here_line = known if known is not None and known.redemption == seen else None
            yield Difference(DifferenceKind.DUPLICATE, seen, here_line, other)
        if mine is not None and mine.redemption == seen:
            mine = next(ours, None)


def _ascending(lines: Iterable[Line], *, strictly: bool) -> Iterator[Line]:
    last: UUID | None = None
    for line in lines:
        if last is not None and (line.redemption < last or (strictly and line.redemption == last)):
            raise ValueError("lines must come in ascending order of redemption")
        last = line.redemption
        yield line
