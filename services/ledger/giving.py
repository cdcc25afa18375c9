"""Gifts to another member and donations to the pool: by the member, or by a coordinator in their place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.decision import ConcernsOneself
from pointsbank.domain.giving import GiftToOneself, donation_entry, gift_entry, require_within
from pointsbank.domain.journal import EntryKind, InsufficientPoints
from pointsbank.domain.points import MilliPoints, whole
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.platform.clock import local_date, local_year
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import expiry, lot_store, lots, service, store
from services.people import service as people


@dataclass(frozen=True, slots=True)
class Given:
    """A gift or a donation as it was posted. receiver_id: None for the pool.

    portions: (last day, milli-points) of the lots it was taken from; donated points lose their day.
    """

    id: UUID
    number: int
    giver_id: UUID
    receiver_id: UUID | None
    milli_points: MilliPoints
    portions: tuple[tuple[date | None, int], ...]


async def give(
    uow: UnitOfWork, actor: Actor, giver_id: UUID, receiver_id: UUID, *, milli_points: int
) -> Given:
    """Give a member's points to another member; they keep the days on which they expire.

    Raises NotFound, NotAllowed, GiftToOneself, ConcernsOneself (in another's place to oneself),
    GivingNotEnabled, GiftTooSmall, GiftLimit, InsufficientPoints, InvalidValue.
    """
    actor.require_self_or(giver_id, *STAFF, action="give_points")
    if giver_id == receiver_id:
        raise GiftToOneself
    if actor.person_id == receiver_id:
        raise ConcernsOneself  # in a member's place, but to one's own purse
    giver = (await people.person(uow, giver_id)).ledger_ref
    receiver = (await people.person(uow, receiver_id)).ledger_ref
    amount = MilliPoints(whole(milli_points, field="milli_points"))
    version, portions = await _decide(uow, giver, EntryKind.GIFT, amount)
    gift = uuid7()
    entry = gift_entry(
        gift,
        portions,
        giver=giver,
        receiver=receiver,
        actor=actor.ledger_ref,
        policy_version=version,
        occurred_at=uow.clock.now(),
    )
    recorded = await service.post(uow, entry)
    return Given(gift, recorded.number, giver_id, receiver_id, amount, tuple(portions))


async def donate(uow: UnitOfWork, actor: Actor, giver_id: UUID, *, milli_points: int) -> Given:
    """Give a member's points to the community's pool, where they no longer expire.

    Raises NotFound, NotAllowed, GivingNotEnabled, GiftTooSmall, GiftLimit, InsufficientPoints, InvalidValue.
    """
    actor.require_self_or(giver_id, *STAFF, action="donate_points")
    giver = (await people.person(uow, giver_id)).ledger_ref
    amount = MilliPoints(whole(milli_points, field="milli_points"))
    version, portions = await _decide(uow, giver, EntryKind.DONATION, amount)
    donation = uuid7()
    entry = donation_entry(
        donation,
        amount,
        giver=giver,
        actor=actor.ledger_ref,
        policy_version=version,
        occurred_at=uow.clock.now(),
    )
    recorded = await service.post(uow, entry)
    return Given(donation, recorded.number, giver_id, None, amount, tuple(portions))


async def _decide(
    uow: UnitOfWork, giver: UUID, kind: EntryKind, amount: MilliPoints
) -> tuple[int, list[tuple[date | None, int]]]:
    """Return the policy version that lets ``amount`` be given, and the days of the lots it takes."""
    await lots.lock(uow)
    timezone = (await people.community(uow)).timezone
    today = local_date(uow.clock.now(), timezone)
    policy = await service.policy_on(uow, today)
    rules = policy.gifts if kind is EntryKind.GIFT else policy.donations
    this_year = await moved_this_year(uow, giver, kind, today, timezone, incoming=False)
    require_within(rules, kind, amount, this_year=this_year)
    # A gift keeps its points' days: those that have passed go first, or the sweep would never meet them.
    await expiry.expire_member(uow, giver, today)
    found = await lots.fold(uow, giver)
    if found.available < amount:
        raise InsufficientPoints(
            account_kind=accounts.available(giver).kind, available=found.available, requested=amount
        )
    return policy.version, found.next_spent(amount)


async def moved_this_year(
    uow: UnitOfWork, member: UUID, kind: EntryKind, today: date, timezone: str, *, incoming: bool
) -> int:
    """Return what a member gave (or was given) by entries of ``kind`` recorded in today's calendar year."""
    code = accounts.available(member)
    account = (await store.account_numbers(uow, [code])).get(code)
    if account is None:
        return 0
    start, _ = local_year(today, timezone)
    after = await store.last_entry_before(uow, start)
    return await lot_store.points_moved(uow, account, kind, after_entry=after, incoming=incoming)
