"""The canteen's own signed routes: dishes, menus, sheets, runs, endings, ratings and complaints."""

from __future__ import annotations

from litestar import Response, get, post, put
from litestar.params import FromPath

from pointsbank.domain.errors import InvalidValue, NotFound
from services.canteen import menu_store, sheet_store
from services.canteen.menu_store import Dish
from services.canteen.rules import Meal, Rules, moment
from services.canteen.service import CanteenService
from services.canteen.sheet_store import Count
from services.canteen.wire import (
    Complain,
    ComplaintAnswer,
    CopyWeek,
    DishAnswer,
    End,
    OfMeal,
    OfMenu,
    Rate,
    RunsAnswer,
    SaveDish,
    SavePoint,
    SaveRules,
    SetMenu,
    runs_answer,
)
from services.partnerkit import wire
from services.partnerkit.http import PlainRequest, desk, read_body, read_day, read_id, read_query
from services.partnerkit.wire import Code, CommunityId, OfCommunity, RedemptionAnswer


def canteen(request: PlainRequest) -> CanteenService:
    """Return the canteen behind the application's desk."""
    return CanteenService(desk(request).service)


def read_meal(meal: str) -> Meal:
    """Return a meal from the path. Raises InvalidValue."""
    try:
        return Meal(meal)
    except ValueError:
        raise InvalidValue(field="meal", rule="lunch_or_dinner") from None


@put("/points/{code:str}")
async def save_point(request: PlainRequest, code: FromPath[str]) -> SavePoint:
    """Name a serving point."""
    body = await read_body(request, SavePoint)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        await desk(request).service.community(uow)
        await menu_store.save_point(uow, wire.read_text("code", code, Code), body.name)
    return body


@put("/dishes/{code:str}")
async def save_dish(request: PlainRequest, code: FromPath[str]) -> SaveDish:
    """Write a dish."""
    body = await read_body(request, SaveDish)
    dish = Dish(
        wire.read_text("code", code, Code),
        body.name,
        body.item,
        tuple(sorted(set(body.allergens))),
        tuple(sorted(set(body.tags))),
        body.retired,
    )
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        await desk(request).service.community(uow)
        await canteen(request).save_dish(uow, dish)
    return body


@put("/menus/{day:str}/{meal:str}")
async def set_menu(request: PlainRequest, day: FromPath[str], meal: FromPath[str]) -> SetMenu:
    """Say what is served at a sitting, with how many of each."""
    body = await read_body(request, SetMenu)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        await desk(request).service.community(uow)
        await canteen(request).set_menu(
            uow,
            read_day(day),
            read_meal(meal),
            body.point,
            capacity=body.capacity,
            portions=[(each.dish, each.capacity) for each in body.dishes],
        )
    return body


@post("/menus/copy", status_code=200)
async def copy_week(request: PlainRequest) -> dict[str, int]:
    """Copy one week's menus to another; again copies nothing."""
    body = await read_body(request, CopyWeek)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        await desk(request).service.community(uow)
        return {"lines": await canteen(request).copy_week(uow, body.first, body.to)}


@get("/menus")
async def menus(request: PlainRequest) -> list[DishAnswer]:
    """Tell what is served on some days, and how much of it is left."""
    query = read_query(request, OfMenu)
    async with desk(request).database.unit_of_work(query.community_id) as uow:
        await desk(request).service.community(uow)
        points = await menu_store.serving_points(uow)
        found = await canteen(request).menu_of(uow, query.first, query.last)
    return [DishAnswer.of(each, query.community_id, points) for each in found]


@get("/kitchen/{day:str}")
async def kitchen(request: PlainRequest, day: FromPath[str]) -> list[Count]:
    """Tell the portions of a meal by serving point, dish and diet."""
    query = read_query(request, OfMeal)
    async with desk(request).database.unit_of_work(query.community_id) as uow:
        await desk(request).service.community(uow)
        return await sheet_store.counts(uow, read_day(day), query.meal, query.point)


@get("/runs/{day:str}")
async def runs(request: PlainRequest, day: FromPath[str]) -> RunsAnswer:
    """Tell a meal's delivery runs; they are cut when the time for ordering has passed."""
    at, query = desk(request), read_query(request, OfMeal)
    async with at.database.unit_of_work(query.community_id) as uow:
        community = await at.service.community(uow)
        found = await canteen(request).runs(uow, read_day(day), query.meal)
        rules = await menu_store.rules(uow)
    starts_at = moment(read_day(day), rules.hours(query.meal).served_from, community.timezone)
    return runs_answer(read_day(day), query.meal, found, rules, starts_at)


@get("/rules")
async def rules_of(request: PlainRequest) -> Rules:
    """Tell the community's rules."""
    query = read_query(request, OfCommunity)
    async with desk(request).database.unit_of_work(query.community_id) as uow:
        await desk(request).service.community(uow)
        return await menu_store.rules(uow)


@put("/rules")
async def save_rules(request: PlainRequest) -> Rules:
    """Change the community's rules; what the document does not mention is as by default."""
    body = await read_body(request, SaveRules)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        return await canteen(request).save_rules(uow, body.rules)


@post("/redemptions/{redemption_id:str}/end", status_code=200)
async def end(request: PlainRequest, redemption_id: FromPath[str]) -> RedemptionAnswer:
    """Record that an order was not taken, or was given as another dish."""
    body = await read_body(request, End)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        found = await canteen(request).end(uow, read_id(redemption_id), body.outcome, dish=body.dish)
        return RedemptionAnswer.of(found)


@put("/redemptions/{redemption_id:str}/rating")
async def rate(request: PlainRequest, redemption_id: FromPath[str]) -> Rate:
    """Note how a meal was liked; the last word counts."""
    body = await read_body(request, Rate)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        await canteen(request).rate(uow, read_id(redemption_id), body.score)
    return body


@put("/redemptions/{redemption_id:str}/complaint")
async def complain(request: PlainRequest, redemption_id: FromPath[str]) -> ComplaintAnswer:
    """File a complaint about a meal, once."""
    body = await read_body(request, Complain)
    async with desk(request).database.unit_of_work(body.community_id) as uow:
        return ComplaintAnswer.of(await canteen(request).complain(uow, read_id(redemption_id), body.words))


@get("/redemptions/{redemption_id:str}/complaint")
async def complaint(request: PlainRequest, redemption_id: FromPath[str]) -> ComplaintAnswer:
    """Tell a complaint's answer."""
    query = read_query(request, OfCommunity)
    async with desk(request).database.unit_of_work(query.community_id) as uow:
        await desk(request).service.community(uow)
        return ComplaintAnswer.of(await canteen(request).complaint(uow, read_id(redemption_id)))


@get("/photos/{community_id:str}/{dish:str}")
async def photo(request: PlainRequest, community_id: FromPath[str], dish: FromPath[str]) -> Response[bytes]:
    """Return a dish's photo; anybody may see what is served."""
    number = wire.read_text("community_id", community_id, CommunityId)
    async with desk(request).database.unit_of_work(number) as uow:
        found = await menu_store.photo(uow, wire.read_text("dish", dish, Code))
    if found is None:
        raise NotFound(what="photo")
    return Response(found[1], media_type=found[0], headers={"Cache-Control": "max-age=3600"})


SIGNED = (
    save_point,
    save_dish,
    set_menu,
    copy_week,
    menus,
    kitchen,
    runs,
    rules_of,
    save_rules,
    end,
    rate,
    complain,
    complaint,
)
OPEN = (photo,)
