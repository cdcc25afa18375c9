"""What governments and the community owe for meals, by month or quarter."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from api.auth import may
from api.dependencies import SignedIn, read
from api.http.wire import Told
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.subsidy.payers import Meal, Payer
from pointsbank.platform.database import UnitOfWork
from services.settlement.subsidies import claims
from services.settlement.views import ClaimKind


class ClaimBy(StrEnum):
    """How finely a claim is told."""

    GROUP = "group"
    PERSON = "person"


class ClaimLineAnswer(Told):
    """Meals of one group that one payer shares in. ``fen`` is negative for what went back.

    ``place``: which city, district or town pays (its division code). ``tier``: the group. ``served_on``: the
    day of the meals that something went back of. ``ledger_ref``: whose, only for claims told by person.
    """

    kind: ClaimKind
    payer: Payer
    place: str | None
    tier: str | None
    meal: Meal
    served_on: date | None
    ledger_ref: UUID | None
    meals: int
    fen: int


class ClaimTotalAnswer(Told):
    """What one payer owes, in fen."""

    payer: Payer
    place: str | None
    meals: int
    fen: int


class ClaimAnswer(Told):
    """A claim: frozen shares of the meals of its days, and what went back over them. ``fen``: of all payers.

    ``ended``: its days are over.
    """

    period: str
    first: date
    last: date
    ended: bool
    fen: int
    totals: list[ClaimTotalAnswer]
    lines: list[ClaimLineAnswer]


@get("/subsidy-claims/{period:str}", opt=may(*READERS), operation_id="get_subsidy_claim")
async def claim(
    request: SignedIn,
    period: FromPath[str],
    by: Annotated[ClaimBy, QueryParameter(description="groups, or pseudonyms too")] = ClaimBy.GROUP,
) -> ClaimAnswer:
    """Return what is owed for the meals of a month (`2026-11`) or quarter (`2026-Q4`)."""

    async def work(uow: UnitOfWork, _actor: Actor) -> ClaimAnswer:
        return ClaimAnswer.of(await claims.claim(uow, period, by_person=by is ClaimBy.PERSON))

    return await read(request, work)


router = Router("/", route_handlers=[claim], tags=["settlement"])
