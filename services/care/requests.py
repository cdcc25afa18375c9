"""Help requests: asked, offered, reopened, cancelled, expired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from pointsbank.domain.asked_time import AskedTime, Slot, SlotOn, Timing, When, Window, asked_time
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.help_request import AskedThrough, DuplicateRequest, RequestState, advance
from pointsbank.domain.policy import Policy
from pointsbank.domain.preferences import GenderWanted, Preferences, require_preferences
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.domain.waiting import URGENCY_MAX, Escalation
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import store, visit_store
from services.care.ties import require_view, speaks_for
from services.care.views import AskForHelp, BoardLine, RequestInfo
from services.ledger import service as ledger
from services.people import service as people
from services.people.views import BuildingInfo

NOTE_MAX = 500
PAGE_MAX = 200
LATE = timedelta(hours=24)
WAITING = (RequestState.OPEN, RequestState.OFFERED)


async def ask(uow: UnitOfWork, actor: Actor, command: AskForHelp) -> RequestInfo:
    """Ask for help for an elder: by themselves, their confirmed family, or a coordinator told by phone.

    Raises NotAllowed, NotFound, InvalidValue (``elder_id``, ``starts_at``, ``latest_start``, ``slot``,
    ``minutes``, ``urgency``, ``note``, ``gender_hard``, ``language_wanted``, ``building_id``),
    UnknownServiceKind, DuplicateRequest.
    """
    through = await speaks_for(uow, actor, command.elder_id, action="ask_for_help")
    now = uow.clock.now()
    note = require_asked(command.urgency, command.note, command.preferences)
    time, policy = await _time_of(uow, command)
    building = await place_of(uow, command.elder_id, command.building_id)
    kind = policy.kind(command.kind)
    await store.take_turn(uow)
    if not command.even_if_similar:
        first = await store.number_of_similar(
            uow, command.elder_id, kind.code, time.earliest_start, time.latest_end
        )
        if first is not None:
            raise DuplicateRequest(number=first)
    request_id = uuid7()
    await store.insert_request(
        uow,
        request_id,
        elder_id=command.elder_id,
        asked_by=actor.person_id,
        asked_through=through,
        kind=kind.code,
        carers=kind.carers,
        small_grid=building.small_grid,
        building_id=building.id,
        time=time,
        urgency=command.urgency,
        note=note,
        wanted=command.preferences,
        similar_meant=command.even_if_similar,
        asked_at=now,
    )
    return (await requests_by_id(uow, [request_id]))[request_id]


async def similar(uow: UnitOfWork, actor: Actor, command: AskForHelp) -> RequestInfo | None:
    """Return the first request that stands and is so like this one that :func:`ask` would refuse it; else
    None. Nothing is kept. Raises NotAllowed, InvalidValue, UnknownServiceKind.
    """
    await require_view(uow, actor, command.elder_id, action="view_request")
    time, policy = await _time_of(uow, command)
    kind = policy.kind(command.kind).code
    number = await store.number_of_similar(uow, command.elder_id, kind, time.earliest_start, time.latest_end)
    if number is None:
        return None
    return (await infos_of(uow, await store.requests_of_elder(uow, command.elder_id, number + 1, 1)))[0]


def require_asked(urgency: int, note: str | None, wanted: Preferences) -> str | None:
    """Check what is asked beside kind and time, and return the note trimmed; None for none.

    Raises InvalidValue naming ``urgency``, ``note``, ``gender_hard`` or ``language_wanted``.
    """
    if type(urgency) is not int or not 0 <= urgency <= URGENCY_MAX:
        raise InvalidValue(field="urgency", rule=f"between_0_and_{URGENCY_MAX}")
    note = (note or "").strip() or None
    if note is not None and (len(note) > NOTE_MAX or "\0" in note):
        raise InvalidValue(field="note", rule=f"at_most_{NOTE_MAX}_characters")
    require_preferences(wanted)
    return note


async def place_of(uow: UnitOfWork, elder_id: UUID, building_id: UUID | None) -> BuildingInfo:
    """Return the building where help is wanted: the elder's own unless one is named.

    Raises NotFound, InvalidValue (``elder_id``: not an elder, or of no known building; ``building_id``).
    """
    elder = await people.person(uow, elder_id)
    if Role.ELDER not in elder.roles:
        raise InvalidValue(field="elder_id", rule="elder")
    if building_id is None and elder.building_id is None:
        raise InvalidValue(field="elder_id", rule="known_building")
    wanted = building_id or elder.building_id
    assert wanted is not None, "one of the two is known"
    found = (await people.buildings_by_id(uow, [wanted])).get(wanted)
    if found is None:
        raise InvalidValue(field="building_id", rule="known_building")
    return found


async def cancel_request(uow: UnitOfWork, actor: Actor, request_id: UUID) -> RequestInfo:
    """Cancel a request, and the visit planned for it; nobody has come yet.

    However late it is, it is nobody's fault. By the elder, their confirmed family or a coordinator.
    Raises NotFound, NotAllowed, WrongState.
    """
    row = await lock_request(uow, request_id)
    await speaks_for(uow, actor, row["elder_id"], action="cancel_request")
    advance(RequestState(row["state"]), RequestState.CANCELLED)
    await store.set_state(uow, [request_id], RequestState.CANCELLED)
    notice = (await ledger.policy_on(uow, await people.local_today(uow))).visits.notice
    await visit_store.cancel_planned(uow, request_id, by=actor.person_id, notice=notice)
    return (await requests_by_id(uow, [request_id]))[request_id]


async def agree_starts(uow: UnitOfWork, starts: Mapping[UUID, datetime]) -> None:
    """Put each request's wanted time where a visit of it can begin. For callers that have locked them.

    Raises InvalidValue (``starts_at``) for a start that the request does not leave open.
    """
    if await store.set_starts(uow, starts) != len(starts):
        raise InvalidValue(field="starts_at", rule="within_the_window")


async def mark_offered(uow: UnitOfWork, request_id: UUID) -> None:
    """Note that a request is offered to a volunteer. Raises NotFound, WrongState."""
    await mark_offered_many(uow, [request_id])


async def mark_offered_many(uow: UnitOfWork, request_ids: Sequence[UUID]) -> None:
    """Note that requests are offered. Raises NotFound, WrongState if one is missing or not open."""
    await _advance_many(uow, request_ids, RequestState.OFFERED)


async def reopen(uow: UnitOfWork, request_id: UUID) -> None:
    """Open a request again (declined, lapsed, or the volunteer withdrew). Raises NotFound, WrongState."""
    await _advance_many(uow, [request_id], RequestState.OPEN)


async def reopen_offered(uow: UnitOfWork, request_ids: Sequence[UUID]) -> int:
    """Open again those of the requests that are still only offered, and return how many.

    One that was cancelled or expired meanwhile stays so.
    """
    rows = await store.lock_requests(uow, request_ids)
    offered = [row["id"] for row in rows if row["state"] == RequestState.OFFERED]
    await store.set_state(uow, offered, RequestState.OPEN)
    return len(offered)


async def expire_requests(uow: UnitOfWork) -> int:
    """Expire requests that can no longer begin and have no volunteer, and return how many."""
    return await store.expire(uow, WAITING, uow.clock.now())


async def requests_to_pair(uow: UnitOfWork, *, offered: bool, limit: int) -> list[RequestInfo]:
    """Return what a pairing run may look at, most urgent and soonest first; nothing is locked.

    Open requests that may still begin, those for two carers that are offered in part, and where ``offered``
    is asked for, all that wait for an answer. Of more than ``limit``, the most urgent and soonest and those
    that wait longest, half and half.
    """
    return await infos_of(uow, await store.to_pair(uow, uow.clock.now(), limit, offered=offered))


async def count_to_pair(uow: UnitOfWork, *, offered: bool) -> int:
    """Return how many requests :func:`requests_to_pair` would return without a limit."""
    return await store.count_to_pair(uow, uow.clock.now(), offered=offered)


async def lock_states(uow: UnitOfWork, request_ids: Sequence[UUID]) -> dict[UUID, RequestState]:
    """Lock those of the requests that exist, to the end of the unit of work, and return their states."""
    return {row["id"]: RequestState(row["state"]) for row in await store.lock_requests(uow, request_ids)}


async def request(uow: UnitOfWork, actor: Actor, request_id: UUID) -> RequestInfo:
    """Return a request to its elder, their family or who may read the community.

    Raises NotFound, NotAllowed.
    """
    found = (await requests_by_id(uow, [request_id])).get(request_id)
    if found is None:
        raise NotFound(what="help_request")
    await require_view(uow, actor, found.elder_id, action="view_request")
    return found


async def requests_by_id(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, RequestInfo]:
    """Return those of ``ids`` that exist. For callers that have decided who may see them."""
    return {info.id: info for info in await infos_of(uow, await store.requests(uow, ids))}


async def requests_of_elder(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, *, after: int | None = None, limit: int = 50
) -> list[RequestInfo]:
    """Return an elder's requests, newest first. after: the number to go on from. Raises NotAllowed."""
    await require_view(uow, actor, elder_id, action="view_request")
    return await infos_of(uow, await store.requests_of_elder(uow, elder_id, after, _page(limit)))


async def requests_in(
    uow: UnitOfWork,
    actor: Actor,
    states: Sequence[RequestState],
    *,
    small_grid: int | None = None,
    after: int | None = None,
    limit: int = 50,
) -> list[RequestInfo]:
    """Return the community's requests in any of ``states``, in order of number. Raises NotAllowed."""
    actor.require(*READERS, action="view_board")
    return await infos_of(uow, await store.requests_in(uow, states, small_grid, after, _page(limit)))


async def board(uow: UnitOfWork) -> list[BoardLine]:
    """Return the requests under way by small grid, every grid once, in order of number."""
    counts = await store.count_by_grid(uow, uow.clock.now(), late_before=uow.clock.now() + LATE)
    nothing: dict[str, int] = dict.fromkeys(store.COUNTED, 0)
    return [
        BoardLine(
            small_grid=grid.number,
            name=grid.name,
            big_grid=grid.big_grid,
            **counts.get(grid.number, nothing),
        )
        for grid in await people.small_grids(uow)
    ]


async def lock_request(uow: UnitOfWork, request_id: UUID) -> dict[str, Any]:
    """Lock one request and return its row. Raises NotFound."""
    rows = await store.lock_requests(uow, [request_id])
    if not rows:
        raise NotFound(what="help_request")
    return rows[0]


async def _advance_many(uow: UnitOfWork, request_ids: Sequence[UUID], to: RequestState) -> None:
    rows = await store.lock_requests(uow, request_ids)
    if len(rows) != len(set(request_ids)):
        raise NotFound(what="help_request")
    for row in rows:
        advance(RequestState(row["state"]), to)
    await store.set_state(uow, request_ids, to)


async def infos_of(uow: UnitOfWork, rows: Sequence[dict[str, Any]]) -> list[RequestInfo]:
    """Return what the rows of requests say, in their order."""
    elders = await people.people_by_id(uow, list({row["elder_id"] for row in rows}))
    buildings = await people.buildings_by_id(uow, {row["building_id"] for row in rows})
    return [
        RequestInfo(
            **{
                **row,
                "state": RequestState(row["state"]),
                "asked_through": AskedThrough(row["asked_through"]),
                "timing": Timing(row["timing"]),
                "slot": Slot(row["slot"]) if row["slot"] else None,
                "gender_wanted": GenderWanted(row["gender_wanted"]) if row["gender_wanted"] else None,
                "escalation": Escalation(row["escalation"]),
            },
            elder_name=elders[row["elder_id"]].name,
            building=buildings[row["building_id"]].label,
        )
        for row in rows
    ]


async def _time_of(uow: UnitOfWork, command: AskForHelp) -> tuple[AskedTime, Policy]:
    """Return when the visit may begin, and the policy of the day that is asked for."""
    now, timezone = uow.clock.now(), (await people.community(uow)).timezone
    today = local_date(now, timezone)
    policy = await ledger.policy_on(uow, max(today, _day(command.starts_at, timezone) or today))
    time = asked_time(command.starts_at, command.minutes, slots=policy.slots, timezone=timezone, now=now)
    return time, policy


def _day(when: When, timezone: str) -> date | None:
    """Return the local day that is asked for; None for a moment that names none."""
    if isinstance(when, SlotOn):
        return when.day
    at = when.earliest_start if isinstance(when, Window) else when
    return local_date(at, timezone) if at.tzinfo is not None else None


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))
