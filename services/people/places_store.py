"""Rows of communities, grids, places, buildings and organisations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from pointsbank.domain.grid import GridPlan, SmallGrid
from pointsbank.domain.grid import grid_plan as build_grid_plan
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.people.tables import Community
from services.people.views import BuildingInfo, CommunityInfo, GridInfo, NewBuilding, NewPlace


async def communities(session: AsyncSession) -> list[CommunityInfo]:
    """Return every community."""
    rows = await session.exec(select(Community).order_by(col(Community.id)))
    return [CommunityInfo(row.id, row.code, row.name, row.timezone) for row in rows]


async def community(uow: UnitOfWork) -> CommunityInfo | None:
    """Return the unit of work's community, or None."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        "SELECT id, code, name, timezone FROM bank.communities WHERE id = $1", uow.community_id
    )
    return CommunityInfo(**row) if row else None


async def insert_community(uow: UnitOfWork, info: CommunityInfo) -> None:
    """Insert a community."""
    connection = await uow.connection()
    await connection.execute(
        "INSERT INTO bank.communities (id, code, name, timezone, created_at) VALUES ($1, $2, $3, $4, $5)",
        info.id,
        info.code,
        info.name,
        info.timezone,
        uow.clock.now(),
    )


async def insert_grids(
    uow: UnitOfWork, plan: GridPlan, names: Mapping[int, str], big_names: Mapping[int, str]
) -> None:
    """Insert a community's grids and boundaries. names: by number; the number itself where missing."""
    connection = await uow.connection()
    big = sorted({grid.big_grid for grid in plan.small_grids.values()})
    small = sorted(plan.small_grids)
    await connection.executemany(
        "INSERT INTO bank.big_grids (community_id, number, name) VALUES ($1, $2, $3)",
        [(uow.community_id, number, big_names.get(number, str(number))) for number in big],
    )
    await connection.executemany(
        "INSERT INTO bank.small_grids (community_id, number, big_grid, name) VALUES ($1, $2, $3, $4)",
        [
            (uow.community_id, number, plan.small_grids[number].big_grid, names.get(number, str(number)))
            for number in small
        ],
    )
    await connection.executemany(
        "INSERT INTO bank.grid_boundaries (community_id, small_grid, neighbour) VALUES ($1, $2, $3)",
        [
            (uow.community_id, one, other)
            for one in small
            for other in sorted(plan.neighbours.get(one, frozenset()))
            if one < other
        ],
    )


async def grid_plan(uow: UnitOfWork) -> GridPlan:
    """Return the community's grids and boundaries."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT number, big_grid, NULL AS neighbour FROM bank.small_grids WHERE community_id = $1
        UNION ALL
        SELECT small_grid, NULL, neighbour FROM bank.grid_boundaries WHERE community_id = $1
        """,
        uow.community_id,
    )
    return build_grid_plan(
        [SmallGrid(number, big_grid) for number, big_grid, _ in rows if big_grid is not None],
        [(number, neighbour) for number, _, neighbour in rows if neighbour is not None],
    )


async def small_grids(uow: UnitOfWork) -> list[GridInfo]:
    """Return the small grids with their names."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT s.number, s.name, s.big_grid, b.name AS big_grid_name
          FROM bank.small_grids s
          JOIN bank.big_grids b ON b.community_id = s.community_id AND b.number = s.big_grid
         WHERE s.community_id = $1 ORDER BY s.number
        """,
        uow.community_id,
    )
    return [GridInfo(**row) for row in rows]


async def add_places(uow: UnitOfWork, places: Sequence[NewPlace]) -> list[UUID]:
    """Insert the places whose names are new; return everybody's id in order."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.places (community_id, id, kind, name)
        SELECT $1, u.id, u.kind, u.name FROM unnest($2::uuid[], $3::text[], $4::text[]) AS u(id, kind, name)
        ON CONFLICT (community_id, name) DO NOTHING
        """,
        uow.community_id,
        [uuid7() for _ in places],
        [place.kind.value for place in places],
        [place.name for place in places],
    )
    ids = await place_ids(uow, [place.name for place in places])
    return [ids[place.name] for place in places]


async def place_ids(uow: UnitOfWork, names: Sequence[str]) -> dict[str, UUID]:
    """Return the ids of the places that are known, by name."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT name, id FROM bank.places WHERE community_id = $1 AND name = ANY ($2::text[])",
        uow.community_id,
        names,
    )
    return {row["name"]: row["id"] for row in rows}


async def add_buildings(
    uow: UnitOfWork, new: Sequence[NewBuilding], places: Mapping[str, UUID]
) -> list[BuildingInfo]:
    """Insert the buildings that are new to their place; return them all, as registered, in order."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.buildings (community_id, id, place_id, small_grid, name)
        SELECT $1, u.id, u.place_id, u.small_grid, u.name
          FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[]) AS u(id, place_id, small_grid, name)
        ON CONFLICT (community_id, place_id, name) DO NOTHING
        """,
        uow.community_id,
        [uuid7() for _ in new],
        [places[building.place_name] for building in new],
        [building.small_grid for building in new],
        [building.name for building in new],
    )
    await _measure(uow, new, places)
    known = {(building.place, building.name): building for building in await buildings(uow)}
    return [known[building.place_name, building.name] for building in new]


async def _measure(uow: UnitOfWork, new: Sequence[NewBuilding], places: Mapping[str, UUID]) -> None:
    """Note where those of the buildings stand of which it is told."""
    told = [building for building in new if building.east_m is not None]
    if not told:
        return
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.buildings b SET east_m = u.east_m, north_m = u.north_m
          FROM unnest($2::uuid[], $3::text[], $4::int[], $5::int[]) AS u(place_id, name, east_m, north_m)
         WHERE b.community_id = $1 AND b.place_id = u.place_id AND b.name = u.name
        """,
        uow.community_id,
        [places[building.place_name] for building in told],
        [building.name for building in told],
        [building.east_m for building in told],
        [building.north_m for building in told],
    )


BUILDING = """
SELECT b.id, p.name AS place, b.name, b.small_grid, b.east_m, b.north_m
  FROM bank.buildings b
  JOIN bank.places p ON p.community_id = b.community_id AND p.id = b.place_id
 WHERE b.community_id = $1
"""


async def buildings(uow: UnitOfWork) -> list[BuildingInfo]:
    """Return every building with the name of its place."""
    connection = await uow.connection()
    rows = await connection.fetch(BUILDING + "ORDER BY p.name, b.name", uow.community_id)
    return [BuildingInfo(**row) for row in rows]


async def buildings_by_id(uow: UnitOfWork, ids: Collection[UUID]) -> dict[UUID, BuildingInfo]:
    """Return those of ``ids`` that are buildings."""
    connection = await uow.connection()
    rows = await connection.fetch(BUILDING + "AND b.id = ANY ($2::uuid[])", uow.community_id, list(ids))
    return {row["id"]: BuildingInfo(**row) for row in rows}


async def known_buildings(uow: UnitOfWork, ids: Collection[UUID]) -> set[UUID]:
    """Return those of ``ids`` that are buildings."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT id FROM bank.buildings WHERE community_id = $1 AND id = ANY ($2::uuid[])",
        uow.community_id,
        list(ids),
    )
    return {row["id"] for row in rows}


async def add_organisations(uow: UnitOfWork, names: Sequence[str]) -> None:
    """Insert the organisations whose names are new."""
    connection = await uow.connection()
    await connection.executemany(
        """
        INSERT INTO bank.organisations (community_id, id, name) VALUES ($1, $2, $3)
        ON CONFLICT (community_id, name) DO NOTHING
        """,
        [(uow.community_id, uuid7(), name) for name in names],
    )


async def organisations(uow: UnitOfWork) -> list[str]:
    """Return the organisations' names in the order they came."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT name FROM bank.organisations WHERE community_id = $1 ORDER BY id", uow.community_id
    )
    return [row["name"] for row in rows]
