"""What points buy, and buying it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import SIGNED_IN
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import PAGE_DEFAULT, AfterId, Asked, Code, Day, Limit, Told, WholeNumber
from api.idempotency import KEYED
from pointsbank.domain.meals import Diet, MealWish, Mode
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.subsidy.payers import Meal, Payer
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.settlement import service as settlement

QUANTITY_MAX = 100


class ShareAnswer(Told):
    """What one payer pays of a meal, in fen. ``place``: which city, district or town (its division code)."""

    payer: Payer
    fen: int
    place: str | None


class QuoteAnswer(Told):
    """What an order would cost now. ``milli_points``: what would be held of the member's points.

    For a meal ``shares`` say who would pay; they sum to ``fen``. ``lost``: what a payer does not pay at this
    canteen for this household, so that the member does. ``second``: this meal of the day is subsidised
    already.
    """

    partner: str
    item: str
    quantity: int
    business_date: date
    fen: int
    milli_points: int
    policy_version: int
    meal: Meal | None
    tier: str | None
    subsidised: bool
    second: bool
    shares: list[ShareAnswer]
    lost: list[ShareAnswer]


class ItemAnswer(Told):
    """What points buy: the price of one, and how many a member may have a day."""

    partner: str
    code: str
    milli_points: int
    fen: int
    daily_limit: int


class ItemPage(Told):
    """Everything that points buy on a day."""

    day: date
    items: list[ItemAnswer]


class Redeem(Asked):
    """What a member wants. ``member_id``: yourself unless named; ``business_date``: today unless named.

    ``dish``, ``point``: of the day's menu (``/menu``); ``mode``, ``diet``: how a meal is wanted.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"partner": "canteen", "item": "lunch", "quantity": 1}]}
    )
    member_id: UUID | None = None
    partner: Code
    item: Code
    quantity: Annotated[int, WholeNumber(1, QUANTITY_MAX)] = 1
    business_date: Day | None = None
    mode: Mode | None = None
    dish: Code | None = None
    point: Code | None = None
    diet: Diet | None = None

    def wish(self) -> MealWish | None:
        """Return how the meal is wanted; None when nothing is said of it."""
        if not (self.mode or self.dish or self.point or self.diet):
            return None
        return MealWish(self.mode or Mode.DINE_IN, self.dish, self.point, self.diet)


class RedemptionAnswer(Told):
    """A redemption as it stands. ``voucher``: what the member shows at the counter.

    ``shares``: who pays for a meal, frozen with the order; they sum to ``fen``. ``served``: how many of
    ``quantity`` were handed over. ``cancelling``: a cancellation was asked for and the partner has not
    answered yet.
    """

    id: UUID
    member_id: UUID
    requested_by: UUID
    partner: str
    item: str
    quantity: int
    milli_points: int
    fen: int
    business_date: date
    voucher: str
    state: RedemptionState
    reason: str | None
    partner_reference: str | None
    captured_on: date | None
    served: int | None
    cancelling: bool
    shares: list[ShareAnswer]
    created_at: datetime
    updated_at: datetime


class RedemptionPage(Told):
    """Redemptions, newest first. ``next_after`` is null on the last page."""

    items: list[RedemptionAnswer]
    next_after: UUID | None


@get("/items", opt=SIGNED_IN, operation_id="list_items")
async def items(
    request: SignedIn,
    day: Annotated[date | None, QueryParameter(description="a local day; today unless named")] = None,
) -> ItemPage:
    """List what points buy on a day, at the price of that day's policy."""

    async def work(uow: UnitOfWork, _actor: Actor) -> ItemPage:
        on = day or await people.local_today(uow)
        return ItemPage(
            day=on, items=[ItemAnswer.of(item) for item in await settlement.redeemable_items(uow, on)]
        )

    return await read(request, work)


@post("/redemptions", opt=SIGNED_IN | KEYED, operation_id="redeem", status_code=CREATED)
async def redeem(request: SignedIn, data: JSONBody[Redeem]) -> Response[RedemptionAnswer]:
    """Set points aside for an item and have it ordered at the partner."""

    async def work(uow: UnitOfWork, actor: Actor) -> RedemptionAnswer:
        command = settlement.Redeem(
            member_id=data.member_id or actor.person_id,
            partner=data.partner,
            item=data.item,
            quantity=data.quantity,
            business_date=data.business_date,
            meal=data.wish(),
        )
        return RedemptionAnswer.of(await settlement.redeem(uow, actor, command))

    return await change(request, work, status=CREATED)


@get("/redemptions/quote", opt=SIGNED_IN, operation_id="quote_redemption")
async def quote(
    request: SignedIn,
    partner: Annotated[str, QueryParameter(max_length=60, description="where")],
    item: Annotated[str, QueryParameter(max_length=60, description="what")],
    quantity: Annotated[int, QueryParameter(ge=1, le=QUANTITY_MAX, description="how many")] = 1,
    business_date: Annotated[
        date | None, QueryParameter(description="a local day; today unless named")
    ] = None,
    member_id: Annotated[UUID | None, QueryParameter(description="for whom; yourself unless named")] = None,
) -> QuoteAnswer:
    """Tell what an order would cost and who would pay it, before anything is held."""

    async def work(uow: UnitOfWork, actor: Actor) -> QuoteAnswer:
        day = business_date or await people.local_today(uow)
        command = settlement.Redeem(member_id or actor.person_id, partner, item, quantity, day)
        found = await settlement.quote(uow, actor, command)
        split = found.split
        return QuoteAnswer(
            partner=partner,
            item=item,
            quantity=quantity,
            business_date=day,
            fen=found.fen,
            milli_points=found.milli_points,
            policy_version=found.policy_version,
            meal=split.meal if split else None,
            tier=split.tier if split else None,
            subsidised=split.subsidised if split else False,
            second=split.second if split else False,
            shares=[ShareAnswer.of(share) for share in split.shares] if split else [],
            lost=[ShareAnswer.of(share) for share in split.lost] if split else [],
        )

    return await read(request, work)


@get("/redemptions", opt=SIGNED_IN, operation_id="list_redemptions")
async def redemptions(
    request: SignedIn,
    member_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
    after: AfterId = None,
    limit: Limit = PAGE_DEFAULT,
) -> RedemptionPage:
    """List a member's redemptions, newest first."""

    async def work(uow: UnitOfWork, actor: Actor) -> RedemptionPage:
        member = member_id or actor.person_id
        actor.require_self_or(member, *READERS, action="view_redemption")
        found = await settlement.redemptions_of(uow, member, after=after, limit=limit)
        items = [RedemptionAnswer.of(info) for info in found]
        return RedemptionPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@get("/redemptions/{redemption_id:uuid}", opt=SIGNED_IN, operation_id="get_redemption")
async def redemption(request: SignedIn, redemption_id: FromPath[UUID]) -> RedemptionAnswer:
    """Return one redemption, to its member or to who may read the community."""

    async def work(uow: UnitOfWork, actor: Actor) -> RedemptionAnswer:
        return RedemptionAnswer.of(await settlement.redemption(uow, actor, redemption_id))

    return await read(request, work)


@post(
    "/redemptions/{redemption_id:uuid}/cancel",
    opt=SIGNED_IN | KEYED,
    operation_id="cancel_redemption",
    status_code=200,
)
async def cancel(request: SignedIn, redemption_id: FromPath[UUID]) -> Response[RedemptionAnswer]:
    """Call a redemption off. One that the partner knows of ends when the partner has agreed."""

    async def work(uow: UnitOfWork, actor: Actor) -> RedemptionAnswer:
        return RedemptionAnswer.of(await settlement.cancel_redemption(uow, actor, redemption_id))

    return await change(request, work)


router = Router(
    "/", route_handlers=[items, redeem, quote, redemptions, redemption, cancel], tags=["redemptions"]
)
