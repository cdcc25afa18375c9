"""Visits: planned, under way, done, confirmed; confirmation and its journal entry are one commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.help_request import RequestState, advance
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import EarnedSoFar
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.domain.visit import (
    STRENGTH,
    ConfirmationMethod,
    OverlappingVisit,
    VisitState,
    minutes_between,
    require_check_in,
    require_check_out,
    require_confirmation,
)
from pointsbank.platform.clock import local_date, local_day, local_year
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import store, visit_store
from services.care.requests import lock_request
from services.care.views import Promise, VisitInfo
from services.ledger import lots
from services.ledger import service as ledger
from services.people import service as people

PAGE_MAX = 200
LEADERS = frozenset({Role.BUILDING_LEADER, Role.GRID_LEADER})


async def plan_visit(uow: UnitOfWork, request_id: UUID, volunteer_id: UUID) -> VisitInfo:
    """Plan the visit a volunteer has agreed to make; the request is accepted.

    For callers that have decided who may. Raises NotFound, WrongState, InvalidValue, OverlappingVisit (the
    unit of work can then only be given up).
    """
    request = await lock_request(uow, request_id)
    advance(RequestState(request["state"]), RequestState.ACCEPTED)
    volunteer = await people.person(uow, volunteer_id)
    if Role.VOLUNTEER not in volunteer.roles:
        raise InvalidValue(field="volunteer_id", rule="volunteer")
    if volunteer_id == request["elder_id"]:
        raise InvalidValue(field="volunteer_id", rule="not_oneself")
    visit_id = uuid7()
    await visit_store.insert_planned(uow, visit_id, request, volunteer_id)
    await store.set_state(uow, [request_id], RequestState.ACCEPTED)
    return await _visit(uow, visit_id)


async def cancel_visit(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Give up a planned visit: its request is open again. By the volunteer or a coordinator.

    Raises NotFound, NotAllowed, WrongState.
    """
    row, request = await _lock(uow, visit_id)
    actor.require_self_or(row["volunteer_id"], *STAFF, action="cancel_visit")
    if row["state"] != VisitState.PLANNED:
        raise WrongState(what="visit", state=row["state"], action="cancel")
    await visit_store.set_state(uow, visit_id, VisitState.CANCELLED)
    await _advance_request(uow, request, RequestState.OPEN)
    return await _visit(uow, visit_id)


async def check_in(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Begin a visit now: the volunteer, or a coordinator who is told by phone.

    Raises NotFound, NotAllowed, WrongState, InvalidValue (too early), OverlappingVisit (another visit of
    the volunteer is still under way).
    """
    row, request = await _lock(uow, visit_id)
    actor.require_self_or(row["volunteer_id"], *STAFF, action="check_in")
    now = uow.clock.now()
    require_check_in(VisitState(row["state"]), row["planned_start"], now=now)
    await people.lock_people(uow, [row["volunteer_id"]])
    if await visit_store.is_busy_at(uow, row["volunteer_id"], now):
        raise OverlappingVisit
    await visit_store.set_checked_in(uow, visit_id, now)
    await _advance_request(uow, request, RequestState.UNDER_WAY)
    return await _visit(uow, visit_id)


async def check_out(
    uow: UnitOfWork, actor: Actor, visit_id: UUID, *, at: datetime | None = None
) -> VisitInfo:
    """End a visit now: the volunteer, or a coordinator who is told by phone.

    at: only a coordinator may say that it ended earlier. Raises NotFound, NotAllowed, WrongState,
    InvalidValue.
    """
    row, request = await _lock(uow, visit_id)
    actor.require_self_or(row["volunteer_id"], *STAFF, action="check_out")
    require_check_out(VisitState(row["state"]))
    now = uow.clock.now()
    if at is not None:
        actor.require(*STAFF, action="check_out_earlier")
        if at.tzinfo is None:
            raise InvalidValue(field="checked_out", rule="timezone")
        if at > now:
            raise InvalidValue(field="checked_out", rule="not_in_the_future")
    ended = at or now
    minutes = minutes_between(row["checked_in_at"], ended)
    await visit_store.set_checked_out(uow, visit_id, ended, minutes)
    await _advance_request(uow, request, RequestState.DONE)
    return await _visit(uow, visit_id)


async def confirm(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Confirm a visit and post what it earns, in one commit.

    By the elder, a coordinator, or a building or grid leader of the elder's grid as witness; never by who is
    paid. Confirming again what the same person has confirmed changes nothing and answers the same.
    Raises NotFound, NotAllowed, ConfirmedByThePaid, WrongState, OverlappingVisit, IdempotencyKeyReused.
    """
    row, request = await _lock(uow, visit_id)
    method = await _method(uow, actor, row)
    state = VisitState(row["state"])
    if state is VisitState.CONFIRMED and row["confirmed_by"] == actor.person_id:
        return await _visit(uow, visit_id)
    require_confirmation(state, volunteer=row["volunteer_id"], confirmer=actor.person_id)
    timezone = (await people.community(uow)).timezone
    day = local_date(row["checked_out_at"], timezone)
    await people.lock_people(uow, [row["volunteer_id"]])
    volunteer = await people.person(uow, row["volunteer_id"])
    # The rules and what the caps count must still be so when the entry is posted: it can be recomputed.
    await lots.lock(uow)
    policy = await ledger.policy_for_kind(uow, row["kind"], day)
    so_far = await earned_so_far(uow, volunteer.id, volunteer.ledger_ref, day, timezone)
    earning = policy.earning(row["kind"], Minutes(row["minutes"]), so_far)
    entry = earning_entry(
        visit_id,
        earning,
        volunteer=volunteer.ledger_ref,
        confirmer=actor.ledger_ref,
        policy_version=policy.version,
        occurred_at=row["checked_out_at"],
        expires_on=policy.expires_on(day),
    )
    recorded = await ledger.post(uow, entry) if entry is not None else None
    await visit_store.set_confirmed(
        uow,
        visit_id,
        confirmed_by=actor.person_id,
        method=method,
        strength=STRENGTH[method],
        confirmed_at=uow.clock.now(),
        policy_version=policy.version,
        credited_minutes=earning.minutes,
        clipped_milli_points=earning.clipped_milli_points,
        entry_number=recorded.number if recorded is not None else None,
    )
    await _advance_request(uow, request, RequestState.POSTED)
    return await _visit(uow, visit_id)


async def earned_so_far(
    uow: UnitOfWork, volunteer_id: UUID, ledger_ref: UUID, day: date, timezone: str
) -> EarnedSoFar:
    """Return what the caps count for a visit that ended on local ``day``.

    A visit belongs to the day and year in which it ended; points set aside for a redemption still count
    as the account's. Meaningful only under :func:`people.lock_people` and the ledger's lock.
    """
    minutes = await visit_store.credited_minutes(uow, volunteer_id, *local_day(day, timezone))
    year = await ledger.earned_between(uow, ledger_ref, *local_year(day, timezone))
    codes = [accounts.available(ledger_ref), accounts.held(ledger_ref)]
    balance = sum((await ledger.balances(uow, codes)).values())
    return EarnedSoFar(Minutes(minutes), year, MilliPoints(balance))


async def visit(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Return a visit to its volunteer, its elder or a reader of the community.

    Raises NotFound, NotAllowed.
    """
    found = await _visit(uow, visit_id)
    if actor.person_id != found.elder_id:
        actor.require_self_or(found.volunteer_id, *READERS, action="view_visit")
    return found


async def visits_of_volunteer(
    uow: UnitOfWork, actor: Actor, volunteer_id: UUID, *, after: UUID | None = None, limit: int = 50
) -> list[VisitInfo]:
    """Return a volunteer's visits, latest planned first. after: id to go on from. Raises NotAllowed."""
    actor.require_self_or(volunteer_id, *READERS, action="view_visit")
    return await _infos(uow, await visit_store.of_volunteer(uow, volunteer_id, after, _page(limit)))


async def visits_of_elder(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, *, after: UUID | None = None, limit: int = 50
) -> list[VisitInfo]:
    """Return the visits to an elder, latest planned first. after: id to go on from. Raises NotAllowed."""
    actor.require_self_or(elder_id, *READERS, action="view_visit")
    return await _infos(uow, await visit_store.of_elder(uow, elder_id, after, _page(limit)))


async def visits_to_confirm(
    uow: UnitOfWork, actor: Actor, *, after: UUID | None = None, limit: int = 50
) -> list[VisitInfo]:
    """Return done visits that ``actor`` may confirm, in order of id. after: id to go on from.

    A coordinator: all; a leader: those in their grid; anyone: those made to them. Never those they made.
    """
    grids = None if actor.has(*STAFF) else await _grids_led(uow, actor)
    rows = await visit_store.to_confirm(uow, actor.person_id, grids, after, _page(limit))
    return await _infos(uow, rows)


async def promises(
    uow: UnitOfWork, volunteer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[Promise]:
    """Return when these volunteers have agreed to be somewhere, within [start, end)."""
    rows = await visit_store.promises(uow, volunteer_ids, start, end)
    return [Promise(**row) for row in rows]


async def _method(uow: UnitOfWork, actor: Actor, row: dict[str, Any]) -> ConfirmationMethod:
    """Return how the actor's word counts. Whoever is paid gets past here, to be refused as such."""
    if actor.person_id == row["elder_id"]:
        return ConfirmationMethod.ELDER
    if actor.has(Role.COORDINATOR):
        return ConfirmationMethod.COORDINATOR
    elder = await people.person(uow, row["elder_id"])
    if elder.small_grid in await _grids_led(uow, actor) or actor.person_id == row["volunteer_id"]:
        return ConfirmationMethod.WITNESS
    raise NotAllowed(action="confirm_visit")


async def _grids_led(uow: UnitOfWork, actor: Actor) -> list[int]:
    if not actor.has(*LEADERS):
        return []
    roles = (await people.person(uow, actor.person_id)).roles
    return [grid for role, grid in roles.items() if role in LEADERS and grid is not None]


async def _lock(uow: UnitOfWork, visit_id: UUID) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Lock a visit behind its request (always in this order), and return both rows. Raises NotFound."""
    request_id = await visit_store.request_of(uow, visit_id)
    request = await lock_request(uow, request_id) if request_id is not None else None
    row = await visit_store.lock(uow, visit_id)
    if row is None:
        raise NotFound(what="visit")
    return row, request


async def _advance_request(uow: UnitOfWork, request: dict[str, Any] | None, to: RequestState) -> None:
    if request is not None:
        advance(RequestState(request["state"]), to)
        await store.set_state(uow, [request["id"]], to)


async def _visit(uow: UnitOfWork, visit_id: UUID) -> VisitInfo:
    found = await _infos(uow, await visit_store.visits(uow, [visit_id]))
    if not found:
        raise NotFound(what="visit")
    return found[0]


async def _infos(uow: UnitOfWork, rows: Sequence[dict[str, Any]]) -> list[VisitInfo]:
    wanted = {row[role] for row in rows for role in ("volunteer_id", "elder_id")}
    named = await people.people_by_id(uow, list(wanted))
    return [
        VisitInfo(
            **{
                **row,
                "state": VisitState(row["state"]),
                "confirmation_method": ConfirmationMethod(row["confirmation_method"])
                if row["confirmation_method"]
                else None,
            },
            volunteer_name=named[row["volunteer_id"]].name,
            elder_name=named[row["elder_id"]].name,
            address=named[row["elder_id"]].address,
        )
        for row in rows
    ]


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))
