"""What every service of visits does with a visit: lock it behind its request, tell it, know who is near
it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.carers import request_after
from pointsbank.domain.decision import ConcernsOneself
from pointsbank.domain.errors import NotFound
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit import CancelledWhy, ConfirmationMethod, VisitState
from pointsbank.domain.visit_rules import VisitRules
from pointsbank.platform.database import UnitOfWork
from services.care import store, visit_store
from services.care.requests import lock_request
from services.care.views import VisitInfo
from services.ledger import service as ledger
from services.people import service as people

LEADERS = frozenset({Role.BUILDING_LEADER, Role.GRID_LEADER})
Row = dict[str, Any]


async def rules_today(uow: UnitOfWork) -> VisitRules:
    """Return the rules of visits in force on the local day."""
    return (await ledger.policy_on(uow, await people.local_today(uow))).visits


async def lock_visit(uow: UnitOfWork, visit_id: UUID) -> tuple[Row, Row | None]:
    """Lock a visit behind its request (always in this order), and return both rows. Raises NotFound."""
    request_id = await visit_store.request_of(uow, visit_id)
    request = await lock_request(uow, request_id) if request_id is not None else None
    row = await visit_store.lock(uow, visit_id)
    if row is None:
        raise NotFound(what="visit")
    return row, request


async def settle_request(uow: UnitOfWork, request: Row | None) -> None:
    """Put a locked request where its visits say it stands."""
    if request is None:
        return
    states, carers = await visit_store.states_of_request(uow, request["id"])
    before = RequestState(request["state"])
    after = request_after(before, [VisitState(state) for state in states], carers=carers)
    if after is not before:
        await store.set_state(uow, [request["id"]], after)


async def grids_led(uow: UnitOfWork, actor: Actor) -> list[int]:
    """Return the small grids of which the actor is a building or grid leader."""
    if not actor.has(*LEADERS):
        return []
    roles = (await people.person(uow, actor.person_id)).roles
    return [grid for role, grid in roles.items() if role in LEADERS and grid is not None]


async def leads_grid_of(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> bool:
    """Tell whether the actor is a leader of the grid an elder lives in."""
    grids = await grids_led(uow, actor)
    return bool(grids) and (await people.person(uow, elder_id)).small_grid in grids


def require_staff_apart(actor: Actor, row: Row, *, action: str) -> None:
    """Check that a coordinator who is not paid by the visit acts. Raises NotAllowed, ConcernsOneself."""
    actor.require(*STAFF, action=action)
    if actor.person_id == row["volunteer_id"]:
        raise ConcernsOneself


async def told(uow: UnitOfWork, visit_id: UUID) -> VisitInfo:
    """Return one visit. Raises NotFound."""
    found = await told_all(uow, await visit_store.visits(uow, [visit_id]))
    if not found:
        raise NotFound(what="visit")
    return found[0]


async def told_all(uow: UnitOfWork, rows: Sequence[Row]) -> list[VisitInfo]:
    """Return rows of visits as what is told of them."""
    wanted = {row[role] for row in rows for role in ("volunteer_id", "elder_id")}
    named = await people.people_by_id(uow, list(wanted))
    return [
        VisitInfo(
            **{
                **row,
                "state": VisitState(row["state"]),
                "confirmation_method": _word(ConfirmationMethod, row["confirmation_method"]),
                "also_method": _word(ConfirmationMethod, row["also_method"]),
                "check_in_method": _word(AttendanceMethod, row["check_in_method"]),
                "check_out_method": _word(AttendanceMethod, row["check_out_method"]),
                "cancelled_why": _word(CancelledWhy, row["cancelled_why"]),
            },
            volunteer_name=named[row["volunteer_id"]].name,
            elder_name=named[row["elder_id"]].name,
            address=named[row["elder_id"]].address,
        )
        for row in rows
    ]


def _word(words: Any, value: str | None) -> Any:
    return None if value is None else words(value)
