"""The one public proof a day: everything that was ever minted is somewhere, and the sums say where.

    minted = available + held + spent + expired + donated + adjusted

in each commodity. The left side is told by the journal's lines, the right side by the accounts' balances, so
that a balance or a line that was tampered with breaks the sum. No term names anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.journal import EntryKind


class Term(StrEnum):
    """Where what was minted is."""

    AVAILABLE = "available"  # members may spend it; of minutes: members have served them
    HELD = "held"  # set aside for redemptions under way
    SPENT = "spent"  # at the partners, settled or not; of fen: owed to them or paid
    EXPIRED = "expired"
    DONATED = "donated"  # in the community's pool


SOURCES = frozenset({AccountKind.ISSUANCE, AccountKind.SUBSIDY_FUND})
"""Accounts that commodities come from: below zero by all that has been minted and not taken back."""

TERMS: Mapping[AccountKind, Term] = {
    AccountKind.MEMBER_AVAILABLE: Term.AVAILABLE,
    AccountKind.MEMBER_SERVICE: Term.AVAILABLE,
    AccountKind.MEMBER_HELD: Term.HELD,
    AccountKind.PARTNER_EARNED: Term.SPENT,
    AccountKind.PARTNER_SETTLED: Term.SPENT,
    AccountKind.PARTNER_RECEIVABLE: Term.SPENT,
    AccountKind.EXPIRED: Term.EXPIRED,
    AccountKind.POOL: Term.DONATED,
}


@dataclass(frozen=True, slots=True)
class CommoditySums:
    """One commodity's sums, in its unit (milli-points, minutes or fen).

    minted: by entries of every kind but adjustments, less what was taken back. adjusted: what adjustments
    took away, net; below zero where they gave. sources: the balance of the accounts it came from.
    """

    commodity: Commodity
    minted: int
    adjusted: int
    sources: int
    terms: Mapping[Term, int] = field(default_factory=dict)

    @property
    def difference(self) -> int:
        """Minted less where it is said to be; anything but 0 is a fault in the books."""
        return self.minted - sum(self.terms.values()) - self.adjusted

    @property
    def sound(self) -> bool:
        """Whether the sums agree, and the sources are below zero by just what lines took from them."""
        return self.difference == 0 and self.sources == self.adjusted - self.minted


def public_sums(
    balances: Iterable[tuple[AccountKind, Commodity, int]],
    issued: Iterable[tuple[EntryKind, Commodity, int]],
) -> list[CommoditySums]:
    """Return the sums of every commodity, in the order of ``Commodity``.

    balances: what the accounts of each kind hold together. issued: what lines of each kind of entry took from
    ``SOURCES``, net; a reversal counts to the kind that it takes back.
    """
    terms = {commodity: dict.fromkeys(Term, 0) for commodity in Commodity}
    sources, minted, adjusted = (dict.fromkeys(Commodity, 0) for _ in range(3))
    for account, commodity, balance in balances:
        if account in SOURCES:
            sources[commodity] += balance
        else:
            terms[commodity][TERMS[account]] += balance
    for entry, commodity, amount in issued:
        if entry is EntryKind.ADJUSTMENT:
            adjusted[commodity] -= amount
        else:
            minted[commodity] += amount
    return [
        CommoditySums(each, minted[each], adjusted[each], sources[each], terms[each]) for each in Commodity
    ]
