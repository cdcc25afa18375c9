"""Help requests: asked, offered, reopened, cancelled, expired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.help_request import RequestState, advance, require_time
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import store, visit_store
from services.care.views import AskForHelp, BoardLine, RequestInfo
from services.ledger import service as ledger
from services.people import service as people

NOTE_MAX = 500
URGENCY_MAX = 3
PAGE_MAX = 200
LATE = timedelta(hours=24)
WAITING = (RequestState.OPEN, RequestState.OFFERED)


async def ask(uow: UnitOfWork, actor: Actor, command: AskForHelp) -> RequestInfo:
    """Ask for help for an elder: themselves, or a coordinator as proxy.

    Raises NotAllowed, NotFound, InvalidValue (``elder_id``, ``starts_at``, ``minutes``, ``urgency``,
    ``note``), UnknownServiceKind.
    """
    actor.require_self_or(command.elder_id, *STAFF, action="ask_for_help")
    now = uow.clock.now()
    require_time(command.starts_at, command.minutes, now=now)
    if type(command.urgency) is not int or not 0 <= command.urgency <= URGENCY_MAX:
        raise InvalidValue(field="urgency", rule=f"between_0_and_{URGENCY_MAX}")
    note = (command.note or "").strip() or None
    if note is not None and (len(note) > NOTE_MAX or "\0" in note):
        raise InvalidValue(field="note", rule=f"at_most_{NOTE_MAX}_characters")
    elder = await people.person(uow, command.elder_id)
    if Role.ELDER not in elder.roles:
        raise InvalidValue(field="elder_id", rule="elder")
    if elder.small_grid is None:
        raise InvalidValue(field="elder_id", rule="known_building")
    timezone = (await people.community(uow)).timezone
    policy = await ledger.policy_on(uow, local_date(command.starts_at, timezone))
    policy.kind(command.kind)
    request_id = uuid7()
    await store.insert_request(
        uow,
        request_id=request_id,
        elder_id=elder.id,
        asked_by=actor.person_id,
        kind=command.kind,
        small_grid=elder.small_grid,
        starts_at=command.starts_at,
        ends_at=command.starts_at + timedelta(minutes=command.minutes),
        urgency=command.urgency,
        note=note,
        asked_at=now,
    )
    return (await requests_by_id(uow, [request_id]))[request_id]


async def cancel_request(uow: UnitOfWork, actor: Actor, request_id: UUID) -> RequestInfo:
    """Cancel a request, and the visit planned for it; nobody has come yet.

    By the elder or a coordinator. Raises NotFound, NotAllowed, WrongState.
    """
    row = await lock_request(uow, request_id)
    actor.require_self_or(row["elder_id"], *STAFF, action="cancel_request")
    advance(RequestState(row["state"]), RequestState.CANCELLED)
    await store.set_state(uow, [request_id], RequestState.CANCELLED)
    await visit_store.cancel_planned(uow, request_id)
    return (await requests_by_id(uow, [request_id]))[request_id]


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
    """Expire requests whose start has passed with no volunteer, and return how many."""
    return await store.expire(uow, WAITING, uow.clock.now())


async def lock_open_requests(uow: UnitOfWork, *, limit: int) -> list[RequestInfo]:
    """Return open requests that lie ahead, most urgent first, locked to the end of the unit of work.

    Those that somebody else is changing at this moment are left out.
    """
    return await _infos(uow, await store.lock_open(uow, uow.clock.now(), limit))


async def request(uow: UnitOfWork, actor: Actor, request_id: UUID) -> RequestInfo:
    """Return a request to its elder or to who may read the community. Raises NotFound, NotAllowed."""
    found = (await requests_by_id(uow, [request_id])).get(request_id)
    if found is None:
        raise NotFound(what="help_request")
    actor.require_self_or(found.elder_id, *READERS, action="view_request")
    return found


async def requests_by_id(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, RequestInfo]:
    """Return those of ``ids`` that exist. For callers that have decided who may see them."""
    return {info.id: info for info in await _infos(uow, await store.requests(uow, ids))}


async def requests_of_elder(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, *, after: int | None = None, limit: int = 50
) -> list[RequestInfo]:
    """Return an elder's requests, newest first. after: the number to go on from. Raises NotAllowed."""
    actor.require_self_or(elder_id, *READERS, action="view_request")
    return await _infos(uow, await store.requests_of_elder(uow, elder_id, after, _page(limit)))


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
    return await _infos(uow, await store.requests_in(uow, states, small_grid, after, _page(limit)))


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


async def _infos(uow: UnitOfWork, rows: Sequence[dict[str, Any]]) -> list[RequestInfo]:
    elders = await people.people_by_id(uow, list({row["elder_id"] for row in rows}))
    return [
        RequestInfo(
            **{**row, "state": RequestState(row["state"])},
            elder_name=elders[row["elder_id"]].name,
            building=elders[row["elder_id"]].building_label,
        )
        for row in rows
    ]


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))
