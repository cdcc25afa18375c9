"""Checking a file of the journal from end to end, before anything is done with it.

The chain and every running balance are recomputed from the first line: what passes is exactly what some
ledger once recorded, up to the head that the file names. Memory grows with accounts and with the holds that
are under way at one time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from pointsbank.domain import chain, merkle
from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.hold import HoldState
from pointsbank.domain.journal import ENDS_A_HOLD, EntryKind
from services.ledger.batch import account_id
from services.ledger.exchange.journal_file import (
    ACCOUNT,
    HOLD,
    LINE_BYTES_MAX,
    UNREADABLE,
    CheckedFile,
    FiledLine,
    Header,
    HoldsInOrder,
    JournalFileDamaged,
    JournalFileFault,
    decode_account,
    decode_hold,
    decode_line,
    header_of,
)
from services.ledger.proof import seal_form
from services.ledger.proof.seal_form import SealedHead, SealUnreadable

ENTRIES_PER_PROGRESS = 1_000


def check(
    path: Path, *, hash_at: int, progress: Callable[[int, int], None], public_key: bytes | None = None
) -> CheckedFile:
    """Read a file through and return what was found, or raise JournalFileDamaged at its first fault.

    hash_at: number of an entry whose hash is wanted (0: the genesis hash). public_key: by which its seals
    must be signed; None: each by the one it names.
    """
    with path.open("rb") as file:
        checked = CheckedFile(path, header_of(file))
        seals = _Seals(checked.header, public_key)
        checked.holds_at = _check_accounts(file, checked)
        checked.lines_at = _check_holds(file, checked)
        _check_lines(file, checked, seals, hash_at, progress)
    return checked


class _Seals:
    """The seals of the file's first line, held against the journal as it grows."""

    def __init__(self, header: Header, public_key: bytes | None) -> None:
        self._waiting: dict[int, list[SealedHead]] = {}
        self._tree = merkle.Frontier()
        for each in header.seals:
            try:
                seal = seal_form.checked(each, public_key)
            except SealUnreadable:
                raise JournalFileDamaged(JournalFileFault.SEAL, 1, 0) from None
            if seal.community_id != header.community_id:
                raise JournalFileDamaged(JournalFileFault.SEAL, 1, 0)
            self._waiting.setdefault(seal.entry_number, []).append(seal)
        self._meet(chain.genesis(header.community_id))

    def add(self, hashed: bytes) -> None:
        """Take the chain's hash at the next entry's last line. Raises JournalFileDamaged."""
        if self._waiting:
            self._tree.add(merkle.leaf_hash(hashed))
            self._meet(hashed)

    def end(self) -> None:
        """Raise JournalFileDamaged if a seal is of an entry that never came."""
        if self._waiting:
            raise JournalFileDamaged(JournalFileFault.SEAL, 1, min(self._waiting))

    def _meet(self, hashed: bytes) -> None:
        for seal in self._waiting.pop(self._tree.size, ()):
            if (seal.hash, seal.merkle_root) != (hashed, self._tree.root()):
                raise JournalFileDamaged(JournalFileFault.SEAL, 1, seal.entry_number)


def _check_accounts(file: BinaryIO, checked: CheckedFile) -> tuple[int, int]:
    place, community = 2, checked.header.community_id
    while True:
        at = file.tell()
        text = file.readline(LINE_BYTES_MAX)
        if not text.startswith(ACCOUNT):
            file.seek(at)
            break
        try:
            account = decode_account(text).account
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
            hold = decode_hold(text).hold
        except UNREADABLE:
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, 0) from None
        ended = (hold.state is not HoldState.OPEN, hold.ended_at is not None, hold.ended_by is not None)
        backwards = hold.ended_by is not None and hold.ended_by <= hold.opened_by
        if hold.opened_by <= opened or len(set(ended)) > 1 or backwards:
            raise JournalFileDamaged(JournalFileFault.HOLD, place, hold.opened_by)
        opened = hold.opened_by
        place += 1


def _check_lines(
    file: BinaryIO,
    checked: CheckedFile,
    seals: _Seals,
    hash_at: int,
    progress: Callable[[int, int], None],
) -> None:
    header = checked.header
    walk = _Walk(checked)
    place = checked.lines_at[1] - 1
    if hash_at == 0:
        checked.hash_there = walk.hashed
    while text := file.readline(LINE_BYTES_MAX):
        place += 1
        try:
            line = decode_line(text)
        except UNREADABLE:
            raise JournalFileDamaged(JournalFileFault.UNREADABLE, place, walk.number) from None
        ended = walk.hashed
        if fault := walk.step(line):
            raise JournalFileDamaged(fault, place, line.number)
        if line.line == 1 and line.number > 1:
            seals.add(ended)
        if line.number == hash_at:
            checked.hash_there = walk.hashed
        if line.line == 1 and line.number % ENTRIES_PER_PROGRESS == 0:
            progress(line.number, header.entries)
    if fault := walk.end():
        raise JournalFileDamaged(fault, place, walk.number)
    if walk.number:
        seals.add(walk.hashed)
    seals.end()
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
