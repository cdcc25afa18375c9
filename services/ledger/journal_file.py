"""Reading a journal that was exported as JSON Lines, and checking it before anything is done with it.

For the layout see :mod:`services.ledger.export_jsonl`. The check recomputes the chain from the first line and
every running balance: what passes is exactly what some ledger once recorded, up to the head it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from pointsbank.domain import chain
from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.errors import DomainError
from pointsbank.domain.hold import HoldState
from pointsbank.domain.journal import ENDS_A_HOLD, EntryKind
from services.ledger.batch import account_id
from services.ledger.export_jsonl import FORMAT

LINE_BYTES_MAX = 16 * 1024 * 1024
ENTRIES_PER_PROGRESS = 1_000
ACCOUNT, HOLD = b'{"account":', b'{"hold":'


class JournalFileFault(StrEnum):
    """What is wrong with a file of the journal."""

    UNREADABLE = "unreadable"  # no JSON, or not the fields there should be
    NOT_A_JOURNAL = "not_a_journal"  # its first line does not say that it is one
    NEWER_FORMAT = "newer_format"  # written by a newer pointsbank than this
    UNKNOWN_ALGORITHM = "unknown_algorithm"  # chained by a hash this pointsbank does not know
    ACCOUNT = "account"  # an account is not the one its id stands for, or out of order
    HOLD = "hold"  # a capture or void that ends no hold, or holds out of order
    GAP = "gap"  # entries or their lines do not follow one another
    ALTERED = "altered"  # the line's columns no longer give its hash
    POLICY = "policy"  # the entry cites a version of the rules that the file does not hold
    BALANCE = "balance"  # a balance after the line does not follow from the one before
    CUT_SHORT = "cut_short"  # it ends before the last entry it promises
    HEAD = "head"  # its last hash is not the head it names
    FLOOR = "floor"  # the entry takes more from an account than it has
    REFUSED = "refused"  # the ledger would not record the entry


@dataclass(eq=False)
class JournalFileDamaged(DomainError):
    """A file of the journal cannot be brought in. file_line: from 1; entry: its number, 0 for none."""

    code = "journal_file_damaged"
    fault: str
    file_line: int
    entry: int


class FiledCommunity(msgspec.Struct):
    """The community as the file names it."""

    code: str
    name: str
    timezone: str


class FiledPolicy(msgspec.Struct):
    """A policy version of the file."""

    version: int
    effective_from: date
    body: dict[str, Any]
    proposed_by: UUID
    approved_by: UUID
    created_at: datetime


class Header(msgspec.Struct):
    """The file's first line."""

    pointsbank: str
    format: int
    community_id: int
    algorithm: str
    entries: int
    head: str
    community: FiledCommunity
    accounts: int
    policies: list[FiledPolicy]
    seals: list[dict[str, Any]]


class FiledAccount(msgspec.Struct, forbid_unknown_fields=True):
    """An account of the file."""

    id: UUID
    number: int
    kind: AccountKind
    owner: UUID
    commodity: Commodity
    opened_at: datetime


class FiledHold(msgspec.Struct, forbid_unknown_fields=True):
    """A hold of the file. opened_by, ended_by: entry numbers."""

    id: UUID
    member: UUID
    partner: UUID
    amount: int
    captured: int
    state: HoldState
    policy_version: int
    source_id: UUID
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    opened_by: int
    ended_by: int | None


class FiledLine(msgspec.Struct, forbid_unknown_fields=True):
    """A journal line of the file: the fields of :class:`pointsbank.domain.chain.Line`, and the hash there."""

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
    debit: UUID
    credit: UUID
    amount: int
    debit_after: int
    credit_after: int
    expires_on: date | None
    hash: str


class _AccountObject(msgspec.Struct, forbid_unknown_fields=True):
    account: FiledAccount


class _HoldObject(msgspec.Struct, forbid_unknown_fields=True):
    hold: FiledHold


class _Peeked(msgspec.Struct):
    pointsbank: str
    format: int


_peek = msgspec.json.Decoder(_Peeked).decode
_header = msgspec.json.Decoder(Header).decode
_account = msgspec.json.Decoder(_AccountObject).decode
_hold = msgspec.json.Decoder(_HoldObject).decode
_line = msgspec.json.Decoder(FiledLine).decode
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


@dataclass(slots=True)
class CheckedFile:
    """A file that has been read through and is sound.

    holds_at, lines_at: (byte, line of the file) where the holds and the journal's lines begin. hash_there:
    the chain's hash at the entry that was asked for.
    """

    path: Path
    header: Header
    accounts: list[tuple[FiledAccount, AccountCode]] = field(default_factory=list)
    holds_at: tuple[int, int] = (0, 0)
    lines_at: tuple[int, int] = (0, 0)
    hash_there: bytes | None = None


def read_header(path: Path) -> Header:
    """Return what the first line says. Raises JournalFileDamaged, OSError."""
    with path.open("rb") as file:
        return _read_header(file)


def _read_header(file: BinaryIO) -> Header:
    text = file.readline(LINE_BYTES_MAX)
    try:
        peeked = _peek(text)
        if peeked.pointsbank != "journal":
            raise JournalFileDamaged(JournalFileFault.NOT_A_JOURNAL, 1, 0)
    except UNREADABLE:
        raise JournalFileDamaged(JournalFileFault.NOT_A_JOURNAL, 1, 0) from None
    if peeked.format > FORMAT:
        raise JournalFileDamaged(JournalFileFault.NEWER_FORMAT, 1, 0)
    try:
        header = _header(text)
    except UNREADABLE:
        raise JournalFileDamaged(JournalFileFault.UNREADABLE, 1, 0) from None
    if header.algorithm != chain.ALGORITHM:
        raise JournalFileDamaged(JournalFileFault.UNKNOWN_ALGORITHM, 1, 0)
    return header


def check(path: Path, *, hash_at: int, progress: Callable[[int, int], None]) -> CheckedFile:
    """Read a file through and return what was found, or raise JournalFileDamaged at its first fault.

    hash_at: number of an entry whose hash is wanted (0: the genesis hash).
    """
    with path.open("rb") as file:
        checked = CheckedFile(path, _read_header(file))
        checked.holds_at = _check_accounts(file, checked)
        checked.lines_at = _check_holds(file, checked)
        _check_lines(file, checked, hash_at, progress)
    return checked


def lines(checked: CheckedFile) -> Iterator[tuple[int, FiledLine]]:
    """Yield the journal's lines with their place in the file."""
    with checked.path.open("rb") as file:
        file.seek(checked.lines_at[0])
        place = checked.lines_at[1] - 1
        while text := file.readline(LINE_BYTES_MAX):
            place += 1
            try:
                yield place, _line(text)
            except UNREADABLE:
                raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, 0) from None


def holds(checked: CheckedFile) -> Iterator[FiledHold]:
    """Yield the file's holds in the order in which they were opened."""
    with checked.path.open("rb") as file:
        file.seek(checked.holds_at[0])
        while (text := file.readline(LINE_BYTES_MAX)).startswith(HOLD):
            yield _hold(text).hold


class HoldsInOrder:
    """The file's holds, taken in the order in which the journal comes to them; few are kept at a time."""

    def __init__(self, checked: CheckedFile) -> None:
        self._rest = holds(checked)
        self._next = next(self._rest, None)
        self._ending: dict[int, FiledHold] = {}

    def opened_through(self, number: int) -> list[FiledHold]:
        """Return the holds opened by entries up to that one that were not returned before."""
        opened: list[FiledHold] = []
        while self._next is not None and self._next.opened_by <= number:
            opened.append(self._next)
            if self._next.ended_by is not None:
                self._ending[self._next.ended_by] = self._next
            self._next = next(self._rest, None)
        return opened

    def ended_by(self, number: int) -> FiledHold | None:
        """Return the hold that the entry of that number ended, once."""
        return self._ending.pop(number, None)

    @property
    def left(self) -> bool:
        """Whether there are holds that no entry has opened or ended yet."""
        return self._next is not None or bool(self._ending)


def _check_accounts(file: BinaryIO, checked: CheckedFile) -> tuple[int, int]:
    place, community = 2, checked.header.community_id
    while True:
        at = file.tell()
        text = file.readline(LINE_BYTES_MAX)
        if not text.startswith(ACCOUNT):
            file.seek(at)
            break
        try:
            account = _account(text).account
            code = AccountCode(account.kind, account.owner, account.commodity)
        except (*UNREADABLE, ValueError):
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, 0) from None
        if account.number != len(checked.accounts) + 1 or account.id != account_id(community, code):
            raise JournalFileDamaged(JournalFileFault.ACCOUNT, place, 0)
        checked.accounts.append((account, code))
        place += 1
    if len(checked.accounts) != checked.header.accounts:
        raise JournalFileDamaged(JournalFileFault.ACCOUNT, place, 0)
    return at, place


def _check_holds(file: BinaryIO, checked: CheckedFile) -> tuple[int, int]:
    place, opened = checked.holds_at[1], 0
    while True:
        at = file.tell()
        text = file.readline(LINE_BYTES_MAX)
        if not text.startswith(HOLD):
            file.seek(at)
            return at, place
        try:
            hold = _hold(text).hold
        except UNREADABLE:
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, 0) from None
        ended = (hold.state is not HoldState.OPEN, hold.ended_at is not None, hold.ended_by is not None)
        backwards = hold.ended_by is not None and hold.ended_by <= hold.opened_by
        if hold.opened_by <= opened or len(set(ended)) > 1 or backwards:
            raise JournalFileDamaged(JournalFileFault.HOLD, place, hold.opened_by)
        opened = hold.opened_by
        place += 1


def _check_lines(
    file: BinaryIO, checked: CheckedFile, hash_at: int, progress: Callable[[int, int], None]
) -> None:
    header = checked.header
    walk = _Walk(checked)
    place = checked.lines_at[1] - 1
    if hash_at == 0:
        checked.hash_there = walk.hashed
    while text := file.readline(LINE_BYTES_MAX):
        place += 1
        try:
            line = _line(text)
        except UNREADABLE:
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, walk.number) from None
        if fault := walk.step(line):
            raise JournalFileDamaged(fault, place, line.number)
        if line.number == hash_at:
            checked.hash_there = walk.hashed
        if line.line == 1 and line.number % ENTRIES_PER_PROGRESS == 0:
            progress(line.number, header.entries)
    if fault := walk.end():
        raise JournalFileDamaged(fault, place, walk.number)
    progress(walk.number, header.entries)


class _Walk:
    """The journal as far as it has been read: the chain, every balance, the holds under way."""

    def __init__(self, checked: CheckedFile) -> None:
        self._header = checked.header
        self._balances = {account.id: 0 for account, _ in checked.accounts}
        self._floors = {account.id: code.floor for account, code in checked.accounts}
        self._policies = {policy.version for policy in checked.header.policies}
        self._holds = HoldsInOrder(checked)
        self._gave: set[UUID] = set()
        self._line = 0
        self.number = 0
        self.hashed = chain.genesis(checked.header.community_id)

    def step(self, line: FiledLine) -> JournalFileFault | None:
        """Take one line in, and return what is wrong with it."""
        begins = line.line == 1
        if (line.number, line.line) != (self.number + begins, 1 if begins else self._line + 1):
            return JournalFileFault.GAP
        if begins and not self._above_floors():
            return JournalFileFault.FLOOR
        self.number, self._line = line.number, line.line
        try:
            # A FiledLine has what a chain.Line has, by the same names.
            self.hashed = chain.extend(self.hashed, chain.leaf(line))  # type: ignore[arg-type]
        except (OverflowError, TypeError, ValueError):
            return JournalFileFault.UNREADABLE
        if self.hashed.hex() != line.hash or line.community_id != self._header.community_id:
            return JournalFileFault.ALTERED
        if line.policy_version not in self._policies:
            return JournalFileFault.POLICY
        if not self._moves(line):
            return JournalFileFault.BALANCE
        if begins and not self._holds_fit(line):
            return JournalFileFault.HOLD
        return None

    def end(self) -> JournalFileFault | None:
        """Return what is wrong once there is no further line."""
        if not self._above_floors():
            return JournalFileFault.FLOOR
        if self.number < self._header.entries:
            return JournalFileFault.CUT_SHORT
        if self.number > self._header.entries or self.hashed.hex() != self._header.head:
            return JournalFileFault.HEAD
        return JournalFileFault.HOLD if self._holds.left else None

    def _moves(self, line: FiledLine) -> bool:
        """Move a line's amount, and tell whether that leaves both accounts as the line says."""
        balances = self._balances
        if line.credit not in balances or line.debit not in balances or line.amount <= 0:
            return False
        balances[line.credit] -= line.amount
        balances[line.debit] += line.amount
        self._gave.add(line.credit)
        return (balances[line.credit], balances[line.debit]) == (line.credit_after, line.debit_after)

    def _above_floors(self) -> bool:
        """Tell whether the entry that has just ended left what it took from at their floors or above."""
        above = all(self._balances[account] >= self._floors[account] for account in self._gave)
        self._gave.clear()
        return above

    def _holds_fit(self, line: FiledLine) -> bool:
        """Tell whether the holds that say so were opened, or ended, by the entry that begins here."""
        for hold in self._holds.opened_through(line.number):
            said = (hold.opened_by, EntryKind.HOLD, hold.source_id, hold.member, hold.amount)
            if said != (line.number, line.kind, line.source_id, line.subject_ref, line.amount):
                return False
        ended = self._holds.ended_by(line.number)
        if ended is None:
            return line.kind not in ENDS_A_HOLD
        captured = ended.state is HoldState.CAPTURED
        kind, amount = (EntryKind.CAPTURE, ended.captured) if captured else (EntryKind.VOID, ended.amount)
        return (line.kind, line.source_id, line.amount) == (kind, ended.source_id, amount)
