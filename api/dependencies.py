"""What handlers work with: the desk of the process, and one unit of work for each request.

A handler says what to do in a function of (unit of work, actor) and passes it to :func:`read` or
:func:`change`; the commit has happened before the answer is built, so a failed one is never answered with
success.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from pydantic import BaseModel

from api.idempotency import REPLAYED_HEADER, claim_of, once
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.settings import Settings
from services.settlement.client import Partners

Answer = TypeVar("Answer", bound=BaseModel)
Work = Callable[[UnitOfWork, Actor], Awaitable[Answer]]

OK, CREATED = 200, 201


@dataclass(frozen=True, slots=True)
class Session:
    """A session of one person in one community. by_cookie: the browser sent it without being asked."""

    community_id: int
    token: str
    by_cookie: bool


SignedIn = Request[Actor, Session, State]
"""A request behind a route that declares who may call it: its user and auth are set."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What this process stands on.

    head: the revision the schema must be at. partner_secrets: what partners sign with, by their code.
    partners: who can be asked while somebody waits, never inside a unit of work.
    """

    database: Database
    settings: Settings
    head: str
    partner_secrets: Mapping[str, str]
    partners: Partners


def desk(connection: ASGIConnection[Any, Any, Any, Any]) -> Desk:
    """Return the process's desk."""
    return cast("Desk", connection.app.state.desk)


async def read(request: SignedIn, work: Work[Answer]) -> Answer:
    """Return what ``work`` finds in the caller's community."""
    async with desk(request).database.unit_of_work(request.auth.community_id) as uow:
        return await work(uow, request.user)


async def change(request: SignedIn, work: Work[Answer], *, status: int = OK) -> Response[Answer]:
    """Do ``work`` in one unit of work, once for its ``Idempotency-Key``, and answer after the commit."""
    claim = await claim_of(request)
    async with desk(request).database.unit_of_work(request.auth.community_id) as uow:

        async def told() -> dict[str, Any]:
            return (await work(uow, request.user)).model_dump(mode="json")

        given = await once(uow, request.user, claim, told, status=status)
    # Sorted, as a stored answer has lost the order of its members: a replay is the same to the byte.
    return Response(
        cast("Answer", msgspec.json.encode(given.body, order="sorted")),
        status_code=given.status,
        headers={REPLAYED_HEADER: "true"} if given.replayed else {},
        media_type="application/json",
    )
