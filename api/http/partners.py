"""The door for partners: signed events about redemptions."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, post
from litestar.datastructures import State

from api.auth import ANYONE
from api.dependencies import desk
from api.http.wire import Told
from services.settlement.events import verify_and_take_event


class EventAnswer(Told):
    """An event is taken; a repeat gets the same answer."""

    status: str


@post("/partner-events", opt=ANYONE, operation_id="take_partner_event", status_code=200, tags=["partners"])
async def take(request: Request[Any, Any, State]) -> Response[EventAnswer]:
    """Take a partner's event, signed with the secret the two share. Sent again, it changes nothing."""
    at = desk(request)
    scope = request.scope
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    await verify_and_take_event(
        at.database,
        request.headers,
        method=request.method,
        path=(path + b"?" + query if query else path).decode("latin-1"),
        body=await request.body(),
        secrets=at.partner_secrets,
        clock=at.database.clock,
    )
    return Response(EventAnswer(status="taken"))


router = Router("/", route_handlers=[take])
