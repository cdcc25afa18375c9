"""Standing orders: the same meal again and again, each day an ordinary redemption some days before.

Points are held meal by meal, so a standing order itself holds nothing. A day that cannot be ordered (too few
points, the day's limit) keeps its reason, is shown, and is tried again until it has come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from pointsbank.domain.errors import DomainError, InvalidValue, NotFound, WrongState
from pointsbank.domain.meals import Diet, MealWish, Mode, Standing, standing
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care.ties import require_view, speaks_for
from services.ledger import service as ledger
from services.people import service as people
from services.settlement import service
from services.settlement.meals import store
from services.settlement.meals.views import StandingInfo

AHEAD_DAYS = 2
"""How many days before it is eaten a standing meal is ordered and its points are held."""
SHOWN_MAX = 20
PROBLEMS_MAX = 200


@dataclass(frozen=True, slots=True)
class AskStanding:
    """What is wanted again and again. weekdays: 0 for Monday; until: the last day, included."""

    member_id: UUID
    item: str
    weekdays: tuple[int, ...]
    first: date
    until: date
    mode: Mode = Mode.DINE_IN
    diet: Diet | None = None


async def ask(uow: UnitOfWork, actor: Actor, command: AskStanding) -> StandingInfo:
    """Order a meal for every named weekday. By the member, confirmed family or a coordinator.

    Raises NotFound, NotAllowed, UnknownItem, InvalidValue.
    """
    await speaks_for(uow, actor, command.member_id, action="redeem")
    member = await people.person(uow, command.member_id)
    today = await people.local_today(uow)
    (await ledger.policy_on(uow, today)).item(PartnerCode.CANTEEN, command.item)
    days = standing(command.weekdays, command.first, command.until, today=today)
    if command.mode is Mode.DELIVERY and member.building_id is None:
        raise InvalidValue(field="mode", rule="known_building")
    asked = StandingInfo(
        id=uuid7(),
        member_id=member.id,
        asked_by=actor.person_id,
        item=command.item,
        mode=command.mode,
        diet=command.diet,
        weekdays=tuple(sorted(days.weekdays)),
        first=days.first,
        until=days.until,
        asked_at=uow.clock.now(),
        ended_at=None,
    )
    await store.insert_standing(uow, asked)
    return asked


async def end(uow: UnitOfWork, actor: Actor, standing_id: UUID) -> StandingInfo:
    """End a standing order; meals that are ordered already stay, and are cancelled one by one.

    Raises NotFound, NotAllowed.
    """
    await _locked(uow, actor, standing_id)
    await store.end_standing(uow, standing_id)
    return await _info(uow, standing_id)


async def skip(uow: UnitOfWork, actor: Actor, standing_id: UUID, day: date) -> StandingInfo:
    """Leave a day out; one that is ordered already is called off as any order is.

    Raises NotFound, NotAllowed, InvalidValue, WrongState.
    """
    held = await _locked(uow, actor, standing_id)
    if day < await people.local_today(uow) or day not in set(
        _days(held).days(day - timedelta(days=1), day, skipped=())
    ):
        raise InvalidValue(field="day", rule="a_day_of_the_series")
    ordered = next((each.redemption_id for each in held.meals if each.business_date == day), None)
    if ordered is not None:
        raise WrongState(what="redemption", state="ordered", action="skip")
    await store.save_day(uow, standing_id, day)
    return await _info(uow, standing_id)


async def standing_of(uow: UnitOfWork, actor: Actor, member_id: UUID) -> list[StandingInfo]:
    """Return a member's standing orders, the latest first, to who may see them. Raises NotAllowed."""
    if not actor.has(*READERS):
        await require_view(uow, actor, member_id, action="view_redemption")
    return await store.standing_of(uow, member_id, SHOWN_MAX)


async def problems(uow: UnitOfWork) -> Sequence[tuple[UUID, date, str]]:
    """Return days to come that could not be ordered: (member, day, why), the soonest first."""
    return await store.with_problems(uow, await people.local_today(uow), PROBLEMS_MAX)


async def due(uow: UnitOfWork) -> list[tuple[UUID, date]]:
    """Return the standing meals of the next ``AHEAD_DAYS`` days that are not ordered, as (order, day)."""
    today = await people.local_today(uow)
    return [(held.id, day) for held in await store.standing_now(uow, today) for day in _due(held, today)]


async def order_day(uow: UnitOfWork, standing_id: UUID, day: date) -> bool:
    """Order one day of a standing order; False when somebody did so, skipped it or ended the order meanwhile.

    The order is locked, and the database knows each of its days once. Raises what
    :func:`service.redeem` raises, and the caller then keeps it by :func:`keep_problem`.
    """
    held = await store.standing(uow, standing_id, lock=True)
    if held is None or day not in _due(held, await people.local_today(uow)):
        return False
    actor = (await people.person(uow, held.member_id)).actor
    wish = MealWish(held.mode, diet=held.diet)
    command = service.Redeem(held.member_id, PartnerCode.CANTEEN, held.item, business_date=day, meal=wish)
    ordered = await service.redeem(uow, actor, command)
    await store.save_day(uow, held.id, day, redemption_id=ordered.id)
    return True


async def keep_problem(uow: UnitOfWork, standing_id: UUID, day: date, error: DomainError) -> None:
    """Keep why a day could not be ordered, for the member and the coordinator to see."""
    held = await store.standing(uow, standing_id, lock=True)
    if held is not None and day in _due(held, await people.local_today(uow)):
        await store.save_day(uow, standing_id, day, problem=error.code)


def _due(held: StandingInfo, today: date) -> list[date]:
    if held.ended_at is not None:
        return []
    settled = {each.business_date for each in held.meals if each.problem is None or each.redemption_id}
    days = _days(held).days(today - timedelta(days=1), today + timedelta(days=AHEAD_DAYS), skipped=settled)
    return list(days)


def _days(held: StandingInfo) -> Standing:
    return Standing(frozenset(held.weekdays), held.first, held.until)


async def _locked(uow: UnitOfWork, actor: Actor, standing_id: UUID) -> StandingInfo:
    held = await store.standing(uow, standing_id, lock=True)
    if held is None:
        raise NotFound(what="standing_order")
    await speaks_for(uow, actor, held.member_id, action="redeem")
    return held


async def _info(uow: UnitOfWork, standing_id: UUID) -> StandingInfo:
    found = await store.standing(uow, standing_id)
    assert found is not None, "it was locked before"
    return found
