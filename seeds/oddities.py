"""What an auditor should find in the demo world: a few things that are not as they should be, and no more.

Late on the last evenings of the past, when nobody else serves:

- two volunteers sit with each other in turn and each confirms the other: a pair among the rings;
- one volunteer's four visits to one elder come in at once, on paper that only a building leader has seen:
  weak confirmations by one person, which the drawn sample takes first.

Points among them are what the policy gives; nothing is posted that no visit stands behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pointsbank.domain.roles import Role
from pointsbank.domain.visit import ConfirmationMethod
from seeds.geography import COMMUNITY_ID
from seeds.history import local
from seeds.world import World, WorldFailed, content_key
from services.care.records import OutcomeKind, VisitRecord, record_visits

EVENING = 21 * 60 + 45
"""When they begin: after the last free hour of any volunteer, before the week is booked."""

LASTS = 75
PAPERS = 4


async def plant_oddities(world: World, days: Sequence[date]) -> None:
    """Record them on the last days of the past. days: its last week. Raises WorldFailed."""
    volunteers = world.people.holders[Role.VOLUNTEER]
    one, other, third = volunteers[:3]
    leader = next(
        index for index in world.people.holders[Role.BUILDING_LEADER] if index not in (one, other, third)
    )
    elder = next(index for index in world.people.holders[Role.ELDER] if index not in (third, leader))
    by_elder, on_paper = ConfirmationMethod.ELDER, ConfirmationMethod.RECORD
    planted = [
        _record(world, one, other, other, by_elder, days[-1]),
        _record(world, other, one, one, by_elder, days[-2]),
        *(_record(world, third, elder, leader, on_paper, days[-back]) for back in range(1, PAPERS + 1)),
    ]
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        for record, outcome in zip(planted, await record_visits(uow, planted), strict=True):
            if outcome.kind is not OutcomeKind.RECORDED:
                raise WorldFailed(f"oddity of {record.started_at}: {outcome.kind} {outcome.refusal}")
    world.count("visits", len(planted))


def _record(
    world: World, volunteer: int, elder: int, confirmer: int, method: ConfirmationMethod, day: date
) -> VisitRecord:
    start = local(day, EVENING)
    return VisitRecord(
        volunteer_id=world.ids[volunteer],
        elder_id=world.ids[elder],
        kind="companionship",
        started_at=start,
        ended_at=start + timedelta(minutes=LASTS),
        confirmer_id=world.ids[confirmer],
        content_key=content_key("oddity", world.seed, volunteer, elder, start),
        method=method,
        confirmed_at=world.clock.now(),
    )
