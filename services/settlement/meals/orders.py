"""How a redeemed meal is wanted, and where it is brought."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.meals import MealWish, Mode, Spot, walking_positions
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.people.views import PersonInfo
from services.settlement.meals import store
from services.settlement.meals.views import MealOrderInfo

LABEL_MAX = 60


async def want(uow: UnitOfWork, redemption_id: UUID, member: PersonInfo, wish: MealWish) -> None:
    """Note how a redemption's meal is wanted, with the place it is brought to as it is now.

    The place is the member's building, never the room. Raises InvalidValue (``mode``: no known building).
    """
    place: tuple[int, int, str, int] | None = None
    if wish.mode is Mode.DELIVERY:
        if member.building_id is None:
            raise InvalidValue(field="mode", rule="known_building")
        place = await _place(uow, member.building_id)
    big_grid, small_grid, building, walk = place or (None, None, None, None)
    await store.insert_meal_order(
        uow,
        MealOrderInfo(
            redemption_id, wish.mode, wish.dish, wish.point, wish.diet, big_grid, small_grid, building, walk
        ),
    )


async def wanted(uow: UnitOfWork, redemption_id: UUID) -> MealOrderInfo | None:
    """Return how a redemption's meal is wanted; None when nothing was said."""
    return await store.meal_order(uow, redemption_id)


async def _place(uow: UnitOfWork, building_id: UUID) -> tuple[int, int, str, int]:
    """Return big grid, small grid, label and position on the walk through the small grid."""
    buildings = await people.buildings(uow)
    here = next(each for each in buildings if each.id == building_id)
    spots = [
        Spot(each.id, each.label, each.east_m, each.north_m)
        for each in buildings
        if each.small_grid == here.small_grid
    ]
    big_grid = (await people.grid_plan(uow)).small_grids[here.small_grid].big_grid
    return big_grid, here.small_grid, here.label[:LABEL_MAX], walking_positions(spots)[building_id]
