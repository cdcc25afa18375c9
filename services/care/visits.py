"""Visits: planned, given up, told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.domain.backfill import Barred
from pointsbank.domain.carers import free_place
from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.help_request import RequestState, advance
from pointsbank.domain.preferences import KeptApart
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.domain.visit import CancelledWhy, VisitState, is_late
from pointsbank.domain.visit_rules import BarKind
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import ties, visit_store
from services.care.aftercare import sanctions
from services.care.apart import kept_apart
from services.care.requests import agree_starts, lock_request
from services.care.views import Promise, VisitInfo
from services.care.visit_access import grids_led, lock_visit, rules_today, settle_request, told, told_all
from services.people import service as people

PAGE_MAX = 200


async def plan_visit(
    uow: UnitOfWork, request_id: UUID, volunteer_id: UUID, *, starts_at: datetime | None = None
) -> VisitInfo:
    """Plan the visit a volunteer has agreed to make; the request is accepted when its last place is taken.

    starts_at: when, within what was asked; None: when it was asked for. It is agreed then: the second of two
    carers comes at the same time. For callers that have decided who may.
    Raises NotFound, WrongState, InvalidValue, KeptApart, Barred, OverlappingVisit (the unit of work can then
    only be given up).
    """
    request = await lock_request(uow, request_id)
    advance(RequestState(request["state"]), RequestState.ACCEPTED)
    volunteer = await people.person(uow, volunteer_id)
    if Role.VOLUNTEER not in volunteer.roles:
        raise InvalidValue(field="volunteer_id", rule="volunteer")
    if volunteer_id == request["elder_id"]:
        raise InvalidValue(field="volunteer_id", rule="not_oneself")
    await _require_together(uow, request["elder_id"], volunteer_id)
    until = await sanctions.barred_until(uow, volunteer_id, BarKind.SERVICE)
    if until is not None:
        raise Barred(bar=BarKind.SERVICE, until=until)
    start = request["starts_at"] if starts_at is None else starts_at
    require_within_asked(request, start)
    taken = await visit_store.places_taken(uow, request_id)
    _, carers = await visit_store.states_of_request(uow, request_id)
    place = free_place([carer for carer, _ in taken], carers=carers)
    if place is None or volunteer_id in {person for _, person in taken}:
        raise WrongState(what="help_request", state=request["state"], action=RequestState.ACCEPTED)
    if start != request["starts_at"]:
        if taken:
            raise InvalidValue(field="starts_at", rule="with_the_other_carer")
        await agree_starts(uow, {request_id: start})
    visit_id = uuid7()
    ends_at = start + (request["ends_at"] - request["starts_at"])
    await visit_store.insert_planned(
        uow, visit_id, request, volunteer_id, starts_at=start, ends_at=ends_at, carer=place
    )
    await settle_request(uow, request)
    return await told(uow, visit_id)


async def _require_together(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID) -> None:
    """Check that neither side would rather not meet the other (again). Raises KeptApart."""
    if volunteer_id in (await kept_apart(uow, [elder_id]))[elder_id]:
        raise KeptApart


def require_within_asked(request: dict[str, Any], starts_at: datetime) -> None:
    """Check that a start lies within what was asked. request: a row, with a window or without.

    Raises InvalidValue.
    """
    earliest = request.get("earliest_start") or request["starts_at"]
    latest = request.get("latest_start") or request["starts_at"]
    if starts_at.tzinfo is None or not earliest <= starts_at <= latest:
        raise InvalidValue(field="starts_at", rule="within_what_was_asked")


async def cancel_visit(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Give up a planned visit before its start: its request is open again, and has waited as long as it has.

    By the volunteer, or a coordinator to whom they say so by phone: either counts as the volunteer's, and as
    late with less notice than the policy asks for. Raises NotFound, NotAllowed, WrongState.
    """
    row, request = await lock_visit(uow, visit_id)
    actor.require_self_or(row["volunteer_id"], *STAFF, action="cancel_visit")
    if row["state"] != VisitState.PLANNED or row["planned_start"] <= uow.clock.now():
        raise WrongState(what="visit", state=row["state"], action="cancel")
    notice = (await rules_today(uow)).notice
    await visit_store.call_off(
        uow,
        visit_id,
        why=CancelledWhy.VOLUNTEER,
        by=actor.person_id,
        late=is_late(row["planned_start"], now=uow.clock.now(), notice=notice),
    )
    await settle_request(uow, request)
    return await told(uow, visit_id)


async def visit(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Return a visit to its volunteer, its elder, their family or a reader of the community.

    Raises NotFound, NotAllowed.
    """
    found = await told(uow, visit_id)
    near = actor.person_id == found.elder_id or await ties.is_family(uow, found.elder_id, actor.person_id)
    if not near:
        actor.require_self_or(found.volunteer_id, *READERS, action="view_visit")
    return _discreet(actor, found)


async def visits_of_volunteer(
    uow: UnitOfWork, actor: Actor, volunteer_id: UUID, *, after: UUID | None = None, limit: int = 50
) -> list[VisitInfo]:
    """Return a volunteer's visits, latest planned first. after: id to go on from. Raises NotAllowed."""
    actor.require_self_or(volunteer_id, *READERS, action="view_visit")
    found = await told_all(uow, await visit_store.of_volunteer(uow, volunteer_id, after, _page(limit)))
    return [_discreet(actor, each) for each in found]


async def visits_of_elder(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, *, after: UUID | None = None, limit: int = 50
) -> list[VisitInfo]:
    """Return the visits to an elder, latest planned first. after: id to go on from. Raises NotAllowed."""
    if not await ties.is_family(uow, elder_id, actor.person_id):
        actor.require_self_or(elder_id, *READERS, action="view_visit")
    return await told_all(uow, await visit_store.of_elder(uow, elder_id, after, _page(limit)))


async def visits_to_confirm(
    uow: UnitOfWork, actor: Actor, *, after: UUID | None = None, limit: int = 50
) -> list[VisitInfo]:
    """Return done visits that ``actor`` may confirm, in order of id. after: id to go on from.

    A coordinator sees all but what they made, recorded, put right or have confirmed themselves; a building
    or grid leader sees those of their grid; everybody those to themselves and to the elders whose
    family they are.
    """
    grids = None if actor.has(Role.COORDINATOR) else await grids_led(uow, actor)
    elders = [actor.person_id, *await ties.confirmed_elders(uow, actor.person_id)]
    rows = await visit_store.to_confirm(uow, actor.person_id, elders, grids, after, _page(limit))
    return await told_all(uow, rows)


async def promises(
    uow: UnitOfWork, volunteer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[Promise]:
    """Return when these volunteers have agreed to be somewhere, within [start, end)."""
    rows = await visit_store.promises(uow, volunteer_ids, start, end)
    return [Promise(**row) for row in rows]


def _discreet(actor: Actor, info: VisitInfo) -> VisitInfo:
    """Do not tell a volunteer that they are kept apart from an elder: it may be the elder's own word."""
    if actor.person_id != info.volunteer_id or info.cancelled_why is not CancelledWhy.KEPT_APART:
        return info
    return replace(info, cancelled_why=None, cancelled_by=None, cancelled_at=None)


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))
