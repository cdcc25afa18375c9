"""Does the journal still say what it said? Recomputed from the rows, trusting none of them.

The leaf of every line is hashed again from its columns and the chain built anew from the first
(:mod:`pointsbank.domain.chain`); numbers must follow one another, balances must follow from the lines, and
every seal must still be met.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pointsbank.domain import chain
from pointsbank.platform.database import UnitOfWork
from services.ledger import audit_store
from services.ledger.batch import account_id

LINES_PER_READ = 2_000


class Fault(StrEnum):
    """What kind of tampering or damage an entry, account or seal shows."""

    ENTRY_ALTERED = "entry_altered"  # its columns no longer give its place in the chain
    ENTRY_MISSING = "entry_missing"  # the numbers have a gap
    RUNNING_BALANCE = "running_balance"  # a balance after a line does not follow from the one before
    HEAD_MISMATCH = "head_mismatch"  # the head is not the last line: the end was cut off or added
    BALANCE_MISMATCH = "balance_mismatch"  # an account's balance is not the sum of its postings
    ACCOUNT_ALTERED = "account_altered"  # an account is not the one that its lines name
    HOLD_MISMATCH = "hold_mismatch"  # what a member's open holds add up to is not what is held
    SEAL_MISMATCH = "seal_mismatch"  # a sealed head is not (or no longer) in the chain


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault and where: an entry's number, or an account's id."""

    fault: Fault
    where: str


@dataclass(frozen=True, slots=True)
class SealedHead:
    """A head as it left the machine."""

    community_id: int
    entry_number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification covered and found. ``findings`` is in order; the first is where it broke."""

    entries: int
    lines: int
    accounts: int
    head_hash: bytes
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


async def verify(
    uow: UnitOfWork,
    *,
    seals: list[SealedHead] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Recompute a community's whole journal, streaming. Give it a snapshot unit of work.

    seals: heads kept outside the database; this community's must all still be in the chain. progress:
    called with (entries done, entries in all). Memory grows with accounts, not with entries.
    """
    head = await audit_store.head(uow)
    findings: list[Finding] = []
    sums: dict[UUID, int] = defaultdict(int)
    sealed = {seal.entry_number: seal for seal in seals or [] if seal.community_id == uow.community_id}
    met: set[int] = {0}
    at, hashed, lines = (0, 0), chain.genesis(uow.community_id), 0
    async for rows in audit_store.read_journal(uow, LINES_PER_READ):
        for line, stored in rows:
            lines += 1
            if (line.number, line.line) not in ((at[0], at[1] + 1), (at[0] + 1, 1)):
                findings.append(Finding(Fault.ENTRY_MISSING, f"entry {at[0] + 1}"))
            if line.number > at[0] and at[0] in sealed:
                met.add(at[0])
                findings += _unmet(sealed[at[0]], hashed)
            at = (line.number, line.line)
            if chain.extend(hashed, chain.leaf(line)) != stored:
                findings.append(Finding(Fault.ENTRY_ALTERED, f"entry {line.number}"))
            # Go on from what the row claims, so that one break is told once and not for ever after.
            hashed = stored
            for account, amount, after in (
                (line.credit, -line.amount, line.credit_after),
                (line.debit, line.amount, line.debit_after),
            ):
                sums[account] += amount
                if sums[account] != after:
                    findings.append(Finding(Fault.RUNNING_BALANCE, f"entry {line.number}"))
        if progress:
            progress(at[0], head["entry_number"])
    if at[0] in sealed:
        met.add(at[0])
        findings += _unmet(sealed[at[0]], hashed)
    if (head["entry_number"], head["hash"]) != (at[0], hashed):
        findings.append(Finding(Fault.HEAD_MISMATCH, f"entry {at[0]}"))
    findings.extend(
        Finding(Fault.SEAL_MISMATCH, f"entry {number}") for number in sorted(sealed.keys() - met) if number
    )
    balances = await audit_store.balances(uow)
    findings.extend(
        Finding(Fault.BALANCE_MISMATCH, f"account {account}")
        for account in sorted(balances.keys() | sums.keys())
        if balances.get(account, 0) != sums.get(account, 0)
    )
    findings.extend(
        Finding(Fault.ACCOUNT_ALTERED, f"account {account}")
        for account, code in sorted((await audit_store.accounts(uow)).items())
        if account_id(uow.community_id, code) != account
    )
    findings.extend(await _held(uow, balances))
    return Verification(at[0], lines, len(balances), hashed, tuple(findings))


def _unmet(seal: SealedHead, hashed: bytes) -> list[Finding]:
    if seal.hash == hashed:
        return []
    return [Finding(Fault.SEAL_MISMATCH, f"entry {seal.entry_number}")]


async def _held(uow: UnitOfWork, balances: dict[UUID, int]) -> list[Finding]:
    """Compare every member's open holds with their held balance."""
    open_holds = await audit_store.open_holds(uow)
    accounts = await audit_store.held_accounts(uow)
    return [
        Finding(Fault.HOLD_MISMATCH, f"account {account}")
        for account, member in sorted(accounts.items())
        if balances.get(account, 0) != open_holds.get(member, 0)
    ] + [
        Finding(Fault.HOLD_MISMATCH, f"member {member}")
        for member in sorted(open_holds.keys() - set(accounts.values()))
    ]
