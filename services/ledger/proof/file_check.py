"""The whole exported journal checked from its file alone: JSON Lines, read once, line by line.

The first line says what it is and carries the seals; then come the accounts, the holds (which follow from
the journal, so that nothing is to be proven by them), then every line of the journal.
No database is asked and nothing is trusted but the public key by which the seals must be signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from pointsbank.domain import chain, merkle
from pointsbank.domain.accounts import Commodity
from services.ledger.batch import account_id
from services.ledger.proof import line_form, policy_form, seal_form
from services.ledger.proof.faults import Fault, FileFault, Finding, Findings
from services.ledger.proof.line_form import WrittenAccount, WrittenLine
from services.ledger.proof.seal_form import SealedHead, SealUnreadable

LINE_BYTES_MAX = 1 << 16
ACCOUNT, HOLD = b'{"account":', b'{"hold":'


class Unreadable(Exception):
    """A line of the file is not in the agreed form."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a file turned out to be. proven: entries that the newest seal covers; of ``entries`` in all.

    seals: those in it that hold. sealed_at: when the newest of them was signed. sums: what a statement or
    certificate says, by name. holds: in a journal's file, which no seal is over.
    """

    kind: str
    community_id: int
    entries: int
    proven: int
    seals: int
    sealed_at: datetime | None
    findings: tuple[Finding, ...]
    omitted: int = 0
    sums: tuple[tuple[str, int], ...] = ()
    holds: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Header(msgspec.Struct, frozen=True):
    """The first line of an exported journal."""

    pointsbank: str
    format: int
    community_id: line_form.Int4
    algorithm: str
    entries: line_form.Number
    head: line_form.Hash
    exported_at: str
    seals: list[Any]
    policies: list[dict[str, Any]] | None = None


class _AccountLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    account: WrittenAccount


class _HoldLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    hold: dict[str, Any]


_header = msgspec.json.Decoder(Header)
_account = msgspec.json.Decoder(_AccountLine)
_hold = msgspec.json.Decoder(_HoldLine)
_line = msgspec.json.Decoder(WrittenLine)


def check_journal(path: Path, public_key: bytes, *, unsealed: bool = False) -> FileReport:
    """Check an exported journal. public_key: 32 bytes, known from elsewhere.

    unsealed: entries behind the last seal that holds are no fault. They are one otherwise: whoever has the
    file can have made them up.

    Memory grows with accounts and seals, not with entries. Raises OSError.
    """
    findings = Findings()
    check: _Journal | None = None
    place = 0
    with path.open("rb") as file:
        try:
            for place, text in _lines(file):
                if check is None:
                    check = _Journal(_read_header(text), public_key, findings)
                elif text.startswith(ACCOUNT):
                    check.add_account(_decoded(_account, text).account, place)
                elif text.startswith(HOLD):
                    _decoded(_hold, text)
                    check.holds += 1
                else:
                    check.add_line(_decoded(_line, text), place)
        except Unreadable:
            findings.add(FileFault.UNREADABLE, f"file line {max(place, 1)}")
    if check is None:
        findings.add(FileFault.UNREADABLE, "file line 1")
        return FileReport("journal", 0, 0, 0, 0, None, tuple(findings.told))
    return check.end(unsealed=unsealed)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    place = 0
    while text := file.readline(LINE_BYTES_MAX if place else line_form.HEADER_BYTES_MAX):
        place += 1
        if not text.endswith(b"\n") and len(text) >= LINE_BYTES_MAX and place > 1:
            raise Unreadable
        if text.strip():
            yield place, text


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Unreadable from error


def _read_header(text: bytes) -> Header:
    header: Header = _decoded(_header, text)
    if (header.pointsbank, header.format, header.algorithm) != (
        "journal",
        line_form.FORMAT,
        chain.ALGORITHM,
    ):
        raise Unreadable
    return header


class _Journal:
    """An exported journal, as far as it has been read."""

    def __init__(self, header: Header, public_key: bytes, findings: Findings) -> None:
        self._header = header
        self._findings = findings
        self._accounts: dict[UUID, Commodity] = {}
        self._balances: dict[UUID, int] = {}
        self._hash = chain.genesis(header.community_id)
        self._at = (0, 0)
        self._tree = merkle.Frontier()
        self._whole = True  # no entry is missing, so that each stands at its place in the tree
        self._seals: dict[int, list[SealedHead]] = {}
        self.holds = 0
        self._met: list[SealedHead] = []
        for place, each in enumerate(header.seals, start=1):
            try:
                seal = seal_form.checked(each, public_key)
                if seal.community_id != header.community_id:
                    raise SealUnreadable
            except SealUnreadable:
                findings.add(Fault.SEAL_FORGED, f"seal {place}")
                continue
            self._seals.setdefault(seal.entry_number, []).append(seal)
        self._meet(0)
        self._check_policies()

    def _check_policies(self) -> None:
        """Hold the policy versions in the file, if it has them, against those under the seals."""
        if self._header.policies is None:
            return
        try:
            known = policy_form.digests(self._header.policies)
        except KeyError as error:
            raise Unreadable from error
        for seals in self._seals.values():
            for seal in seals:
                if seal.policies is not None and seal.policies not in known:
                    self._findings.add(Fault.POLICY_ALTERED, f"entry {seal.entry_number}")

    def add_account(self, account: WrittenAccount, place: int) -> None:
        """Take an account; its id must be the one that its code gives."""
        try:
            code = account.code()
        except ValueError as error:
            raise Unreadable from error
        derived = account_id.__wrapped__(self._header.community_id, code)
        if derived != account.id or account.id in self._accounts:
            self._findings.add(Fault.ACCOUNT_ALTERED, f"file line {place}")
        self._accounts[account.id] = account.commodity
        self._balances.setdefault(account.id, 0)

    def add_line(self, written: WrittenLine, place: int) -> None:
        """Take the next line of the journal."""
        line, where = written.read(), f"file line {place} (entry {written.number})"
        if (line.number, line.line) not in (
            (self._at[0], self._at[1] + 1),
            (self._at[0] + 1, 1),
        ):
            self._findings.add(Fault.ENTRY_MISSING, where)
            self._whole = False
        if line.number != self._at[0]:
            self._end_entry()
        hashed = chain.extend(self._hash, chain.leaf(line))
        stored = bytes.fromhex(written.hash)
        if hashed != stored or line.community_id != self._header.community_id:
            self._findings.add(Fault.ENTRY_ALTERED, where)
        # Go on from what the line claims, so that one break is told once and not for ever after.
        self._hash, self._at = stored, (line.number, line.line)
        commodities = self._accounts.get(line.credit), self._accounts.get(line.debit)
        if None in commodities or commodities[0] != commodities[1] or line.credit == line.debit:
            self._findings.add(Fault.ACCOUNT_ALTERED, where)
        for account, amount, after in (
            (line.credit, -line.amount, line.credit_after),
            (line.debit, line.amount, line.debit_after),
        ):
            if self._balances.get(account, 0) + amount != after:
                self._findings.add(Fault.RUNNING_BALANCE, where)
            self._balances[account] = after

    def _end_entry(self) -> None:
        """The entry has all its lines: it is a leaf now, and seals of this size must be met."""
        number = self._at[0]
        if not number:
            return
        self._tree.add(merkle.leaf_hash(self._hash))
        self._meet(number)

    def _meet(self, number: int) -> None:
        """Hold the seals of that many entries against the journal so far."""
        for seal in self._seals.pop(number, ()):
            # With an entry missing the tree is another one; that was told.
            if seal.hash != self._hash or (self._whole and seal.merkle_root != self._tree.root()):
                self._findings.add(Fault.SEAL_MISMATCH, f"entry {number}")
            else:
                self._met.append(seal)

    def end(self, *, unsealed: bool) -> FileReport:
        """Return what the file turned out to be."""
        self._end_entry()
        number, header = self._at[0], self._header
        if (header.entries, header.head) != (number, self._hash.hex()):
            self._findings.add(Fault.HEAD_MISMATCH, f"entry {number}")
        for missing in sorted(self._seals):
            self._findings.add(Fault.SEAL_MISMATCH, f"entry {missing}")
        newest = max(self._met, key=lambda seal: seal.entry_number, default=None)
        proven = newest.entry_number if newest else 0  # a seal of nothing covers nothing
        if not unsealed and (proven < number or not proven):
            self._findings.add(FileFault.UNPROVEN, f"entry {proven + 1} on")
        return FileReport(
            kind="journal",
            community_id=header.community_id,
            entries=number,
            proven=proven,
            seals=len(self._met),
            sealed_at=newest.sealed_at if newest else None,
            findings=tuple(self._findings.told),
            omitted=self._findings.omitted,
            holds=self.holds,
        )
