"""The fairness report: whom help reaches late or not at all, and on whom the work lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pointsbank.domain import fairness as domain
from pointsbank.domain.fairness import Asking, Fairness, age_band
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.matching import fairness_store as store
from services.people import service as people
from services.people.views import GridInfo

DAYS = 28
"""Four whole weeks, today included: every weekday counts as often as any other."""

REQUESTS_MAX = 100_000
"""Requests one report reads; beyond it only the latest, and the report says so."""

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FairnessInfo:
    """The report over local days ``first`` to ``last``, both included. complete: no request was left out."""

    first: date
    last: date
    report: Fairness
    grids: tuple[GridInfo, ...]
    complete: bool


async def fairness(uow: UnitOfWork, actor: Actor) -> FairnessInfo:
    """Return how fairly help was given over the last ``DAYS`` days.

    Counted are requests for a time in these days or ahead, but those called off; a request ahead counts for
    waiting only. Raises NotAllowed but for coordinators and auditors.
    """
    actor.require(*READERS, action="view_fairness")
    timezone = (await people.community(uow)).timezone
    now = uow.clock.now()
    last = local_date(now, timezone)
    first = last - timedelta(days=DAYS - 1)
    since, _ = local_day(first, timezone)
    rows = await store.askings(uow, since, REQUESTS_MAX + 1, timezone)
    work = await store.work(uow, since, now)
    grids = await people.small_grids(uow)
    kinds = (await ledger.policy_on(uow, last)).kinds
    return FairnessInfo(
        first=first,
        last=last,
        report=domain.fairness(
            [_asking(row, now) for row in rows[:REQUESTS_MAX]],
            work,
            grids=[grid.number for grid in grids],
            kinds=list(kinds),
        ),
        grids=tuple(grids),
        complete=len(rows) <= REQUESTS_MAX,
    )


def _asking(row: store.AskingRow, now: datetime) -> Asking:
    until = row["came_at"]
    if until is None:
        until = row["starts_at"] if row["state"] == RequestState.EXPIRED else now
    return Asking(
        small_grid=row["small_grid"],
        band=age_band(row["age"]),
        kind=row["kind"],
        waited=max(0, (until - row["asked_at"]) // MINUTE),
        due=row["starts_at"] <= now or row["came_at"] is not None,
        visited=row["came_at"] is not None,
    )
