"""Points that change hands without service: gifts, donations to the pool, grants from it.

Given points keep their days: a gift is one transfer for each last day among the lots it takes, so that
giving never renews points. What is donated no longer expires; what is granted has a new term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain import accounts, journal
from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.policy import GivingRules


@dataclass(eq=False)
class GiftToOneself(DomainError):
    """Nobody gives points to themselves."""

    code = "gift_to_oneself"


@dataclass(eq=False)
class GivingNotEnabled(DomainError):
    """The policy in force does not know this kind of giving: gift, donation or grant."""

    code = "giving_not_enabled"
    kind: str


@dataclass(eq=False)
class GiftTooSmall(DomainError):
    """Less than the policy lets be given at once. Milli-points."""

    code = "gift_too_small"
    least: int
    requested: int


@dataclass(eq=False)
class GiftLimit(DomainError):
    """More than the policy lets one member give (or be granted) in a calendar year. Milli-points."""

    code = "gift_limit"
    most: int
    given: int
    requested: int


def require_within(rules: GivingRules, kind: EntryKind, amount: MilliPoints, *, this_year: int) -> None:
    """Raise unless ``amount`` may be given. this_year: given (or granted) before in the calendar year.

    Raises GivingNotEnabled, GiftTooSmall, GiftLimit.
    """
    if not rules.enabled:
        raise GivingNotEnabled(kind=kind.value)
    if amount < rules.min_milli_points:
        raise GiftTooSmall(least=rules.min_milli_points, requested=amount)
    most = rules.year_milli_points_max
    if most is not None and this_year + amount > most:
        raise GiftLimit(most=most, given=this_year, requested=amount)


def gift_entry(
    gift: UUID,
    portions: Sequence[tuple[date | None, int]],
    *,
    giver: UUID,
    receiver: UUID,
    actor: UUID,
    policy_version: int,
    occurred_at: datetime,
) -> journal.JournalEntry:
    """Return the entry of a gift. portions: (last day, milli-points) of the giver's lots it takes."""
    source, target = accounts.available(giver), accounts.available(receiver)
    return journal.journal_entry(
        EntryKind.GIFT,
        [Transfer(source, target, amount, expires_on=day) for day, amount in portions],
        origin=Origin(SourceKind.GIFT, gift, actor, giver, policy_version),
        key=f"gift:{gift}",
        occurred_at=occurred_at,
    )


def donation_entry(
    donation: UUID,
    amount: MilliPoints,
    *,
    giver: UUID,
    actor: UUID,
    policy_version: int,
    occurred_at: datetime,
) -> journal.JournalEntry:
    """Return the entry of a donation to the community's pool."""
    return journal.journal_entry(
        EntryKind.DONATION,
        [Transfer(accounts.available(giver), accounts.pool(), amount)],
        origin=Origin(SourceKind.GIFT, donation, actor, giver, policy_version),
        key=f"donation:{donation}",
        occurred_at=occurred_at,
    )


def expiry_entry(
    run: UUID,
    amount: MilliPoints,
    *,
    member: UUID,
    day: date,
    through: int,
    policy_version: int,
    occurred_at: datetime,
) -> journal.JournalEntry:
    """Return the entry that takes from a member what expired before local ``day``.

    through: the last entry that the decision read. It stands in the key: what was decided by the same lines
    on the same day is posted once, however often the sweep runs.
    """
    return journal.journal_entry(
        EntryKind.EXPIRY,
        [Transfer(accounts.available(member), accounts.expired(), amount)],
        origin=Origin(SourceKind.EXPIRY_RUN, run, accounts.COMMUNITY_OWNER, member, policy_version),
        key=f"expiry:{member}:{day}:{through}",
        occurred_at=occurred_at,
    )
