"""Being there: check-in and check-out by code, card, witness, call-back or plain word; nobody at home.

Late and overlapping are noted and refuse nothing: whoever stands at the door is let in, and what does not fit
is settled afterwards (``settling``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.attendance import AttendanceMethod, Proof
from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.points import Minutes
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.domain.visit import (
    TooManyPairs,
    VisitState,
    advance_visit,
    late_minutes,
    minutes_between,
    require_check_in,
    require_check_out,
)
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import UnitOfWork
from services.care import attendance_store, visit_store
from services.care.door import codes
from services.care.views import VisitInfo
from services.care.visit_access import (
    Row,
    leads_grid_of,
    lock_visit,
    require_staff_apart,
    rules_today,
    settle_request,
    told,
)
from services.people import service as people


async def check_in(uow: UnitOfWork, actor: Actor, visit_id: UUID, *, proof: Proof | None = None) -> VisitInfo:
    """Begin a visit now: the volunteer, a leader of the elder's grid who sees them, or a coordinator by
    phone.

    proof: what the volunteer brings from the door; of a code :func:`codes.begin_attempt` was committed
    before. Another visit of the volunteer that goes on is noted on this one. Raises NotFound, NotAllowed,
    WrongState (or nobody waits for them any more), InvalidValue (too early), TooManyPairs, WrongProof,
    OverlappingVisit (they were given up here and promised elsewhere since).
    """
    row, request = await lock_visit(uow, visit_id)
    method = await _method(uow, actor, row, proof, action="check_in")
    request = await come_after_all(uow, row, request, action="check_in")
    now, rules = uow.clock.now(), await rules_today(uow)
    require_check_in(VisitState(row["state"]), row["planned_start"], now=now)
    await people.lock_people(uow, [row["volunteer_id"]])
    await require_pair(uow, row, now, limit=rules.pairs_a_day)
    await _prove(uow, row, proof)
    others = await attendance_store.overlapping(uow, visit_id, row["volunteer_id"], now, None)
    with visit_store.overlaps_named():
        await attendance_store.set_checked_in(
            uow,
            visit_id,
            now,
            method=method,
            late_minutes=late_minutes(row["planned_start"], now, grace=Minutes(rules.late_grace_minutes)),
            overlap=next(iter(others), None),
        )
    await _note_call_back(uow, actor, row, method)
    await settle_request(uow, request)
    return await told(uow, visit_id)


async def check_out(
    uow: UnitOfWork,
    actor: Actor,
    visit_id: UUID,
    *,
    at: datetime | None = None,
    proof: Proof | None = None,
) -> VisitInfo:
    """End a visit now: who may check in may check out.

    at: only a coordinator who is not paid by it may say that it ended earlier, also when it has been missing.
    Raises NotFound, NotAllowed, ConcernsOneself, WrongState, InvalidValue, WrongProof.
    """
    row, request = await lock_visit(uow, visit_id)
    method = await _method(uow, actor, row, proof, action="check_out")
    now = uow.clock.now()
    if at is None:
        require_check_out(VisitState(row["state"]))
    else:
        require_staff_apart(actor, row, action="check_out_earlier")
        if row["state"] != VisitState.MISSING:
            require_check_out(VisitState(row["state"]))
        if at.tzinfo is None:
            raise InvalidValue(field="checked_out", rule="timezone")
        if at > now:
            raise InvalidValue(field="checked_out", rule="not_in_the_future")
    await people.lock_people(uow, [row["volunteer_id"]])
    ended = at or now
    minutes = minutes_between(row["checked_in_at"], ended)
    await _prove(uow, row, proof)
    await end_visit(uow, row, row["checked_in_at"], ended, minutes, method=method)
    await _note_call_back(uow, actor, row, method)
    await settle_request(uow, request)
    return await told(uow, visit_id)


async def nobody_home(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Note that the volunteer stood before a closed door, from the agreed time on.

    The visit is over and held against nobody; where the policy pays the way, it waits for a coordinator to
    confirm that. By who may check in. Raises NotFound, NotAllowed, WrongState, InvalidValue (too early).
    """
    row, request = await lock_visit(uow, visit_id)
    method = await _method(uow, actor, row, None, action="check_in")
    now, rules = uow.clock.now(), await rules_today(uow)
    state = advance_visit(VisitState(row["state"]), VisitState.NO_SHOW_ELDER, action="nobody_home")
    if now < row["planned_start"]:
        raise InvalidValue(field="checked_in", rule="not_yet")
    await people.lock_people(uow, [row["volunteer_id"]])
    await attendance_store.set_nobody_home(uow, visit_id)
    if rules.nobody_home_minutes:
        minutes = Minutes(rules.nobody_home_minutes)
        await end_visit(uow, row, now - timedelta(minutes=minutes), now, minutes, method=method)
        await _note_call_back(uow, actor, row, method)
    else:
        await visit_store.set_state(uow, visit_id, state)
    await settle_request(uow, request)
    return await told(uow, visit_id)


async def end_visit(
    uow: UnitOfWork,
    row: Row,
    checked_in_at: datetime,
    checked_out_at: datetime,
    minutes: Minutes,
    *,
    method: AttendanceMethod,
) -> None:
    """Note a visit's real times, and another of the volunteer's that they overlap. Its person is locked."""
    others = await attendance_store.overlapping(
        uow, row["id"], row["volunteer_id"], checked_in_at, checked_out_at
    )
    await attendance_store.set_over(
        uow,
        row["id"],
        checked_in_at=checked_in_at,
        checked_out_at=checked_out_at,
        minutes=minutes,
        method=method,
        overlap=next(iter(others), None),
    )


async def come_after_all(uow: UnitOfWork, row: Row, request: Row | None, *, action: str) -> Row | None:
    """Return the request as it stands for a visit that begins although it was given up as a no-show.

    It may while its place is free: nobody else goes there, or for a check-in was asked to. One that expired
    since is taken up again. Raises WrongState.
    """
    if request is None or row["state"] != VisitState.NO_SHOW_VOLUNTEER:
        return request
    places = await visit_store.places_taken(uow, request["id"])
    ended = action == "check_in" and (
        request["state"] == RequestState.CANCELLED
        or (request["state"] == RequestState.OFFERED and await _nobody_missed(uow, request, len(places)))
    )
    if ended or any(row["carer"] == place or row["volunteer_id"] == person for place, person in places):
        raise WrongState(what="visit", state=row["state"], action=action)
    return {**request, "state": RequestState.OPEN} if request["state"] == RequestState.EXPIRED else request


async def _nobody_missed(uow: UnitOfWork, request: Row, taken: int) -> bool:
    """Tell whether each place of an offered request is taken or somebody else is asked to take it."""
    if request["carers"] == 1:
        return True
    carers: int = request["carers"]
    return taken + await visit_store.count_asked(uow, request["id"], uow.clock.now()) >= carers


async def require_pair(
    uow: UnitOfWork, row: Row, at: datetime, *, limit: int, confirmed: bool = False
) -> None:
    """Check that one more visit of this activity fits into the local day of ``at``. Raises TooManyPairs.

    confirmed: count only those. The volunteer's person is locked.
    """
    timezone = (await people.community(uow)).timezone
    day = local_day(local_date(at, timezone), timezone)
    if await attendance_store.pairs_on(uow, row, *day, confirmed=confirmed) >= limit:
        raise TooManyPairs(limit=limit)


async def _note_call_back(uow: UnitOfWork, actor: Actor, row: Row, method: AttendanceMethod) -> None:
    """Note which coordinator states a time by phone, for they do not confirm it too."""
    if method is AttendanceMethod.CALL_BACK:
        await attendance_store.set_called_back(uow, row["id"], by=actor.person_id)


async def _method(
    uow: UnitOfWork, actor: Actor, row: Row, proof: Proof | None, *, action: str
) -> AttendanceMethod:
    """Return how the actor's word counts. Raises NotAllowed."""
    if actor.person_id == row["volunteer_id"]:
        return AttendanceMethod.PLAIN if proof is None else proof.method
    if proof is None and actor.has(*STAFF):
        return AttendanceMethod.CALL_BACK
    if proof is None and await leads_grid_of(uow, actor, row["elder_id"]):
        return AttendanceMethod.WITNESS
    raise NotAllowed(action=action)


async def _prove(uow: UnitOfWork, row: Row, proof: Proof | None) -> None:
    if proof is not None:
        await codes.prove(uow, proof, row["elder_id"], row["id"])
