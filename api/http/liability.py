"""What the community owes its members in meals, and what covers it."""

from __future__ import annotations

from litestar import Router, get
from pydantic import Field

from api.auth import may
from api.dependencies import SignedIn, read
from api.http.wire import Told
from pointsbank.domain.liability import Age
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger.liability import report


class LiabilityAnswer(Told):
    """Outstanding milli-points, what they cost in fen at the dearest price, and the covers in permille."""

    outstanding: int
    by_age: dict[Age, int]
    fen: int
    fund_left: int | None
    fund_cover: int | None = Field(
        description="fund ÷ cost, in permille; null where the policy tells of none"
    )
    capacity_cover: int | None = Field(description="what partners can serve ÷ outstanding, in permille")
    cover: int | None = Field(description="the smaller of the two")
    line: int = Field(description="the policy's line, in permille")
    low: bool = Field(description="the cover is below the line")


@get("/liability", opt=may(*READERS), operation_id="show_liability")
async def show(request: SignedIn) -> LiabilityAnswer:
    """Report the points outstanding by age against the fund and the partners' capacity."""

    async def work(uow: UnitOfWork, actor: Actor) -> LiabilityAnswer:
        told = await report(uow, actor)
        return LiabilityAnswer(
            outstanding=told.outstanding,
            by_age=dict(told.by_age),
            fen=told.fen,
            fund_left=told.fund_left,
            fund_cover=told.fund_cover,
            capacity_cover=told.capacity_cover,
            cover=told.cover,
            line=told.line,
            low=told.low,
        )

    return await read(request, work)


router = Router("/", route_handlers=[show], tags=["books"])
