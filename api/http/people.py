"""Who is signed in, and finding residents."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import ConfigDict

from api.auth import SIGNED_IN, home_of, may
from api.dependencies import SignedIn, read
from api.http.wire import PAGE_MAX, Asked, Told, WholeNumber, text
from api.idempotency import READS
from pointsbank.domain import accounts
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.people import service as people

TAGS = ["people"]
SEARCH_DEFAULT = 20
SEARCH_TEXT_MAX = 60


class SearchPeople(Asked):
    """Whom to look for. ``text``: part of a name or building, a member number, or the end of a phone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "6栋", "role": "elder", "limit": 20}]})
    text: Annotated[str, text(SEARCH_TEXT_MAX)]
    role: Role | None = None
    limit: Annotated[int, WholeNumber(1, PAGE_MAX)] = SEARCH_DEFAULT


class CommunityAnswer(Told):
    """The community the caller belongs to. timezone: IANA name."""

    id: int
    code: str
    name: str
    timezone: str


class BalanceAnswer(Told):
    """What a member has: milli-points to spend, milli-points set aside, minutes served."""

    available_milli_points: int
    held_milli_points: int
    service_minutes: int


class MeAnswer(Told):
    """The person who is signed in."""

    id: UUID
    name: str
    roles: list[Role]
    home: str
    community: CommunityAnswer
    balance: BalanceAnswer


class PersonAnswer(Told):
    """A resident, for who may see them."""

    id: UUID
    name: str
    member_number: str | None
    phone: str | None
    address: str
    small_grid: int | None
    canteen_eligible: bool
    roles: list[Role]


class PersonPage(Told):
    """Residents found, by name."""

    items: list[PersonAnswer]


def person_answer(person: people.PersonInfo) -> PersonAnswer:
    """Return a resident as answered."""
    return PersonAnswer(
        id=person.id,
        name=person.name,
        member_number=person.member_number,
        phone=person.phone,
        address=person.address,
        small_grid=person.small_grid,
        canteen_eligible=person.canteen_eligible,
        roles=sorted(person.roles),
    )


async def balance_of(uow: UnitOfWork, member: UUID) -> BalanceAnswer:
    """Return what a member has. member: the ledger pseudonym."""
    available, held, served = accounts.available(member), accounts.held(member), accounts.service(member)
    found = await ledger.balances(uow, [available, held, served])
    return BalanceAnswer(
        available_milli_points=found[available],
        held_milli_points=found[held],
        service_minutes=found[served],
    )


@get("/me", opt=SIGNED_IN, operation_id="get_me")
async def me(request: SignedIn) -> MeAnswer:
    """Tell who is signed in, where, with which roles, and what they have."""

    async def work(uow: UnitOfWork, actor: Actor) -> MeAnswer:
        person = await people.person(uow, actor.person_id)
        return MeAnswer(
            id=person.id,
            name=person.name,
            roles=sorted(actor.roles),
            home=home_of(actor),
            community=CommunityAnswer.of(await people.community(uow)),
            balance=await balance_of(uow, actor.ledger_ref),
        )

    return await read(request, work)


@post(
    "/people/search",
    opt=may(*READERS, Role.BUILDING_LEADER, Role.GRID_LEADER) | READS,
    operation_id="search_people",
    status_code=200,
)
async def search(request: SignedIn, data: JSONBody[SearchPeople]) -> PersonPage:
    """Find residents; nothing changes. A leader finds only who lives in their grid.

    By POST, so that no name and no phone stands in an address or a log.
    """

    async def work(uow: UnitOfWork, actor: Actor) -> PersonPage:
        found = await people.search_people(uow, actor, data.text, data.role, data.limit)
        return PersonPage(items=[person_answer(person) for person in found])

    return await read(request, work)


@get("/people/{person_id:uuid}", opt=SIGNED_IN, operation_id="get_person")
async def person(request: SignedIn, person_id: FromPath[UUID]) -> PersonAnswer:
    """Return a resident to themselves or to who may read the community."""

    async def work(uow: UnitOfWork, actor: Actor) -> PersonAnswer:
        return person_answer(await people.view_person(uow, actor, person_id))

    return await read(request, work)


@get("/people/{person_id:uuid}/balance", opt=SIGNED_IN, operation_id="get_balance")
async def balance(request: SignedIn, person_id: FromPath[UUID]) -> BalanceAnswer:
    """Return what a member has, to themselves or to who may read the community."""

    async def work(uow: UnitOfWork, actor: Actor) -> BalanceAnswer:
        return await balance_of(uow, (await people.view_person(uow, actor, person_id)).ledger_ref)

    return await read(request, work)


router = Router("/", route_handlers=[me, search, person, balance], tags=TAGS)
