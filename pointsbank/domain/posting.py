"""What a batch of entries comes to: judged in order, each alone.

The journal's one way in (``bank.apply_entries``) must give these verdicts; a property test holds the two
against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.journal import InsufficientPoints, JournalEntry


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on each entry, in order (None: posted), and the balances after."""

    refusals: tuple[InsufficientPoints | None, ...]
    balances: dict[AccountCode, int]


def require_floors(entry: JournalEntry, balances: Mapping[AccountCode, int]) -> dict[AccountCode, int]:
    """Return the balances of the entry's accounts once it is posted.

    balances: before the entry; an account that is not there has 0. Raises InsufficientPoints if an account
    would pass its floor; only where the entry leaves an account counts, not the order of its postings.
    """
    after: dict[AccountCode, int] = {}
    for posting in entry.postings:
        code = posting.account
        after[code] = after.get(code, balances.get(code, 0)) + posting.amount
    for code, balance in after.items():
        if balance < code.floor:
            before = balances.get(code, 0)
            raise InsufficientPoints(account_kind=code.kind, available=before, requested=before - balance)
    return after


def judge(entries: Iterable[JournalEntry], balances: Mapping[AccountCode, int]) -> Judgement:
    """Judge entries in order; a refused one leaves no trace, and its neighbours never feel it."""
    working = dict(balances)
    refusals: list[InsufficientPoints | None] = []
    for entry in entries:
        try:
            working.update(require_floors(entry, working))
            refusals.append(None)
        except InsufficientPoints as refusal:
            refusals.append(refusal)
    return Judgement(tuple(refusals), working)
