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
    BALANCE = "balance"  # a balance after the line does not follow from the one before
    CUT_SHORT = "cut_short"  # it ends before the last entry it promises
    HEAD = "head"  # its last hash is not the head it names
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
        if hold.opened_by < opened or (hold.ended_by is not None and hold.ended_by <= hold.opened_by):
            raise JournalFileDamaged(JournalFileFault.HOLD, place, hold.opened_by)
        opened = hold.opened_by
        place += 1


def _check_lines(
    file: BinaryIO, checked: CheckedFile, hash_at: int, progress: Callable[[int, int], None]
) -> None:
    header = checked.header
    hashed = chain.genesis(header.community_id)
    balances = {account.id: 0 for account, _ in checked.accounts}
    policies = {policy.version for policy in header.policies}
    place, number, at = checked.lines_at[1] - 1, 0, 0
    if hash_at == 0:
        checked.hash_there = hashed
    while text := file.readline(LINE_BYTES_MAX):
        place += 1
        try:
            line = _line(text)
        except UNREADABLE:
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, number) from None
        if (line.number, line.line) not in ((number, at + 1), (number + 1, 1)) or line.number == 0:
            raise JournalFileDamaged(JournalFileFault.GAP, place, line.number)
        hashed = chain.extend(hashed, _leaf(line, place))
        if hashed.hex() != line.hash or line.community_id != header.community_id:
            raise JournalFileDamaged(JournalFileFault.ALTERED, place, line.number)
        if line.policy_version not in policies:
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, line.number)
        if not _moves(balances, line):
            raise JournalFileDamaged(JournalFileFault.BALANCE, place, line.number)
        number, at = line.number, line.line
        if number == hash_at:
            checked.hash_there = hashed
        if at == 1 and number % ENTRIES_PER_PROGRESS == 0:
            progress(number, header.entries)
    if number != header.entries:
        fault = JournalFileFault.CUT_SHORT if number < header.entries else JournalFileFault.HEAD
        raise JournalFileDamaged(fault, place, number)
    if hashed.hex() != header.head:
        raise JournalFileDamaged(JournalFileFault.HEAD, place, number)
    progress(number, header.entries)


def _leaf(line: FiledLine, place: int) -> bytes:
    # A FiledLine has what a chain.Line has, by the same names.
    try:
        return chain.leaf(line)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, line.number) from None


def _moves(balances: dict[UUID, int], line: FiledLine) -> bool:
    """Move a line's amount, and tell whether that leaves both accounts as the line says."""
    if line.credit not in balances or line.debit not in balances:
        return False
    balances[line.credit] -= line.amount
    balances[line.debit] += line.amount
    return (balances[line.credit], balances[line.debit]) == (line.credit_after, line.debit_after)
