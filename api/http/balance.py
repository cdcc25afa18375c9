"""What somebody had at a moment: as the bank knew it then, or as it knows it today."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import QueryParameter

from api.auth import SIGNED_IN
from api.dependencies import SignedIn, read
from api.http.books import ACCOUNTS, AHEAD_MAX, StatementOf
from api.http.moments import require_moments, require_past
from api.http.wire import Told
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.people import service as people


class ReckonedBy(StrEnum):
    """By which time a balance is reckoned."""

    RECORDED = "recorded"  # what the bank knew by then
    OCCURRED = "occurred"  # what had happened by then, also if the bank learned of it later


class BalanceAsOfAnswer(Told):
    """What an account held just before ``at``: milli-points or minutes by ``commodity``."""

    commodity: Commodity
    at: datetime
    by: ReckonedBy
    balance: int


@get("/balance", opt=SIGNED_IN, operation_id="get_balance_as_of")
async def balance(
    request: SignedIn,
    of: Annotated[StatementOf, QueryParameter(description="which account")] = StatementOf.POINTS,
    at: Annotated[datetime | None, QueryParameter(description="just before when; now unless named")] = None,
    by: Annotated[ReckonedBy, QueryParameter(description="by which time")] = ReckonedBy.RECORDED,
    member_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
) -> BalanceAsOfAnswer:
    """Return an account's balance as of a moment that has come, by when things were recorded or occurred."""
    require_moments(at=at)

    async def work(uow: UnitOfWork, actor: Actor) -> BalanceAsOfAnswer:
        now = uow.clock.now()
        if at is not None:
            require_past("at", at, now=now)
        member = actor.ledger_ref
        if member_id is not None:
            member = (await people.view_person(uow, actor, member_id)).ledger_ref
        reckon = ledger.balance_as_of if by is ReckonedBy.RECORDED else ledger.balance_as_happened
        code = ACCOUNTS[of](member)
        held = await reckon(uow, code, at or now + AHEAD_MAX)
        return BalanceAsOfAnswer(commodity=code.commodity, at=at or now, by=by, balance=held)

    return await read(request, work)


router = Router("/", route_handlers=[balance], tags=["books"])
