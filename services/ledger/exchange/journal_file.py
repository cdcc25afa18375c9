"""Reading a journal that was exported as JSON Lines (layout: :mod:`services.ledger.exchange.jsonl`)."""

from __future__ import annotations

from collections.abc import Iterator
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
from services.ledger.exchange.jsonl import FORMAT
from services.ledger.proof.line_form import HEADER_BYTES_MAX

LINE_BYTES_MAX = 16 * 1024 * 1024
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
    SEAL = "seal"  # a seal is not in form, not signed by the key, or not of this journal
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
decode_account = msgspec.json.Decoder(_AccountObject).decode
decode_hold = msgspec.json.Decoder(_HoldObject).decode
decode_line = msgspec.json.Decoder(FiledLine).decode
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
        return header_of(file)


def header_of(file: BinaryIO) -> Header:
    """Read a file's first line. Raises JournalFileDamaged."""
    text = file.readline(HEADER_BYTES_MAX)
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


def lines(checked: CheckedFile) -> Iterator[tuple[int, FiledLine]]:
    """Yield the journal's lines with their place in the file."""
    with checked.path.open("rb") as file:
        file.seek(checked.lines_at[0])
        place = checked.lines_at[1] - 1
        while text := file.readline(LINE_BYTES_MAX):
            place += 1
            try:
                yield place, decode_line(text)
            except UNREADABLE:
                raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, 0) from None


def holds(checked: CheckedFile) -> Iterator[FiledHold]:
    """Yield the file's holds in the order in which they were opened."""
    with checked.path.open("rb") as file:
        file.seek(checked.holds_at[0])
        while (text := file.readline(LINE_BYTES_MAX)).startswith(HOLD):
            yield decode_hold(text).hold


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
