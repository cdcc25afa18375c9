"""What the canteen's pages share: which community, day and meal is asked for, and the frame around."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from litestar import Response

from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.canteen import menu_store
from services.canteen.rules import Meal, closes_at
from services.partnerkit.http import PlainRequest, desk
from services.partnerkit.pages import community_of, page
from services.partnerkit.store import Community

PACKAGE = "services.canteen"
PLAUSIBLE = timedelta(days=800)


@dataclass(frozen=True, slots=True)
class Desired:
    """What a page is about. The day is today and the meal the next one to be served, unless named."""

    community: Community
    communities: list[Community]
    today: date
    day: date
    meal: Meal

    @property
    def query(self) -> str:
        """Return it as the query of an address."""
        return f"community_id={self.community.community_id}&date={self.day}&meal={self.meal}"


@asynccontextmanager
async def asked(request: PlainRequest) -> AsyncIterator[tuple[UnitOfWork, Desired]]:
    """Open a unit of work in the community that the address names. Raises NotFound, InvalidValue."""
    at, query = desk(request), request.query_params
    communities = await at.service.communities(at.database)
    community = await community_of(at, query.get("community_id"))
    async with at.database.unit_of_work(community.community_id) as uow:
        now = uow.clock.now()
        today = local_date(now, community.timezone)
        try:
            day = date.fromisoformat(query["date"]) if query.get("date") else today
            meal = Meal(query["meal"]) if query.get("meal") else None
        except ValueError:
            raise InvalidValue(field="date", rule="a_day_and_a_meal") from None
        if abs(day - today) > PLAUSIBLE:
            raise InvalidValue(field="date", rule="plausible_date")
        if meal is None:
            rules = await menu_store.rules(uow)
            dinner_next = now >= closes_at(rules, Meal.DINNER, today, community.timezone)
            meal = Meal.DINNER if dinner_next else Meal.LUNCH
        yield uow, Desired(community, communities, today, day, meal)


def show(request: PlainRequest, template: str, want: Desired, **facts: Any) -> Response[str]:
    """Return a page of the canteen's."""
    return page(
        request,
        template,
        package=PACKAGE,
        want=want,
        meals=list(Meal),
        one_day=timedelta(days=1),
        **facts,
    )
