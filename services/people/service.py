"""Communities with their grids and buildings, residents and their roles."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.grid import GridPlan
from pointsbank.domain.resident import require_metres
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.platform.clock import is_timezone, local_date
from pointsbank.platform.database import Session, UnitOfWork
from services.people import places_store, store
from services.people.homes import homes_of, homes_with_role
from services.people.languages import add_languages_many, languages_of, set_languages
from services.people.standing import (
    add_standings_many,
    set_standing,
    standing_at,
    standings_of,
    view_standings,
)
from services.people.tokens import (
    actor_by_session,
    end_session,
    forget_tokens,
    issue_sign_in_token,
    open_session,
    sign_in_tokens,
)
from services.people.views import (
    BuildingInfo,
    CommunityInfo,
    GridInfo,
    HomeInfo,
    NewBuilding,
    NewPerson,
    NewPlace,
    PersonInfo,
    StandingInfo,
)

SEARCH_MAX = 200
NAME_MAX = 60
PLACE_NAME_MAX = 100
ROOM_MAX = 20
MEMBER_NUMBER_MAX = 40
BORN_AFTER = date(1900, 1, 1)
PHONE = re.compile(r"\+?[0-9][0-9 -]{4,18}")
MAY_SEARCH = READERS | {Role.BUILDING_LEADER, Role.GRID_LEADER}


async def create_community(
    uow: UnitOfWork,
    *,
    code: str,
    name: str,
    timezone: str,
    grids: GridPlan,
    grid_names: Mapping[int, str] | None = None,
    big_grid_names: Mapping[int, str] | None = None,
) -> None:
    """Create the unit of work's community with its grids. Raises InvalidValue.

    timezone: IANA name. grid_names, big_grid_names: by number; a grid without one is called by its number.
    """
    _require_text(code, "code", 40)
    _require_text(name, "name", PLACE_NAME_MAX)
    if not is_timezone(timezone):
        raise InvalidValue(field="timezone", rule="iana_name")
    if not grids.small_grids:
        raise InvalidValue(field="grids", rule="not_empty")
    if any(code == known.code or known.id == uow.community_id for known in await communities(uow.session)):
        raise InvalidValue(field="code", rule="unique")
    community_info = CommunityInfo(uow.community_id, code, name, timezone)
    await places_store.insert_community(uow, community_info)
    await places_store.insert_grids(uow, grids, dict(grid_names or {}), dict(big_grid_names or {}))


async def communities(session: Session) -> list[CommunityInfo]:
    """Return every community, in order of id. session: any, also outside a community."""
    return await places_store.communities(session)


async def community(uow: UnitOfWork) -> CommunityInfo:
    """Return the unit of work's community. Raises NotFound."""
    found = await places_store.community(uow)
    if found is None:
        raise NotFound(what="community")
    return found


async def local_today(uow: UnitOfWork) -> date:
    """Return the calendar day it is in the community."""
    return local_date(uow.clock.now(), (await community(uow)).timezone)


async def grid_plan(uow: UnitOfWork) -> GridPlan:
    """Return the community's grids and their boundaries."""
    return await places_store.grid_plan(uow)


async def small_grids(uow: UnitOfWork) -> list[GridInfo]:
    """Return the community's small grids in order of number."""
    return await places_store.small_grids(uow)


async def add_places(uow: UnitOfWork, places: Sequence[NewPlace]) -> list[UUID]:
    """Register places and return their ids in order; one whose name is known keeps its id and kind."""
    for place in places:
        _require_text(place.name, "place", PLACE_NAME_MAX)
    return await places_store.add_places(uow, places)


async def add_buildings(uow: UnitOfWork, buildings: Sequence[NewBuilding]) -> list[UUID]:
    """Register buildings and return their ids in order; one that is known keeps its id.

    Where a known one stands is as it is told now. Raises InvalidValue for an unknown place or grid, for
    metres beyond ``METRES_MAX`` or of one direction only, or a known building said to stand in another grid.
    """
    grids = await places_store.grid_plan(uow)
    places = await places_store.place_ids(uow, sorted({building.place_name for building in buildings}))
    for building in buildings:
        _require_text(building.name, "building", NAME_MAX)
        if building.place_name not in places:
            raise InvalidValue(field="place", rule="known_place")
        if building.small_grid not in grids.small_grids:
            raise InvalidValue(field="small_grid", rule="known_grid")
        require_metres(building.east_m, building.north_m)
    added = await places_store.add_buildings(uow, buildings, places)
    if any(known.small_grid != asked.small_grid for known, asked in zip(added, buildings, strict=True)):
        raise InvalidValue(field="small_grid", rule="as_registered")
    return [building.id for building in added]


async def buildings(uow: UnitOfWork) -> list[BuildingInfo]:
    """Return every building, in order of place and name."""
    return await places_store.buildings(uow)


async def buildings_by_id(uow: UnitOfWork, ids: Collection[UUID]) -> dict[UUID, BuildingInfo]:
    """Return those of ``ids`` that are buildings of the community."""
    return await places_store.buildings_by_id(uow, ids)


async def households(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return, for each of ``ids`` who does not live alone, who else is registered in the same room."""
    return await store.households(uow, ids)


async def add_organisations(uow: UnitOfWork, names: Sequence[str]) -> None:
    """Register member organisations; a known name is left as it is."""
    for name in names:
        _require_text(name, "organisation", PLACE_NAME_MAX)
    await places_store.add_organisations(uow, names)


async def organisations(uow: UnitOfWork) -> list[str]:
    """Return the names of the member organisations, in the order they were registered."""
    return await places_store.organisations(uow)


def check_person(person: NewPerson, *, today: date) -> None:
    """Check one resident's fields, without the database. Raises InvalidValue naming the field."""
    _require_text(person.name, "name", NAME_MAX)
    if person.phone is not None and not PHONE.fullmatch(person.phone):
        raise InvalidValue(field="phone", rule="phone_number")
    if person.born_on is not None and not BORN_AFTER <= person.born_on <= today:
        raise InvalidValue(field="born_on", rule="plausible_date")
    if person.room is not None:
        _require_text(person.room, "room", ROOM_MAX)
    if person.member_number is not None:
        _require_text(person.member_number, "member_number", MEMBER_NUMBER_MAX)
    if person.content_key is not None and len(person.content_key) != 32:
        raise InvalidValue(field="content_key", rule="sha256")


async def add_people(uow: UnitOfWork, people: Sequence[NewPerson]) -> list[UUID]:
    """Register residents and return their ids in order.

    A ``content_key`` that is known already gives the id it has and changes nothing. Nothing is written if
    one record is wrong. Raises InvalidValue naming the field (a taken ``member_number``: rule ``unique``).
    """
    day = await local_today(uow)
    grids = await places_store.grid_plan(uow)
    for person in people:
        check_person(person, today=day)
        if any(grid is not None and grid not in grids.small_grids for grid in person.roles.values()):
            raise InvalidValue(field="small_grid", rule="known_grid")
    wanted = {person.building_id for person in people if person.building_id is not None}
    if wanted - await places_store.known_buildings(uow, wanted):
        raise InvalidValue(field="building_id", rule="known_building")
    keys = [person.content_key for person in people if person.content_key is not None]
    known = await store.people_by_content_key(uow, keys)
    numbers = [p.member_number for p in people if p.member_number is not None and p.content_key not in known]
    if len(set(numbers)) < len(numbers) or await store.known_member_numbers(uow, numbers):
        raise InvalidValue(field="member_number", rule="unique")
    return await store.add_people(uow, people, known)


async def has_people(uow: UnitOfWork) -> bool:
    """Tell whether anybody has been registered in the community."""
    return await store.has_people(uow)


async def known_content_keys(uow: UnitOfWork, keys: Sequence[bytes]) -> dict[bytes, UUID]:
    """Return, for those content keys that were registered before, the person's id."""
    return await store.people_by_content_key(uow, keys)


async def grant_role(uow: UnitOfWork, person_id: UUID, role: Role, small_grid: int | None = None) -> None:
    """Give a person a role; one already held keeps its grid. Raises NotFound, InvalidValue."""
    await person(uow, person_id)
    if small_grid is not None and small_grid not in (await places_store.grid_plan(uow)).small_grids:
        raise InvalidValue(field="small_grid", rule="known_grid")
    await store.add_role(uow, person_id, role, small_grid)


async def person(uow: UnitOfWork, person_id: UUID) -> PersonInfo:
    """Return a resident. Raises NotFound. For callers that have decided who may see them."""
    found = await store.people_by_id(uow, [person_id])
    if person_id not in found:
        raise NotFound(what="person")
    return found[person_id]


async def view_person(uow: UnitOfWork, actor: Actor, person_id: UUID) -> PersonInfo:
    """Return a resident to themselves or to who may read the community. Raises NotFound, NotAllowed."""
    actor.require_self_or(person_id, *READERS, action="view_person")
    return await person(uow, person_id)


async def people_by_id(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, PersonInfo]:
    """Return those of ``ids`` that exist, by id."""
    return await store.people_by_id(uow, ids)


async def people_by_ledger_ref(uow: UnitOfWork, refs: Sequence[UUID]) -> dict[UUID, PersonInfo]:
    """Return the residents behind ledger pseudonyms, by pseudonym."""
    return await store.people_by_ledger_ref(uow, refs)


async def people_named(
    uow: UnitOfWork, *, member_numbers: Sequence[str] = (), names: Sequence[str] = ()
) -> list[PersonInfo]:
    """Return everybody with one of these member numbers or exact names, in order of id."""
    return await store.people_named(uow, member_numbers, names)


async def people_with_role(
    uow: UnitOfWork, role: Role, *, after: UUID | None = None, limit: int | None = None
) -> list[PersonInfo]:
    """Return who holds ``role``, in order of id. after: id to go on from; limit: None for all."""
    return await store.people_with_role(uow, role, after, limit)


async def search_people(
    uow: UnitOfWork, actor: Actor, text: str, role: Role | None = None, limit: int = 20
) -> list[PersonInfo]:
    """Find residents by part of a name or building, a member number, or the last digits (4+) of a phone.

    For coordinators, auditors and leaders; a leader finds only who lives in their own grid.
    Raises NotAllowed. Ordered by name.
    """
    actor.require(*MAY_SEARCH, action="search_people")
    grids: list[int] | None = None
    if not actor.has(*READERS):
        own = (await person(uow, actor.person_id)).roles
        grids = [grid for held, grid in own.items() if held in MAY_SEARCH and grid is not None]
    words = text.strip()
    if not words:
        return []
    return await store.search_people(uow, words, role, grids, max(1, min(limit, SEARCH_MAX)))


async def actor_of(uow: UnitOfWork, person_id: UUID) -> Actor:
    """Return the person as one who acts. Raises NotFound."""
    return (await person(uow, person_id)).actor


async def lock_people(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    """Lock residents' rows to the end of the unit of work, in id order: who counts what they have earned
    must be alone in it. Raises NotFound when one is missing.
    """
    if await store.lock_people(uow, sorted(set(ids))) != len(set(ids)):
        raise NotFound(what="person")


def _require_text(value: str, field: str, longest: int) -> None:
    if not value.strip() or value != value.strip():
        raise InvalidValue(field=field, rule="not_blank")
    if len(value) > longest:
        raise InvalidValue(field=field, rule=f"at_most_{longest}_characters")
    if any(ord(character) < 32 for character in value):
        raise InvalidValue(field=field, rule="printable")


__all__ = [
    "BuildingInfo",
    "CommunityInfo",
    "GridInfo",
    "HomeInfo",
    "NewBuilding",
    "NewPerson",
    "NewPlace",
    "PersonInfo",
    "StandingInfo",
    "actor_by_session",
    "actor_of",
    "add_buildings",
    "add_languages_many",
    "add_organisations",
    "add_people",
    "add_places",
    "add_standings_many",
    "buildings",
    "buildings_by_id",
    "check_person",
    "communities",
    "community",
    "create_community",
    "end_session",
    "forget_tokens",
    "grant_role",
    "grid_plan",
    "homes_of",
    "homes_with_role",
    "households",
    "issue_sign_in_token",
    "known_content_keys",
    "languages_of",
    "local_today",
    "lock_people",
    "open_session",
    "organisations",
    "people_by_id",
    "people_by_ledger_ref",
    "people_named",
    "people_with_role",
    "person",
    "search_people",
    "set_languages",
    "set_standing",
    "sign_in_tokens",
    "small_grids",
    "standing_at",
    "standings_of",
    "view_person",
    "view_standings",
]
