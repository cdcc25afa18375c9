"""What every export is made from: one community's books as of one snapshot, read in order.

Memory grows with accounts, never with entries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from uuid import UUID

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import UnitOfWork
from services.ledger import store
from services.ledger.exchange import export_store
from services.ledger.proof import audit_store
from services.people import service as people
from services.people.views import CommunityInfo

Progress = Callable[[int, int], None]
"""Called with (entries written, entries in all)."""

DEBIT, CREDIT = 13, 14

PIECES_PER_WRITE = 2_000

PLACES: dict[Commodity, int] = {Commodity.POINT: 3, Commodity.MINUTE: 0, Commodity.FEN: 2}
"""Decimal places between the integer we keep and the unit people say: milli-points, minutes, fen."""


@dataclass(frozen=True, slots=True)
class ExportedAccount:
    """An account as it stands. balance: milli-points, minutes or fen."""

    number: int
    id: UUID
    code: AccountCode
    opened_at: datetime
    balance: int


@dataclass(frozen=True, slots=True)
class ExportedLine:
    """A journal line with the accounts that it moves between; see :class:`pointsbank.domain.chain.Line`."""

    community_id: int
    number: int
    line: int
    id: UUID
    kind: str
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    policy_version: int
    occurred_at: datetime
    recorded_at: datetime
    reverses: int | None
    debit: ExportedAccount
    credit: ExportedAccount
    amount: int
    debit_after: int
    credit_after: int
    expires_on: date | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Which entries: by number (first and last, both included), or by local day of recording."""

    first: int | None = None
    last: int | None = None
    from_: date | None = None
    to: date | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return (self.first, self.last, self.from_, self.to) == (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Books:
    """One community's books at one moment. entries, head, recorded_at: of the journal's last entry."""

    community: CommunityInfo
    entries: int
    head: bytes
    algorithm: str
    recorded_at: datetime
    first_day: date
    accounts: dict[int, ExportedAccount]
    first: int
    last: int
    exported_at: datetime

    def day(self, at: datetime) -> date:
        """Return the community's calendar day of a moment."""
        return local_date(at, self.community.timezone)


async def read_books(uow: UnitOfWork, part: Part) -> Books:
    """Return the books of a snapshot unit of work, lines unread. Raises NotFound, InvalidValue."""
    await export_store.take_time(uow)
    community = await people.community(uow)
    head = await audit_store.head(uow)
    accounts = {
        number: ExportedAccount(
            number, id_, AccountCode(AccountKind(kind), owner, Commodity(commodity)), opened_at, balance
        )
        for number, id_, kind, owner, commodity, opened_at, balance in await export_store.accounts(uow)
    }
    began = await export_store.first_recorded_at(uow) or head["recorded_at"]
    first, last = await _numbers(uow, part, head["entry_number"], community.timezone)
    return Books(
        community=community,
        entries=head["entry_number"],
        head=head["hash"],
        algorithm=head["algorithm"],
        recorded_at=head["recorded_at"],
        # An account may be told to have opened a moment after the entry that it was opened for.
        first_day=local_date(
            min([began, *(account.opened_at for account in accounts.values())]), community.timezone
        ),
        accounts=accounts,
        first=first,
        last=last,
        exported_at=uow.clock.now(),
    )


async def read_lines(uow: UnitOfWork, books: Books, progress: Progress) -> AsyncIterator[list[ExportedLine]]:
    """Yield the lines of the wanted entries in order, some thousands at a time."""
    accounts = books.accounts
    async for rows in export_store.lines(uow, books.first, books.last):
        yield [
            ExportedLine(*[*row[:DEBIT], accounts[row[DEBIT]], accounts[row[CREDIT]], *row[CREDIT + 1 :]])
            for row in rows
        ]
        progress(rows[-1][1] - books.first + 1, books.last - books.first + 1)


async def read_entries(
    uow: UnitOfWork, books: Books, progress: Progress
) -> AsyncIterator[list[list[ExportedLine]]]:
    """Yield whole entries, each as its lines, in order, some thousands at a time."""
    entry: list[ExportedLine] = []
    async for lines in read_lines(uow, books, progress):
        done: list[list[ExportedLine]] = []
        for line in lines:
            if entry and line.number != entry[0].number:
                done.append(entry)
                entry = []
            entry.append(line)
        yield done
    if entry:
        yield [entry]


def decimal(amount: int, commodity: Commodity) -> Decimal:
    """Return an amount in the unit that people say: points, minutes, yuan."""
    return Decimal(amount).scaleb(-PLACES[commodity])


def plain(amount: int, commodity: Commodity) -> str:
    """Return an amount as digits with all its places: 1500 milli-points → ``1.500``."""
    places = PLACES[commodity]
    if not places:
        return str(amount)
    whole, rest = divmod(abs(amount), 10**places)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{places}d}"


def moment(at: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, always with its microseconds."""
    return at.isoformat(timespec="microseconds")


def gathered(pieces: Iterable[str]) -> Iterator[str]:
    """Yield small pieces joined into larger ones."""
    pieces = iter(pieces)
    while text := "".join(islice(pieces, PIECES_PER_WRITE)):
        yield text


async def _numbers(uow: UnitOfWork, part: Part, entries: int, timezone: str) -> tuple[int, int]:
    first, last = part.first or 1, entries if part.last is None else min(part.last, entries)
    if part.from_ is not None:
        first = max(first, await store.last_entry_before(uow, local_day(part.from_, timezone)[0]) + 1)
    if part.to is not None:
        last = min(last, await store.last_entry_before(uow, local_day(part.to, timezone)[1]))
    backwards = part.from_ is not None and part.to is not None and part.to < part.from_
    if first < 1 or backwards or (part.last is not None and part.last < (part.first or 1)):
        raise InvalidValue(field="to", rule="after_from")
    return first, last
