"""Accounts, the commodities they hold, and the floors they may not pass.

Debits are positive. The books are kept from the holder's side: what a member owns is a debit balance, so a
balance reads as what somebody has, and the issuing account is as far below zero as everything issued.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Commodity(StrEnum):
    """A unit of account. Amounts of different commodities are never added."""

    POINT = "POINT"  # milli-points
    MINUTE = "MINUTE"  # minutes of service
    FEN = "FEN"  # 1/100 of a yuan


class AccountKind(StrEnum):
    """What an account is for. ``MEMBER_*`` belong to a person, ``PARTNER_*`` to a partner."""

    MEMBER_AVAILABLE = "member_available"  # points a member may spend
    MEMBER_HELD = "member_held"  # points set aside for a redemption under way
    MEMBER_SERVICE = "member_service"  # minutes a member has served: an honour, never spent
    ISSUANCE = "issuance"  # where points and minutes come from
    PARTNER_EARNED = "partner_earned"  # captured at the partner, not yet settled
    PARTNER_SETTLED = "partner_settled"  # settled: these points have ended in a meal
    PARTNER_RECEIVABLE = "partner_receivable"  # money the community owes the partner
    SUBSIDY_FUND = "subsidy_fund"  # where that money comes from
    POOL = "pool"  # points given to the community, for members who cannot earn
    EXPIRED = "expired"  # points whose day has passed


COMMUNITY_OWNER = UUID(int=0)
"""Owner of the accounts that belong to the community itself."""

FLOOR_NONE = -(2**62)
"""Floor of an account that may go below zero: unreachable, yet an integer, so that a floor always is one."""

MAY_GO_BELOW_ZERO = frozenset(
    {
        AccountKind.ISSUANCE,
        AccountKind.SUBSIDY_FUND,
        AccountKind.PARTNER_EARNED,
        AccountKind.PARTNER_RECEIVABLE,
    }
)
"""What is issued or granted, and a partner's accounts until a refund of what was settled is corrected."""

COMMODITIES: dict[AccountKind, frozenset[Commodity]] = {
    AccountKind.MEMBER_AVAILABLE: frozenset({Commodity.POINT}),
    AccountKind.MEMBER_HELD: frozenset({Commodity.POINT}),
    AccountKind.MEMBER_SERVICE: frozenset({Commodity.MINUTE}),
    AccountKind.ISSUANCE: frozenset({Commodity.POINT, Commodity.MINUTE}),
    AccountKind.PARTNER_EARNED: frozenset({Commodity.POINT}),
    AccountKind.PARTNER_SETTLED: frozenset({Commodity.POINT}),
    AccountKind.PARTNER_RECEIVABLE: frozenset({Commodity.FEN}),
    AccountKind.SUBSIDY_FUND: frozenset({Commodity.FEN}),
    AccountKind.POOL: frozenset({Commodity.POINT}),
    AccountKind.EXPIRED: frozenset({Commodity.POINT}),
}


def floor_of(kind: AccountKind) -> int:
    """Return the lowest balance an account of ``kind`` may have: 0, or ``FLOOR_NONE``."""
    return FLOOR_NONE if kind in MAY_GO_BELOW_ZERO else 0


@dataclass(frozen=True, slots=True, order=True)
class AccountCode:
    """Names one account of a community: what for, whose (a pseudonym), in which commodity."""

    kind: AccountKind
    owner: UUID
    commodity: Commodity

    def __post_init__(self) -> None:
        if self.commodity not in COMMODITIES[self.kind]:
            raise ValueError(f"an account {self.kind} holds no {self.commodity}")

    @property
    def floor(self) -> int:
        """The lowest balance this account may have."""
        return floor_of(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner}:{self.commodity}"


def available(member: UUID) -> AccountCode:
    """Account of the points a member may spend. member: the member's ledger pseudonym."""
    return AccountCode(AccountKind.MEMBER_AVAILABLE, member, Commodity.POINT)


def held(member: UUID) -> AccountCode:
    """Account of the points set aside for a member's redemptions under way."""
    return AccountCode(AccountKind.MEMBER_HELD, member, Commodity.POINT)


def service(member: UUID) -> AccountCode:
    """Account of a member's minutes of service."""
    return AccountCode(AccountKind.MEMBER_SERVICE, member, Commodity.MINUTE)


def issuance(commodity: Commodity) -> AccountCode:
    """The community's issuing account of POINT or MINUTE."""
    return AccountCode(AccountKind.ISSUANCE, COMMUNITY_OWNER, commodity)


def partner_earned(partner: UUID) -> AccountCode:
    """Points captured at a partner and not yet settled."""
    return AccountCode(AccountKind.PARTNER_EARNED, partner, Commodity.POINT)


def partner_settled(partner: UUID) -> AccountCode:
    """Points that a settlement batch has retired."""
    return AccountCode(AccountKind.PARTNER_SETTLED, partner, Commodity.POINT)


def partner_receivable(partner: UUID) -> AccountCode:
    """Money (fen) the community owes a partner."""
    return AccountCode(AccountKind.PARTNER_RECEIVABLE, partner, Commodity.FEN)


def subsidy_fund() -> AccountCode:
    """The community's fund that pays the partners (fen)."""
    return AccountCode(AccountKind.SUBSIDY_FUND, COMMUNITY_OWNER, Commodity.FEN)


def pool() -> AccountCode:
    """The community's pool of donated points, from which grants are made."""
    return AccountCode(AccountKind.POOL, COMMUNITY_OWNER, Commodity.POINT)


def expired() -> AccountCode:
    """Where the points of lots go whose day has passed."""
    return AccountCode(AccountKind.EXPIRED, COMMUNITY_OWNER, Commodity.POINT)
