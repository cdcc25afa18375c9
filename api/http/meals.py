"""Meals: what is served, how it was liked, and the same again every weekday."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import SIGNED_IN
from api.dependencies import CREATED, SignedIn, change, desk, read
from api.http.wire import Asked, Code, Day, Told, WholeNumber
from pointsbank.domain.meals import SCORE_MAX, SCORE_MIN, Diet, Meal, Mode
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.settlement.meals import feedback, menus, standing


class DishAnswer(Told):
    """A dish on the day's menu. left: how many can still be ordered; item: what it is sold as."""

    meal: Meal
    point: str
    point_name: str
    dish: str
    name: str
    item: str
    tags: list[str]
    allergens: list[str]
    left: int


class MenuAnswer(Told):
    """A day's menu. ``reachable``: false when the canteen does not answer; its sets are sold all the same."""

    day: date
    reachable: bool
    dishes: list[DishAnswer]


class RateMeal(Asked):
    """One tap: 1 (poor), 2 or 3 (good)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 3}]})
    score: Annotated[int, WholeNumber(SCORE_MIN, SCORE_MAX)]


class ComplainOfMeal(Asked):
    """What was wrong with a meal."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"complaint": "饭是凉的"}]})
    complaint: str


class MealFeedbackAnswer(Told):
    """What was said of a meal. ``answer_by``: until when the canteen answers."""

    redemption_id: UUID
    score: int | None
    complaint: str | None
    complained_at: datetime | None
    answer_by: date | None
    answer: str | None
    upheld: bool | None


class AskStanding(Asked):
    """The same meal again and again. ``member_id``: yourself unless named; ``weekdays``: 0 for Monday."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item": "lunch_set",
                    "weekdays": [0, 1, 2, 3, 4],
                    "first": "2026-03-09",
                    "until": "2026-06-30",
                    "mode": "delivery",
                }
            ]
        }
    )
    member_id: UUID | None = None
    item: Code
    weekdays: list[Annotated[int, WholeNumber(0, 6)]]
    first: Day
    until: Day
    mode: Mode = Mode.DINE_IN
    diet: Diet | None = None


class SkipDay(Asked):
    """A day to leave out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"day": "2026-03-10"}]})
    day: Day


class StandingMealAnswer(Told):
    """One day: ordered, not yet possible (``problem`` says why), or skipped (neither)."""

    business_date: date
    redemption_id: UUID | None
    problem: str | None


class StandingAnswer(Told):
    """A standing order with its days that were looked at, the latest first."""

    id: UUID
    member_id: UUID
    item: str
    mode: Mode
    diet: Diet | None
    weekdays: list[int]
    first: date
    until: date
    ended_at: datetime | None
    meals: list[StandingMealAnswer]


class StandingPage(Told):
    """A member's standing orders, the latest first."""

    items: list[StandingAnswer]


@get("/menu", opt=SIGNED_IN, operation_id="get_menu")
async def menu(
    request: SignedIn,
    day: Annotated[date | None, QueryParameter(description="a local day; today unless named")] = None,
) -> MenuAnswer:
    """Tell what the canteen serves on a day, with what is left of each dish."""
    if day is None:
        async with desk(request).database.unit_of_work(request.auth.community_id) as uow:
            day = await people.local_today(uow)
    found = await menus.menu_of(desk(request).partners, request.auth.community_id, day)
    dishes = [DishAnswer.of(each) for each in found or ()]
    return MenuAnswer(day=day, reachable=found is not None, dishes=dishes)


@put("/redemptions/{redemption_id:uuid}/rating", opt=SIGNED_IN, operation_id="rate_meal")
async def rate(
    request: SignedIn, redemption_id: FromPath[UUID], data: JSONBody[RateMeal]
) -> Response[MealFeedbackAnswer]:
    """Say how a meal was liked; said again, the last word stands."""

    async def work(uow: UnitOfWork, actor: Actor) -> MealFeedbackAnswer:
        return MealFeedbackAnswer.of(await feedback.rate(uow, actor, redemption_id, data.score))

    return await change(request, work)


@post(
    "/redemptions/{redemption_id:uuid}/complaint",
    opt=SIGNED_IN,
    operation_id="complain_of_meal",
    status_code=CREATED,
)
async def complain(
    request: SignedIn, redemption_id: FromPath[UUID], data: JSONBody[ComplainOfMeal]
) -> Response[MealFeedbackAnswer]:
    """Complain about a meal; the canteen answers within its own days."""

    async def work(uow: UnitOfWork, actor: Actor) -> MealFeedbackAnswer:
        return MealFeedbackAnswer.of(await feedback.complain(uow, actor, redemption_id, data.complaint))

    return await change(request, work, status=CREATED)


@post("/standing-orders", opt=SIGNED_IN, operation_id="ask_standing_order", status_code=CREATED)
async def ask(request: SignedIn, data: JSONBody[AskStanding]) -> Response[StandingAnswer]:
    """Order a meal for every named weekday; each day's points are held some days before."""

    async def work(uow: UnitOfWork, actor: Actor) -> StandingAnswer:
        command = standing.AskStanding(
            member_id=data.member_id or actor.person_id,
            item=data.item,
            weekdays=tuple(data.weekdays),
            first=data.first,
            until=data.until,
            mode=data.mode,
            diet=data.diet,
        )
        return StandingAnswer.of(await standing.ask(uow, actor, command))

    return await change(request, work, status=CREATED)


@get("/standing-orders", opt=SIGNED_IN, operation_id="list_standing_orders")
async def standing_orders(
    request: SignedIn,
    member_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
) -> StandingPage:
    """List a member's standing orders."""

    async def work(uow: UnitOfWork, actor: Actor) -> StandingPage:
        found = await standing.standing_of(uow, actor, member_id or actor.person_id)
        return StandingPage(items=[StandingAnswer.of(each) for each in found])

    return await read(request, work)


@post(
    "/standing-orders/{standing_id:uuid}/skip",
    opt=SIGNED_IN,
    operation_id="skip_standing_day",
    status_code=200,
)
async def skip(
    request: SignedIn, standing_id: FromPath[UUID], data: JSONBody[SkipDay]
) -> Response[StandingAnswer]:
    """Leave a day out that has not been ordered yet."""

    async def work(uow: UnitOfWork, actor: Actor) -> StandingAnswer:
        return StandingAnswer.of(await standing.skip(uow, actor, standing_id, data.day))

    return await change(request, work)


@post(
    "/standing-orders/{standing_id:uuid}/end",
    opt=SIGNED_IN,
    operation_id="end_standing_order",
    status_code=200,
)
async def end(request: SignedIn, standing_id: FromPath[UUID]) -> Response[StandingAnswer]:
    """End a standing order; what is ordered already stays."""

    async def work(uow: UnitOfWork, actor: Actor) -> StandingAnswer:
        return StandingAnswer.of(await standing.end(uow, actor, standing_id))

    return await change(request, work)


router = Router("/", route_handlers=[menu, rate, complain, ask, standing_orders, skip, end], tags=["meals"])
