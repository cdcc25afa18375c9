"""Who is in front of the page, whom the page is about, and in which words.

A coordinator may act for a resident (代办): whom, is kept in a cookie, so that no resident's id ever stands
in an address or a log. The cookie says nothing of rights: each service judges the actor again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.datastructures import State

from api.auth import home_of
from api.dependencies import SignedIn, desk
from api.errors import LOCALE_COOKIE
from api.web.words import Words
from pointsbank.domain.errors import NotFound
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.messages import negotiate
from services.care import service as care
from services.people import service as people
from services.people.views import CommunityInfo, PersonInfo

FOR_COOKIE = "pointsbank_for"
FOR_SECONDS = 60 * 60

LEADERS = frozenset({Role.BUILDING_LEADER, Role.GRID_LEADER})
PEOPLE = "/coordinator/people"
AUDIT_HOME, LEADER_HOME, ELDER_HOME, FAMILY_HOME = "/books", "/confirm", "/elder", "/family"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who acts, and for whom: ``subject`` is the actor themselves unless they act for somebody."""

    actor: Actor
    person: PersonInfo
    subject: PersonInfo
    community: CommunityInfo
    words: Words

    @property
    def by_proxy(self) -> bool:
        """Whether the actor acts for somebody else."""
        return self.actor.person_id != self.subject.id

    @property
    def home(self) -> str:
        """The page where this visit begins: the elder's while acting for one."""
        if not self.by_proxy:
            return first_page(self.actor)
        return ELDER_HOME if self.actor.has(*STAFF) else FAMILY_HOME

    @property
    def menu(self) -> Sequence[tuple[str, str]]:
        """Pages to go to: (path, key under ``nav.``)."""
        return menu_of(self.actor)


def first_page(actor: Actor) -> str:
    """Return the page where a person begins."""
    page = home_of(actor)
    if page == "/coordinator" and not actor.has(*STAFF):
        return AUDIT_HOME
    return page


def home_while_acting(request: SignedIn) -> str:
    """Return where a page of an elder leads back to, whoever looks at it."""
    actor = request.user
    own = actor.has(Role.ELDER) and not request.cookies.get(FOR_COOKIE)
    return ELDER_HOME if actor.has(*STAFF) or own else FAMILY_HOME


def menu_of(actor: Actor) -> list[tuple[str, str]]:
    """Return the pages an actor's roles open: (path, key under ``nav.``)."""
    pages: list[tuple[str, str]] = []
    if actor.has(Role.ELDER):
        pages.append((ELDER_HOME, "elder"))
    if actor.has(Role.VOLUNTEER):
        pages.append(("/volunteer", "volunteer"))
    if actor.has(*STAFF):
        pages += [("/coordinator", "board"), ("/coordinator/people", "people")]
    elif actor.has(*LEADERS):
        pages.append((LEADER_HOME, "confirm"))
    if not actor.has(Role.ELDER, *READERS):
        pages.append((FAMILY_HOME, "family"))
    if actor.has(*READERS):
        pages += [(AUDIT_HOME, "books"), ("/books/audit", "audit"), ("/books/settlement", "settlement")]
    return pages


def page_locale(request: Request[Any, Any, State]) -> str:
    """Return the locale of a page: the person's choice, else their browser's."""
    return negotiate(request.headers.get("accept-language"), chosen=request.cookies.get(LOCALE_COOKIE))


async def meet(uow: UnitOfWork, request: SignedIn, *, for_family: bool = False) -> Visitor:
    """Return who is in front of the page. Raises NotFound if they were removed meanwhile.

    for_family: the page is one that family may open for their elder, too.
    """
    actor = request.user
    community = await people.community(uow)
    person = await people.person(uow, actor.person_id)
    words = Words(
        page_locale(request),
        timezone=community.timezone,
        today=local_date(uow.clock.now(), community.timezone),
    )
    subject = await _acted_for(uow, request, for_family=for_family)
    return Visitor(actor, person, subject or person, community, words)


@asynccontextmanager
async def visit(request: SignedIn, *, for_family: bool = False) -> AsyncIterator[tuple[UnitOfWork, Visitor]]:
    """Open a unit of work in the visitor's community and tell who they are (as :func:`meet`)."""
    async with desk(request).database.unit_of_work(request.auth.community_id) as uow:
        yield uow, await meet(uow, request, for_family=for_family)


async def _acted_for(uow: UnitOfWork, request: SignedIn, *, for_family: bool) -> PersonInfo | None:
    actor, chosen = request.user, request.cookies.get(FOR_COOKIE)
    if not chosen or not (for_family or actor.has(*STAFF)):
        return None
    try:
        person_id = UUID(chosen)
        if not actor.has(*STAFF) and not await care.is_family(uow, person_id, actor.person_id):
            return None
        return await people.person(uow, person_id)
    except (ValueError, NotFound):
        return None
