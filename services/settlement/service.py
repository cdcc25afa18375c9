"""Redemptions: points set aside for a meal or a pack, ordered at the partner, paid when it is handed over.

A redemption is decided here and carried out by the worker: the hold and the intent to tell the partner
stand in one commit. What the partner says comes through :func:`hear`, however it came (an answer, an
event, a statement), and may come any number of times.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pointsbank.domain import accounts
from pointsbank.domain import redemption as rules
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.hold import Hold, HoldExpired
from pointsbank.domain.journal import Origin, SourceKind
from pointsbank.domain.meals import MealWish
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.policy import Item
from pointsbank.domain.redemption import ENDED, PartnerWord, RedemptionState
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.domain.subsidy.refund import points_left
from pointsbank.domain.subsidy.split import MealAlreadySubsidised
from pointsbank.platform import outbox
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import holds as ledger_holds
from services.ledger import service as ledger
from services.people import service as people
from services.settlement import store
from services.settlement.meals import orders as meals
from services.settlement.store import NewRedemption
from services.settlement.subsidies import freezing, share_store
from services.settlement.subsidies.freezing import Quote
from services.settlement.views import CANCEL_ASKED, ItemInfo, PartnerInfo, RedemptionInfo

REQUEST = "redemption.request"
CANCEL = "redemption.cancel"
HEARD: Mapping[PartnerWord, str] = {
    PartnerWord.FULFILLED: "redemption.capture",
    PartnerWord.REFUSED: "redemption.void.refused",
    PartnerWord.CANCELLED: "redemption.void.cancelled",
    PartnerWord.LAPSED: "redemption.void.lapsed",
}
"""What is to be done about a word that came as an event; an acceptance is the request's own answer."""

INTRODUCE = "partner.introduce"

PAGE_MAX = 200
VOUCHER_DIGITS = 6
VOUCHER_TRIES = 50
EXPIRED = "hold_expired"

PARTNER_NAMES: Mapping[PartnerCode, str] = {
    PartnerCode.CANTEEN: "长者饭堂",
    PartnerCode.STATION: "爱心驿站",
}
"""What a community's partners are called until it says otherwise."""


@dataclass(frozen=True, slots=True)
class Redeem:
    """What a member asks for. partner: its code; business_date: local day, None for today.

    meal: how a meal is wanted; None for a set at the counter.
    """

    member_id: UUID
    partner: str
    item: str
    quantity: int = 1
    business_date: date | None = None
    meal: MealWish | None = None


async def add_partners(uow: UnitOfWork, names: Mapping[PartnerCode, str] = PARTNER_NAMES) -> None:
    """Give the community its partners; the worker then introduces the community to each of them."""
    for partner_id in await store.add_partners(uow, names):
        await outbox.add(uow, INTRODUCE, partner_id)


async def partners(uow: UnitOfWork) -> list[PartnerInfo]:
    """Return the community's partners in order of code."""
    return await store.partners(uow)


async def partner(uow: UnitOfWork, code: str) -> PartnerInfo:
    """Return the partner with ``code``. Raises NotFound."""
    for found in await store.partners(uow):
        if found.code == code:
            return found
    raise NotFound(what="partner")


async def redeemable_items(uow: UnitOfWork, day: date) -> list[ItemInfo]:
    """Return what points buy under the policy of a local day, in order of partner and code."""
    policy = await ledger.policy_on(uow, day)
    known = {partner.code for partner in await store.partners(uow)}
    return [
        ItemInfo(item.partner, item.code, item.milli_points, item.fen, item.daily_limit)
        for _, item in sorted(policy.items.items())
        if item.partner in known
    ]


async def redeem(uow: UnitOfWork, actor: Actor, command: Redeem) -> RedemptionInfo:
    """Set a member's points aside for an item and have it ordered at the partner.

    For the member or a coordinator in their place. The price is the policy's of today; who pays a meal is
    frozen with it, and only the member's own points are held.
    Raises NotAllowed, NotFound, UnknownItem, InvalidValue, DailyLimitReached, MealAlreadySubsidised,
    InsufficientPoints.
    """
    actor.require_self_or(command.member_id, Role.COORDINATOR, action="redeem")
    member = await people.person(uow, command.member_id)
    sold_by = await partner(uow, command.partner)
    timezone, now = (await people.community(uow)).timezone, uow.clock.now()
    today = local_date(now, timezone)
    day = command.business_date or today
    policy = await ledger.policy_on(uow, today)
    item = policy.item(command.partner, command.item)
    # Two orders at once would each see the other's place in the day's limit free.
    await people.lock_people(uow, [command.member_id])
    taken = await store.taken(uow, [command.member_id], day, day)
    rules.require_order(
        item,
        quantity=command.quantity,
        taken=taken.get((command.member_id, sold_by.id, item.code, day), 0),
        day=day,
        today=today,
    )
    quote = await _quoted(uow, member, item, day, command.quantity)
    redemption_id = uuid7()
    hold = Hold(
        id=redemption_id,
        member=member.ledger_ref,
        partner=sold_by.id,
        amount=quote.milli_points,
        expires_at=rules.hold_until(now, day_ends=day_end(day, timezone), hold_hours=policy.hold_hours),
    )
    origin = Origin(
        source_kind=SourceKind.REDEMPTION,
        source_id=redemption_id,
        actor=actor.ledger_ref,
        subject=member.ledger_ref,
        policy_version=policy.version,
    )
    await ledger_holds.open_hold(uow, hold, origin)
    await _insert_with_voucher(
        uow,
        {
            "id": redemption_id,
            "member_id": command.member_id,
            "requested_by": actor.person_id,
            "partner_id": sold_by.id,
            "item": item.code,
            "quantity": command.quantity,
            "milli_points": int(hold.amount),
            "fen": quote.fen,
            "business_date": day,
            "at": now,
            "subsidised_meal": quote.subsidised_meal,
        },
    )
    if command.meal is not None:
        if sold_by.code != PartnerCode.CANTEEN:
            raise InvalidValue(field="dish", rule="only_at_the_canteen")
        await meals.want(uow, redemption_id, member, command.meal)
    await share_store.insert_meals(uow, freezing.frozen(redemption_id, quote, now))
    await outbox.add(uow, REQUEST, redemption_id)
    return await _shared(uow, await _known(uow, redemption_id))


async def quote(uow: UnitOfWork, actor: Actor, command: Redeem) -> Quote:
    """Return what an order would cost now and who would pay it; nothing is held or promised.

    For the member or who may order in their place. Raises NotAllowed, NotFound, UnknownItem, InvalidValue,
    MealAlreadySubsidised.
    """
    actor.require_self_or(command.member_id, Role.COORDINATOR, action="redeem")
    member = await people.person(uow, command.member_id)
    await partner(uow, command.partner)
    today = await people.local_today(uow)
    day = command.business_date or today
    item = (await ledger.policy_on(uow, today)).item(command.partner, command.item)
    rules.require_order_of(quantity=command.quantity, day=day, today=today)
    return await _quoted(uow, member, item, day, command.quantity)


async def quotes(uow: UnitOfWork, member_id: UUID, day: date) -> dict[tuple[str, str], Quote]:
    """Return what one of each item would cost a member for today, by partner and item.

    An item of which the policy refuses them a second one that day is not among them. For callers that have
    decided who may see it. Raises NotFound.
    """
    policy = await ledger.policy_on(uow, day)
    known = await freezing.diners(uow, [await people.person(uow, member_id)], day, day)
    found: dict[tuple[str, str], Quote] = {}
    for key, item in policy.items.items():
        with contextlib.suppress(MealAlreadySubsidised):
            found[key] = known.quote(policy, item, member_id, day, 1)
    return found


async def cancel_redemption(uow: UnitOfWork, actor: Actor, redemption_id: UUID) -> RedemptionInfo:
    """Call a redemption off, by the member or a coordinator.

    One the partner has not been told of ends at once; otherwise the partner is asked and its answer
    decides (``cancelling`` until then). Asked twice, it is asked once.
    Raises NotFound, NotAllowed, WrongState.
    """
    held = await _known(uow, redemption_id, lock=True)
    actor.require_self_or(held.member_id, Role.COORDINATOR, action="cancel_redemption")
    if held.state is RedemptionState.CANCELLED or held.cancelling:
        return held
    rules.advance(held.state, RedemptionState.CANCELLED)
    if held.state is RedemptionState.HELD:
        await ledger_holds.void_hold(uow, redemption_id, actor=actor.ledger_ref)
        await store.change(uow, redemption_id, state=RedemptionState.CANCELLED.value)
    else:
        await store.change(uow, redemption_id, reason=CANCEL_ASKED)
        await outbox.add(uow, CANCEL, redemption_id)
    return await _known(uow, redemption_id)


async def redemption(uow: UnitOfWork, actor: Actor, redemption_id: UUID) -> RedemptionInfo:
    """Return a redemption to its member or to who may read the community.

    Raises NotFound, NotAllowed.
    """
    found = await _known(uow, redemption_id)
    actor.require_self_or(found.member_id, *READERS, action="view_redemption")
    return await _shared(uow, replace(found, meal=await meals.wanted(uow, redemption_id)))


async def redemptions_of(
    uow: UnitOfWork, member_id: UUID, *, after: UUID | None = None, limit: int = 50
) -> list[RedemptionInfo]:
    """Return a member's redemptions, the newest first. after: the last id of the page before."""
    found = await store.redemptions(uow, member_id=member_id, before=after, limit=_page(limit))
    return await freezing.with_shares(uow, found)


async def redemptions(
    uow: UnitOfWork, *, state: RedemptionState | None = None, after: UUID | None = None, limit: int = 50
) -> list[RedemptionInfo]:
    """Return the community's redemptions, the newest first. after: the last id of the page before."""
    return await store.redemptions(uow, state=state, before=after, limit=_page(limit))


async def begin_request(uow: UnitOfWork, redemption_id: UUID) -> RedemptionInfo | None:
    """Note that the partner is about to be told, and return what to tell; None when it has ended."""
    held = await _known(uow, redemption_id, lock=True)
    if held.state in ENDED:
        return None
    if held.state is RedemptionState.HELD:
        await store.change(uow, redemption_id, state=RedemptionState.REQUESTED.value)
    return await _shared(uow, replace(held, meal=await meals.wanted(uow, redemption_id)))


async def hear(
    uow: UnitOfWork,
    redemption_id: UUID,
    word: PartnerWord,
    *,
    said_by: UUID,
    reference: str | None = None,
    reason: str | None = None,
    served: int | None = None,
) -> RedemptionInfo:
    """Do what a partner's word says: capture, void, or note the acceptance. Twice does it once.

    said_by: the partner whose word it is. reason: why it was refused. served: how many of the order were
    handed over, None for what its event said, or all; what they cost is captured and the rest given back. A
    word that comes after the redemption has ended changes nothing here; if the partner still means to serve
    what we have called off, it is told so again. A hold whose time had passed when we were told is given back
    even if the meal was served: reconciliation names it. Raises NotFound, InvalidValue (another partner's
    redemption, more than was ordered).
    """
    held = await _known(uow, redemption_id, lock=True)
    if held.partner_id != said_by:
        raise InvalidValue(field="redemption_id", rule="of_this_partner")
    to = rules.hear(held.state, word)
    if to is None:
        called_off = held.state in (RedemptionState.CANCELLED, RedemptionState.LAPSED)
        if called_off and word is PartnerWord.ACCEPTED:
            await outbox.add(uow, CANCEL, redemption_id)
        if reference is not None and held.partner_reference is None:
            await store.change(uow, redemption_id, partner_reference=reference)
        if word is PartnerWord.REFUSED and held.state is RedemptionState.REFUSED and held.reason is None:
            await store.change(uow, redemption_id, reason=reason)
        return await _known(uow, redemption_id)
    handed_over: int | None = None
    if to is RedemptionState.FULFILLED:
        handed_over = (
            served or await store.told_quantity(uow, held.id, partner_id=held.partner_id) or held.quantity
        )
        rules.portion(held.fen, quantity=held.quantity, served=handed_over)  # within what was ordered
        paid = points_left(
            held.milli_points,
            await freezing.shares_of(uow, held.id),
            quantity=held.quantity,
            kept=handed_over,
        )
        try:
            await ledger_holds.capture_hold(
                uow,
                redemption_id,
                amount=paid,
                actor=held.partner_id,
                told_at=await store.told_at(uow, redemption_id, partner_id=held.partner_id, word=word),
            )
        except HoldExpired:
            return await lapse(uow, redemption_id)
    elif to in ENDED:
        await ledger_holds.void_hold(uow, redemption_id, actor=held.partner_id)
    await store.change(
        uow,
        redemption_id,
        state=to.value,
        reason=reason if to in ENDED else held.reason,
        partner_reference=reference or held.partner_reference,
        captured_on=held.business_date if to is RedemptionState.FULFILLED else None,
        served=handed_over,
    )
    if handed_over is not None and handed_over < held.quantity:
        kept = rules.portion(held.fen, quantity=held.quantity, served=handed_over)
        await freezing.refund_meal(uow, redemption_id, redemption_id, fen=held.fen - kept)
    return await _known(uow, redemption_id)


async def lapse(uow: UnitOfWork, redemption_id: UUID) -> RedemptionInfo:
    """Give back a redemption whose hold has expired, and tell the partner not to serve it.

    One that has ended, or whose time has not come, stays as it is; one that was served, as we were told in
    time, is captured. Raises NotFound.
    """
    held = await _known(uow, redemption_id, lock=True)
    hold = await ledger_holds.lock_hold(uow, redemption_id)
    if held.state in ENDED or uow.clock.now() < hold.expires_at:
        return held
    fulfilled, partner_id = PartnerWord.FULFILLED, held.partner_id
    told_at = await store.told_at(uow, redemption_id, partner_id=partner_id, word=fulfilled)
    if told_at is not None and hold.in_time(told_at):
        return await hear(uow, redemption_id, fulfilled, said_by=partner_id)
    await ledger_holds.expire_hold(uow, redemption_id, actor=accounts.COMMUNITY_OWNER)
    await store.change(uow, redemption_id, state=RedemptionState.LAPSED.value, reason=EXPIRED)
    if held.state is not RedemptionState.HELD:
        await outbox.add(uow, CANCEL, redemption_id)
    return await _known(uow, redemption_id)


async def cancellation_refused(uow: UnitOfWork, redemption_id: UUID) -> RedemptionInfo:
    """Note that the partner will not call an order off: it goes on, and may be called off again.

    Raises NotFound.
    """
    held = await _known(uow, redemption_id, lock=True)
    if held.cancelling:
        await store.change(uow, redemption_id, reason=None)
    return await _known(uow, redemption_id)


async def locked_redemption(uow: UnitOfWork, redemption_id: UUID) -> RedemptionInfo:
    """Return a redemption to the system itself, locked until the unit of work ends. Raises NotFound."""
    return await _known(uow, redemption_id, lock=True)


async def known_redemption(uow: UnitOfWork, redemption_id: UUID) -> RedemptionInfo:
    """Return a redemption to the system itself. Raises NotFound."""
    return await _known(uow, redemption_id)


def day_end(day: date, timezone: str) -> datetime:
    """Return the moment (UTC) at which a local day is over."""
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(timezone)).astimezone(UTC)


async def _quoted(uow: UnitOfWork, member: people.PersonInfo, item: Item, day: date, quantity: int) -> Quote:
    """Return what an order costs; who pays is by the policy of the day eaten."""
    known = await freezing.diners(uow, [member], day, day)
    return known.quote(await ledger.policy_on(uow, day), item, member.id, day, quantity)


async def _shared(uow: UnitOfWork, found: RedemptionInfo) -> RedemptionInfo:
    (shared,) = await freezing.with_shares(uow, [found])
    return shared


async def _insert_with_voucher(uow: UnitOfWork, values: dict[str, Any]) -> None:
    """Write the redemption under a voucher that is free that day: digits, easy to read out."""
    for _ in range(VOUCHER_TRIES):
        voucher = f"{secrets.randbelow(10**VOUCHER_DIGITS):0{VOUCHER_DIGITS}d}"
        if await store.insert_redemption(uow, NewRedemption(**values, voucher=voucher)):
            return
    raise RuntimeError("no free voucher was found")


async def _known(uow: UnitOfWork, redemption_id: UUID, *, lock: bool = False) -> RedemptionInfo:
    found = await store.redemption(uow, redemption_id, lock=lock)
    if found is None:
        raise NotFound(what="redemption")
    return found


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))
