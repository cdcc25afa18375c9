"""Confirmation by tiers, never by who is paid; the last one and its journal entry are one commit."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.attendance import AttendanceMethod, evidence
from pointsbank.domain.confirming import CoordinatorNeeded, completes
from pointsbank.domain.decision import SecondPersonNeeded
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import NotAllowed
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import EarnedSoFar, Policy
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.visit import (
    STRENGTH,
    WEAKEST,
    ConfirmationMethod,
    ConfirmedByThePaid,
    UnsettledOverlap,
    VisitState,
    require_confirmation,
)
from pointsbank.platform.clock import local_date, local_day, local_year
from pointsbank.platform.database import UnitOfWork
from services.care import attendance_store, ties, visit_store
from services.care.attending import require_pair
from services.care.backfill import require_not_struck
from services.care.views import VisitInfo
from services.care.visit_access import Row, leads_grid_of, lock_visit, settle_request, told
from services.ledger import lots
from services.ledger import service as ledger
from services.people import service as people

NOTHING_BACK = (0, 0)


async def confirm(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Confirm a visit and, where that is enough for its length, post what it earns, in one commit.

    By the elder, their family, a coordinator, or a building or grid leader of the elder's grid as witness;
    never by who is paid, for this visit or as the other carer, nor by who recorded it or put its times right
    (an elder may their own). A long one is first noted as confirmed once, and posted when a second person has
    (the tiers of the policy). Confirming again what the same person has confirmed changes nothing and answers
    the same.
    Raises NotFound, NotAllowed, ConfirmedByThePaid, SecondPersonNeeded (who stated it),
    CoordinatorNeeded, WrongState, UnsettledOverlap, TooManyPairs, OverlappingVisit, IdempotencyKeyReused.
    """
    row, request = await lock_visit(uow, visit_id)
    method = await _method(uow, actor, row)
    state = VisitState(row["state"])
    known = {row["confirmed_by"]} if state is VisitState.CONFIRMED else {row["also_confirmed_by"]}
    if actor.person_id in known and state in (VisitState.CONFIRMED, VisitState.DONE):
        return await told(uow, visit_id)
    require_confirmation(state, volunteer=row["volunteer_id"], confirmer=actor.person_id)
    await _require_fit(uow, actor, row, method)
    timezone = (await people.community(uow)).timezone
    day = local_date(row["checked_out_at"], timezone)
    await people.lock_people(uow, [row["volunteer_id"]])
    # The rules and what the caps count must still be so when the entry is posted: it can be recomputed.
    await lots.lock(uow)
    policy = await ledger.policy_for_kind(uow, row["kind"], day)
    await _require_settled(uow, row, policy)
    tier = policy.visits.tier(Minutes(row["minutes"]))
    first = ConfirmationMethod(row["also_method"]) if row["also_method"] else None
    if completes(tier, first, method):
        await _post(uow, actor, row, method, policy, day=day, timezone=timezone, tier=tier)
        await settle_request(uow, request)
    else:
        await attendance_store.set_also_confirmed(
            uow, visit_id, by=actor.person_id, method=method, at=uow.clock.now()
        )
    return await told(uow, visit_id)


async def _require_fit(uow: UnitOfWork, actor: Actor, row: Row, method: ConfirmationMethod) -> None:
    """Check who may confirm: nobody who is paid for the same request, nobody what they stated themselves, and
    a coordinator where nobody was at home."""
    if row["help_request_id"] is not None:
        taken = await visit_store.places_taken(uow, row["help_request_id"])
        if actor.person_id in {volunteer for _, volunteer in taken}:
            raise ConfirmedByThePaid
    if row["times_by"] == actor.person_id != row["elder_id"]:
        raise SecondPersonNeeded
    if row["recorded_by"] is not None:
        if row["recorded_by"] == actor.person_id:
            raise SecondPersonNeeded
        if method is ConfirmationMethod.WITNESS:
            raise NotAllowed(action="confirm_visit")
    if row["nobody_home"] and method is not ConfirmationMethod.COORDINATOR:
        raise CoordinatorNeeded(coordinators=1)


async def _require_settled(uow: UnitOfWork, row: Row, policy: Policy) -> None:
    times = row["checked_in_at"], row["checked_out_at"]
    if await attendance_store.overlapping(uow, row["id"], row["volunteer_id"], *times):
        raise UnsettledOverlap
    if row["recorded_by"] is not None:
        await require_not_struck(uow, row, *times)
    if not row["nobody_home"]:
        await require_pair(uow, row, row["checked_out_at"], limit=policy.visits.pairs_a_day, confirmed=True)


async def _post(
    uow: UnitOfWork,
    actor: Actor,
    row: Row,
    method: ConfirmationMethod,
    policy: Policy,
    *,
    day: date,
    timezone: str,
    tier: int,
) -> None:
    volunteer = await people.person(uow, row["volunteer_id"])
    so_far = await earned_so_far(uow, volunteer.id, volunteer.ledger_ref, day, timezone)
    earning = policy.earning(row["kind"], Minutes(row["minutes"]), so_far)
    entry = earning_entry(
        row["id"],
        earning,
        volunteer=volunteer.ledger_ref,
        confirmer=actor.ledger_ref,
        policy_version=policy.version,
        occurred_at=row["checked_out_at"],
        expires_on=policy.expires_on(day),
    )
    recorded = await ledger.post(uow, entry) if entry is not None else None
    strength = _strength(row, method)
    attended = [
        AttendanceMethod(row[each]) if row[each] else None for each in ("check_in_method", "check_out_method")
    ]
    await visit_store.set_confirmed(
        uow,
        row["id"],
        confirmed_by=actor.person_id,
        method=method,
        strength=strength,
        confirmed_at=uow.clock.now(),
        policy_version=policy.version,
        credited_minutes=earning.minutes,
        clipped_milli_points=earning.clipped_milli_points,
        entry_number=recorded.number if recorded is not None else None,
        tier=tier,
        evidence=evidence(strength, attended),
    )


def _strength(row: Row, method: ConfirmationMethod) -> int:
    """Return what the confirmations are worth together: the stronger of two, the weakest if recorded late."""
    if row["recorded_by"] is not None:
        return WEAKEST
    first = STRENGTH[ConfirmationMethod(row["also_method"])] if row["also_method"] else 0
    return max(STRENGTH[method], first)


async def earned_so_far(
    uow: UnitOfWork, volunteer_id: UUID, ledger_ref: UUID, day: date, timezone: str
) -> EarnedSoFar:
    """Return what the caps count for a visit that ended on local ``day``.

    A visit belongs to the day and year in which it ended; points set aside for a redemption still count
    as the account's. What was taken back counts no longer. Meaningful only under :func:`people.lock_people`
    and the ledger's lock.
    """
    credited = await visit_store.credited(uow, [volunteer_id], *local_day(day, timezone))
    back = await ledger.minutes_taken_back(uow, [row["entry_number"] for row in credited])
    minutes = sum(
        row["credited_minutes"] - back.get(row["entry_number"], NOTHING_BACK)[1] for row in credited
    )
    year = await ledger.earned_between(uow, ledger_ref, *local_year(day, timezone))
    codes = [accounts.available(ledger_ref), accounts.held(ledger_ref)]
    balance = sum((await ledger.balances(uow, codes)).values())
    return EarnedSoFar(Minutes(minutes), year, MilliPoints(balance))


async def _method(uow: UnitOfWork, actor: Actor, row: Row) -> ConfirmationMethod:
    """Return how the actor's word counts. Whoever is paid gets past here, to be refused as such."""
    if actor.person_id == row["elder_id"]:
        return ConfirmationMethod.ELDER
    if actor.has(Role.COORDINATOR):
        return ConfirmationMethod.COORDINATOR
    if await ties.is_family(uow, row["elder_id"], actor.person_id):
        return ConfirmationMethod.FAMILY
    if actor.person_id == row["volunteer_id"] or await leads_grid_of(uow, actor, row["elder_id"]):
        return ConfirmationMethod.WITNESS
    raise NotAllowed(action="confirm_visit")
