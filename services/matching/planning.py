"""What a pairing run is given, from the database: requests, volunteers, what stands already.

A fixed number of queries, whatever the number of volunteers; all that decides is in
:mod:`pointsbank.domain.pairing`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pointsbank.domain.pairing.instance import Instance, Request, Volunteer, scarce_skills
from pointsbank.domain.roles import Role
from pointsbank.platform.database import UnitOfWork
from services.care.service import RequestInfo
from services.matching.frame import Frame, frame_for
from services.matching.told import told_of
from services.matching.wanted import Places, wanted_of
from services.people import service as people
from services.people.service import HomeInfo

FEW = 200
"""Volunteers who are few enough to ask for what each of them has had with an elder; of more, all is asked."""


async def planning_input(
    uow: UnitOfWork, requests: Sequence[RequestInfo], *, now: datetime, movable: Collection[UUID] = ()
) -> Instance:
    """Return all that a run may know to pair these requests with the community's volunteers.

    movable: requests whose unanswered offers may move. For callers that have decided who may. Raises
    NotFound, UnknownServiceKind.
    """
    frame = await frame_for(uow, requests, now=now)
    volunteers = await people.homes_with_role(uow, Role.VOLUNTEER)
    return await instance_of(uow, frame, requests, volunteers, movable=movable)


async def instance_of(
    uow: UnitOfWork,
    frame: Frame,
    requests: Sequence[RequestInfo],
    volunteers: Sequence[HomeInfo],
    *,
    movable: Collection[UUID] = (),
    places: Mapping[UUID, Places] | None = None,
) -> Instance:
    """Return the instance of these requests and volunteers.

    movable: requests whose unanswered offers may move; all others keep their volunteers busy. places: what is
    to be paired of each request; None: all that it asks for.
    """
    told = await told_of(uow, frame, volunteers, movable=movable)
    few = [each.id for each in volunteers] if len(volunteers) <= FEW else None
    wanted = await wanted_of(uow, frame, requests, volunteers=few, kept=told.kept, places=places)
    return joined(frame, wanted, told.volunteers)


def joined(frame: Frame, wanted: tuple[Request, ...], volunteers: tuple[Volunteer, ...]) -> Instance:
    """Return the instance of what is known of requests and volunteers."""
    weights = frame.policies.on(frame.today).pairing
    scarce = scarce_skills(wanted, volunteers, each=weights.scarce_each) if len(wanted) > 1 else frozenset()
    return Instance(
        origin=frame.origin.isoformat(),
        grids=frame.grids,
        weights=weights,
        requests=wanted,
        volunteers=volunteers,
        scarce=scarce,
        now=frame.minute(frame.now),
    )
