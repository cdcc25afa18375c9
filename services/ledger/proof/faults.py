"""What a verification can find, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

FINDINGS_MAX = 100
"""Findings that are told one by one; the rest is counted."""


class Fault(StrEnum):
    """What kind of tampering or damage an entry, account, node or seal shows."""

    ENTRY_ALTERED = "entry_altered"  # its columns no longer give its place in the chain
    ENTRY_MISSING = "entry_missing"  # the numbers have a gap
    RUNNING_BALANCE = "running_balance"  # a balance after a line does not follow from the one before
    HISTORY_BROKEN = "history_broken"  # a line does not tell the entry before it in its account's history
    HEAD_MISMATCH = "head_mismatch"  # the head is not the last line: the end was cut off or added
    BALANCE_MISMATCH = "balance_mismatch"  # an account's balance is not the sum of its postings
    ACCOUNT_ALTERED = "account_altered"  # an account is not the one that its lines name
    HOLD_MISMATCH = "hold_mismatch"  # what a member's open holds add up to is not what is held
    SEAL_MISMATCH = "seal_mismatch"  # a sealed head or root is not (or no longer) the journal's
    SEAL_FORGED = "seal_forged"  # a seal's signature does not hold, or is by another key than ours
    SEALS_MISSING = "seals_missing"  # a seal was made or sent away that is not kept any more
    BELOW_FLOOR = "below_floor"  # an entry took more from an account than it had
    COMMODITIES_MIXED = "commodities_mixed"  # a line moves between accounts of different commodities
    POLICY_ALTERED = "policy_altered"  # the policy versions are not those that were sealed
    MERKLE_MISMATCH = "merkle_mismatch"  # a stored node of the tree is not what its entries give, or is gone


class FileFault(StrEnum):
    """What else a file that was handed out can show."""

    UNREADABLE = "unreadable"  # not in the form that was agreed
    PROOF_MISMATCH = "proof_mismatch"  # a line's proof does not lead to the sealed root
    SUM_MISMATCH = "sum_mismatch"  # what it adds up to is not what it says
    NOT_IN_PERIOD = "not_in_period"  # a line of another account or time, or out of order
    UNPROVEN = "unproven"  # a line that no seal covers
    DOCUMENT_ALTERED = "document_altered"  # its own signature does not hold: it is not as it was handed out


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault and where: an entry's number, an account's id, a node's place, a file's line."""

    fault: Fault | FileFault
    where: str


class Findings:
    """The first faults in the order they are found, and how many there were beyond those."""

    def __init__(self, limit: int = FINDINGS_MAX) -> None:
        self.told: list[Finding] = []
        self.omitted = 0
        self._limit = limit

    def add(self, fault: Fault | FileFault, where: str) -> None:
        """Tell one more fault."""
        if len(self.told) < self._limit:
            self.told.append(Finding(fault, where))
        else:
            self.omitted += 1

    def in_order(self) -> tuple[Finding, ...]:
        """Return those told by the entry they name; what names none comes last."""
        return tuple(sorted(self.told, key=_entry_named))

    def extend(self, findings: Iterable[Finding], omitted: int = 0) -> None:
        """Tell faults that were found elsewhere."""
        for finding in findings:
            self.add(finding.fault, finding.where)
        self.omitted += omitted


def _entry_named(finding: Finding) -> float:
    word, _, rest = finding.where.partition(" ")
    return int(rest) if word == "entry" and rest.isdigit() else inf
