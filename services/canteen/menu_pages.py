"""The canteen's pages where dishes are written down and weeks are planned."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.response import Redirect

from pointsbank.domain.errors import InvalidValue
from services.canteen import menu_store
from services.canteen.frame import asked, show
from services.canteen.http import canteen
from services.canteen.menu_store import Dish
from services.canteen.rules import Allergen, Meal, Tag
from services.canteen.service import WEEK_DAYS
from services.canteen.wire import PORTIONS_MAX
from services.partnerkit.http import PlainRequest, desk
from services.partnerkit.pages import community_of, say, sign_in_page, signed_in
from services.partnerkit.wire import Code, Name, read_text

Refusable = Response[str] | Redirect


@get("/counter/menu")
async def menu(request: PlainRequest) -> Response[str]:
    """Show a week's menus, with what is left, and the form that changes a sitting."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        monday = want.day - timedelta(days=want.day.weekday())
        served = await canteen(request).menu_of(uow, monday, monday + timedelta(days=WEEK_DAYS - 1))
        points = await menu_store.serving_points(uow)
        meals = await menu_store.meals(uow)
        dishes = [
            dish
            for dish in await menu_store.all_dishes(uow)
            if not dish.retired and meals[dish.item] is want.meal
        ]
    point = request.query_params.get("point") or next(iter(points), "")
    here = [
        each for each in served if (each.business_date, each.meal, each.point) == (want.day, want.meal, point)
    ]
    return show(
        request,
        "menu.html",
        want,
        days=[monday + timedelta(days=number) for number in range(WEEK_DAYS)],
        monday=monday,
        served=served,
        points=points,
        point=point,
        dishes=dishes,
        here_of={each.dish.code: each.capacity for each in here},
        seats=here[0].sitting_capacity if here else "",
    )


@post("/counter/menu", status_code=303)
async def set_menu(request: PlainRequest) -> Refusable:
    """Write the menu of a sitting from the form: an amount for each dish, blank or 0 for none."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    at, form = desk(request), await _fields(request)
    community = await community_of(at, form.get("community_id"))
    day, meal, point = _day(form, "date"), _meal(form), form.get("point", "")
    portions = [
        (name.removeprefix("dish."), _number(form, name))
        for name in sorted(form)
        if name.startswith("dish.") and form[name]
    ]
    named = [(dish, many) for dish, many in portions if many > 0]
    seats = _number(form, "capacity") if form.get("capacity") else sum(many for _, many in named)
    async with at.database.unit_of_work(community.community_id) as uow:
        await canteen(request).set_menu(uow, day, meal, point, capacity=seats, portions=named)
    return Redirect(
        f"/counter/menu?community_id={community.community_id}&date={day}&meal={meal}", status_code=303
    )


@post("/counter/menu/copy", status_code=303)
async def copy_week(request: PlainRequest) -> Refusable:
    """Copy the shown week to the next one; days that have a menu already keep it."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    at, form = desk(request), await _fields(request)
    community, monday = await community_of(at, form.get("community_id")), _day(form, "from")
    to = monday + timedelta(days=WEEK_DAYS)
    async with at.database.unit_of_work(community.community_id) as uow:
        await canteen(request).copy_week(uow, monday, to)
    return Redirect(f"/counter/menu?community_id={community.community_id}&date={to}", status_code=303)


@get("/counter/dishes")
async def dishes(request: PlainRequest) -> Response[str]:
    """Show the dishes, and the form for one of them or a new one."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        found = await menu_store.all_dishes(uow)
        offers = {offer.item.code: offer.item.name for offer in await desk(request).service.offers(uow)}
    return show(
        request,
        "dishes.html",
        want,
        dishes=found,
        offers=offers,
        chosen=next((each for each in found if each.code == request.query_params.get("dish")), None),
        tags=list(Tag),
        allergens=list(Allergen),
    )


@post("/counter/dishes", status_code=303)
async def save_dish(request: PlainRequest) -> Refusable:
    """Write a dish from the form, with its photo when one was chosen."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    at, form = desk(request), await _fields(request)
    community = await community_of(at, form.get("community_id"))
    code = read_text("code", form.get("code") or f"d{uuid4().hex[:10]}", Code)
    dish = Dish(
        code,
        read_text("name", form.get("name", "").strip(), Name),
        read_text("item", form.get("item", ""), Code),
        tuple(each for each in Allergen if f"allergen.{each}" in form),
        tuple(each for each in Tag if f"tag.{each}" in form),
        retired="retired" in form,
    )
    if not dish.name:
        raise InvalidValue(field="name", rule="not_blank")
    upload = (await request.form()).get("photo")
    content = await upload.read() if isinstance(upload, UploadFile) else b""
    async with at.database.unit_of_work(community.community_id) as uow:
        await canteen(request).save_dish(uow, dish)
        if content:
            await canteen(request).save_photo(uow, code, content)
    return Redirect(f"/counter/dishes?community_id={community.community_id}", status_code=303)


async def _fields(request: PlainRequest) -> dict[str, str]:
    form: Any = await request.form()
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}


def _day(form: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat(form.get(name, ""))
    except ValueError:
        raise InvalidValue(field=name, rule="a_day") from None


def _meal(form: dict[str, str]) -> Meal:
    try:
        return Meal(form.get("meal", ""))
    except ValueError:
        raise InvalidValue(field="meal", rule="lunch_or_dinner") from None


def _number(form: dict[str, str], name: str) -> int:
    text = form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= PORTIONS_MAX):
        raise InvalidValue(field=name, rule=f"expected 0 to {PORTIONS_MAX}")
    return int(text)


PAGES = (menu, set_menu, copy_week, dishes, save_dish)
