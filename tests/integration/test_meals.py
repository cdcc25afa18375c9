"""Meals end to end: ordered from the menu, carried by volunteers, liked or not, again every weekday."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.meals import MealWish, Mode
from pointsbank.domain.redemption import RedemptionState
from pointsbank.platform import outbox
from services.people.views import PersonInfo
from services.settlement import jobs, service
from services.settlement.meals import feedback, menus, standing
from services.settlement.meals import jobs as meal_jobs
from services.settlement.service import Redeem
from services.settlement.views import RedemptionInfo
from tests.shops import Shop, open_shop
from tests.worlds import give_points

TODAY = date(2026, 3, 9)
TOMORROW = TODAY + timedelta(days=1)
CLOSED = datetime(2026, 3, 10, 1, 40, tzinfo=UTC)


@dataclass
class Kitchen:
    """A shop whose canteen serves a dish for tomorrow's lunch."""

    shop: Shop

    async def order(
        self, wish: MealWish, *, day: date = TOMORROW, elder: PersonInfo | None = None
    ) -> RedemptionInfo:
        """Redeem a lunch for the elder as ``wish`` says, and have the canteen decide."""
        shop, member = self.shop, elder or self.shop.elder
        async with shop.database.unit_of_work(1) as uow:
            command = Redeem(member.id, "canteen", "lunch_set", business_date=day, meal=wish)
            ordered = await service.redeem(uow, member.actor, command)
        await self.work()
        return await shop.look(ordered.id)

    async def work(self) -> None:
        """Carry out what waits in the outbox, meals' topics too."""
        shop = self.shop
        handlers = {
            **jobs.handlers(shop.database, shop.partners),
            **meal_jobs.handlers(shop.database, shop.partners),
        }
        await outbox.work_off(shop.database, 1, handlers)

    async def left(self) -> int:
        """Return how many of the dish are left tomorrow."""
        found = await menus.menu_of(self.shop.partners, 1, TOMORROW)
        assert found is not None
        return found[0].left

    async def runs_as_requests(self) -> list[dict[str, Any]]:
        """Read the runs and return the requests that stand for them."""
        await meal_jobs.read_runs(self.shop.database, self.shop.partners, 1)
        async with self.shop.database.unit_of_work(1) as uow:
            connection = await uow.connection()
            rows = await connection.fetch(
                "SELECT r.kind, r.elder_id, r.starts_at, r.note, m.portions FROM bank.meal_runs m"
                " JOIN bank.help_requests r ON r.community_id = m.community_id AND r.id = m.help_request_id"
                " WHERE m.community_id = 1 ORDER BY m.number"
            )
            return [dict(row) for row in rows]


@pytest.fixture
async def kitchen(app_url: str, canteen_url_db: str) -> AsyncIterator[Kitchen]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await Kitchen(shop).work()
        for path, body in (
            ("/dishes/fish", {"name": "清蒸鱼", "item": "lunch_set", "tags": ["low_salt"]}),
            (f"/menus/{TOMORROW}/lunch", {"capacity": 5, "dishes": [{"dish": "fish", "capacity": 3}]}),
        ):
            answer = await shop.canteen.call("PUT", path, {"community_id": 1, **body})
            assert answer.is_success, answer.text
        yield Kitchen(shop)


async def test_an_elder_orders_a_dish_of_the_menu_and_the_canteen_knows_only_the_building(
    kitchen: Kitchen,
) -> None:
    assert await kitchen.left() == 3
    ordered = await kitchen.order(MealWish(Mode.DELIVERY, dish="fish"))
    assert ordered.state is RedemptionState.ACCEPTED
    assert await kitchen.left() == 2
    async with kitchen.shop.database.unit_of_work(1) as uow:
        meal = (await service.redemption(uow, kitchen.shop.elder.actor, ordered.id)).meal
    assert meal is not None
    assert (meal.big_grid, meal.small_grid, meal.building, meal.walk) == (1, 1, "测试小区 1栋", 1)


async def test_a_dish_that_is_not_served_gives_the_points_back_and_says_why(kitchen: Kitchen) -> None:
    ordered = await kitchen.order(MealWish(dish="duck"))
    assert (ordered.state, ordered.reason) == (RedemptionState.REFUSED, "not_on_menu")
    assert await kitchen.shop.points() == (50_000, 0)
    kitchen.shop.clock.move_to(CLOSED)
    late = await kitchen.order(MealWish(dish="fish"))
    assert (late.state, late.reason) == (RedemptionState.REFUSED, "late")


async def test_a_delivery_run_becomes_one_help_request_however_often_it_is_read(kitchen: Kitchen) -> None:
    second = kitchen.shop.world.second_elder  # of another big grid
    await give_points(kitchen.shop.database, kitchen.shop.world, second, 10_000)
    for elder in (kitchen.shop.elder, second):
        await kitchen.order(MealWish(Mode.DELIVERY, dish="fish"), elder=elder)
    assert await kitchen.runs_as_requests() == []
    kitchen.shop.clock.move_to(CLOSED)
    # Two workers at once, then again.
    reading = (meal_jobs.read_runs(kitchen.shop.database, kitchen.shop.partners, 1) for _ in range(2))
    assert sorted(await asyncio.gather(*reading)) == [0, 2]
    for _ in range(2):
        requests = await kitchen.runs_as_requests()
    assert [each["elder_id"] for each in requests] == [kitchen.shop.elder.id, second.id]
    for each in requests:
        assert (each["kind"], each["portions"]) == ("meal_delivery", 1)
        assert each["starts_at"] == datetime(2026, 3, 10, 3, 30, tzinfo=UTC)
        assert "测试" not in each["note"]


async def test_a_rating_and_a_complaint_reach_the_canteen_and_its_answer_comes_back(
    kitchen: Kitchen,
) -> None:
    shop = kitchen.shop
    ordered = await kitchen.order(MealWish(dish="fish"))
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await feedback.rate(uow, shop.elder.actor, ordered.id, 3)
    await shop.hand_over(ordered.id)
    await shop.tell(ordered, "fulfilled")
    await kitchen.work()
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await feedback.rate(uow, shop.world.volunteer.actor, ordered.id, 1)
        await feedback.rate(uow, shop.elder.actor, ordered.id, 3)
        await feedback.complain(uow, shop.elder.actor, ordered.id, "饭是凉的")
        with pytest.raises(WrongState):
            await feedback.complain(uow, shop.elder.actor, ordered.id, "又一次")
    await kitchen.work()
    said = await _said(kitchen, ordered.id)
    assert (said.score, said.answer_by, said.answer) == (3, date(2026, 3, 12), None)
    await shop.canteen.http.post("/counter/sign-in", data={"pin": "240618"})
    page = (await shop.canteen.http.get("/counter/quality")).text
    assert "饭是凉的" in page
    form = {"community_id": "1", "complaint": str(ordered.id), "answer": "对不起", "upheld": "1"}
    assert (await shop.canteen.http.post("/counter/answer", data=form)).status_code == 303
    assert await meal_jobs.read_answers(shop.database, shop.partners, 1) == 1
    said = await _said(kitchen, ordered.id)
    assert (said.answer, said.upheld) == ("对不起", True)


async def _said(kitchen: Kitchen, redemption_id: UUID) -> Any:
    async with kitchen.shop.database.unit_of_work(1) as uow:
        return await feedback.feedback(uow, kitchen.shop.elder.actor, redemption_id)


async def ask_standing(kitchen: Kitchen, **changes: Any) -> UUID:
    values: dict[str, Any] = {
        "item": "lunch_set",
        "weekdays": (0, 1, 2, 3, 4),
        "first": TODAY,
        "until": TODAY + timedelta(days=13),
        **changes,
    }
    async with kitchen.shop.database.unit_of_work(1) as uow:
        command = standing.AskStanding(kitchen.shop.elder.id, **values)
        return (await standing.ask(uow, kitchen.shop.elder.actor, command)).id


async def days_of(kitchen: Kitchen) -> dict[date, tuple[bool, str | None]]:
    async with kitchen.shop.database.unit_of_work(1) as uow:
        (found,) = await standing.standing_of(uow, kitchen.shop.elder.actor, kitchen.shop.elder.id)
    return {each.business_date: (each.redemption_id is not None, each.problem) for each in found.meals}


async def test_a_standing_order_is_ordered_day_by_day_each_once_without_what_was_skipped(
    kitchen: Kitchen,
) -> None:
    shop = kitchen.shop
    standing_id = await ask_standing(kitchen)
    async with shop.database.unit_of_work(1) as uow:
        await standing.skip(uow, shop.elder.actor, standing_id, TOMORROW)
        with pytest.raises(InvalidValue):
            await standing.skip(uow, shop.elder.actor, standing_id, TODAY + timedelta(days=5))
    assert await meal_jobs.order_standing(shop.database, 1) == 2
    assert await meal_jobs.order_standing(shop.database, 1) == 0
    wednesday = TODAY + timedelta(days=2)
    assert await days_of(kitchen) == {
        TODAY: (True, None),
        TOMORROW: (False, None),
        wednesday: (True, None),
    }
    assert await shop.points() == (30_000, 20_000)
    async with shop.database.unit_of_work(1) as uow:
        await standing.end(uow, shop.elder.actor, standing_id)
    shop.clock.move_to(datetime(2026, 3, 10, 4, 0, tzinfo=UTC))
    assert await meal_jobs.order_standing(shop.database, 1) == 0


async def test_a_standing_meal_without_points_is_shown_and_ordered_when_there_are_some(
    kitchen: Kitchen,
) -> None:
    shop = kitchen.shop
    spent = [await kitchen.order(MealWish(), day=TODAY + timedelta(days=number)) for number in range(3, 8)]
    assert (await shop.points())[0] == 0
    await ask_standing(kitchen, weekdays=(1,))
    assert await meal_jobs.order_standing(shop.database, 1) == 0
    assert await days_of(kitchen) == {TOMORROW: (False, "insufficient_points")}
    async with shop.database.unit_of_work(1) as uow:
        assert await standing.problems(uow) == [(shop.elder.id, TOMORROW, "insufficient_points")]
    await shop.cancel(spent[0].id)
    await kitchen.work()
    assert await meal_jobs.order_standing(shop.database, 1) == 1
    assert await days_of(kitchen) == {TOMORROW: (True, None)}


async def test_a_standing_meal_that_the_canteen_refuses_is_shown_with_its_reason(kitchen: Kitchen) -> None:
    shop = kitchen.shop
    await ask_standing(kitchen, weekdays=(1,))
    sold_out = {"name": "午餐套餐", "milli_points": 10_000, "fen": 1_200, "available": True}
    terms = {"community_id": 1, **sold_out, "terms": {"meal": "lunch", "day_capacity": 0}}
    assert (await shop.canteen.call("PUT", "/items/lunch_set", terms)).is_success
    await meal_jobs.order_standing(shop.database, 1)
    await kitchen.work()
    assert await days_of(kitchen) == {TOMORROW: (True, "sold_out")}
    assert await shop.points() == (50_000, 0)
    async with shop.database.unit_of_work(1) as uow:
        assert await standing.problems(uow) == [(shop.elder.id, TOMORROW, "sold_out")]


async def test_nobody_orders_again_and_again_for_a_stranger(kitchen: Kitchen) -> None:
    async with kitchen.shop.database.unit_of_work(1) as uow:
        command = standing.AskStanding(kitchen.shop.elder.id, "lunch_set", (0,), TODAY, TODAY)
        with pytest.raises(NotAllowed):
            await standing.ask(uow, kitchen.shop.world.volunteer.actor, command)
