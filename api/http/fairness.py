"""Whether help reaches everybody alike, for programs."""

from __future__ import annotations

from datetime import date
from typing import Any

from litestar import Router, get
from pydantic import Field

from api.auth import may
from api.dependencies import SignedIn, read
from api.http.wire import Told
from pointsbank.domain.fairness import Gap, Group, Service
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.database import UnitOfWork
from services.matching.fairness import fairness


class ServiceAnswer(Told):
    """How a group was served. Waiting in minutes, by nearest rank; null where nobody asked."""

    requests: int
    due: int = Field(description="requests whose time has come")
    visited: int
    rate_permille: int | None = Field(description="visited ÷ due, rounded down; null where none is due")
    wait_median: int | None
    wait_ninetieth: int | None
    wait_longest: int | None


class GroupAnswer(Told):
    """A group of requests. key: number of the small grid, age band or kind of service."""

    key: str
    service: ServiceAnswer
    left_behind: list[Gap] = Field(description="in what this group is left behind; empty for most")


class LoadAnswer(Told):
    """How the work lies on active volunteers: who say when they are free, or made a visit."""

    volunteers: int
    visits: int
    minutes: int
    busiest: int = Field(description="how many the busiest tenth are")
    busiest_share: int = Field(description="their permille of all minutes")
    idle: int = Field(description="how many made no visit")
    gini: int = Field(description="of minutes, in permille; 0 is the same for all")


class FairnessAnswer(Told):
    """Requests for a time from ``first`` to ``last`` or ahead, those called off left out."""

    first: date
    last: date
    complete: bool = Field(description="false where there were more requests than one report reads")
    community: ServiceAnswer
    grids: list[GroupAnswer]
    bands: list[GroupAnswer]
    kinds: list[GroupAnswer]
    load: LoadAnswer


def _service(service: Service) -> ServiceAnswer:
    return ServiceAnswer(
        requests=service.requests,
        due=service.due,
        visited=service.visited,
        rate_permille=service.rate,
        wait_median=service.median,
        wait_ninetieth=service.ninetieth,
        wait_longest=service.longest,
    )


def _group(group: Group[Any]) -> GroupAnswer:
    return GroupAnswer(
        key=str(group.key), service=_service(group.service), left_behind=list(group.left_behind)
    )


@get("/fairness", opt=may(*READERS), operation_id="fairness")
async def report(request: SignedIn) -> FairnessAnswer:
    """Tell waiting, service rate and load over the last 28 days, and who is left behind."""

    async def work(uow: UnitOfWork, actor: Actor) -> FairnessAnswer:
        found = await fairness(uow, actor)
        told = found.report
        return FairnessAnswer(
            first=found.first,
            last=found.last,
            complete=found.complete,
            community=_service(told.community),
            grids=[_group(group) for group in told.grids],
            bands=[_group(group) for group in told.bands],
            kinds=[_group(group) for group in told.kinds],
            load=LoadAnswer.of(told.load),
        )

    return await read(request, work)


router = Router("/", route_handlers=[report], tags=["matching"])
