"""What the canteen serves on a day, asked of it while somebody waits."""

from __future__ import annotations

from datetime import date

import structlog

from pointsbank.domain.meals import Meal
from pointsbank.domain.partner import PartnerCode
from pointsbank.platform.outbox import describe
from services.settlement.client import MenuDish, PartnerRefused, Partners, PartnerUnavailable
from services.settlement.meals.views import DishInfo

log = structlog.get_logger(__name__)

DISHES_MAX = 60
"""Of one day; a canteen that tells more is cut."""


async def menu_of(partners: Partners, community_id: int, day: date) -> list[DishInfo] | None:
    """Return a day's dishes with what is left of each; None when the canteen does not answer.

    Never call this inside a unit of work.
    """
    try:
        told = await partners[PartnerCode.CANTEEN].menus(community_id, day, day)
    except (PartnerUnavailable, PartnerRefused) as error:
        log.info("menu_not_read", error=describe(error))
        return None
    return [_info(each) for each in told[:DISHES_MAX] if each.meal in set(Meal)]


def _info(said: MenuDish) -> DishInfo:
    return DishInfo(
        day=said.date,
        meal=Meal(said.meal),
        point=said.point,
        point_name=said.point_name,
        dish=said.dish,
        name=said.name,
        item=said.item,
        tags=said.tags,
        allergens=said.allergens,
        left=max(0, said.left),
    )
