"""The partner's door for programs: signed JSON over HTTP, refusals as RFC 9457 problems."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response, Router, get, head, post, put
from litestar.datastructures import MutableScopeHeaders, State
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler, Message, Scope

from pointsbank.domain.errors import DomainError, InvalidValue, NotFound, WrongState
from pointsbank.platform.database import Database
from pointsbank.platform.signing import BadSignature, verify
from services.partnerkit import wire
from services.partnerkit.redemption import AlreadyFulfilled, Item, RedemptionDiffers, VoucherTaken
from services.partnerkit.service import PartnerService
from services.partnerkit.store import Community

log = structlog.get_logger(__name__)

PLATFORM_KEY = "platform"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    # Under "no-referrer" a browser sends "Origin: null" with a form, and our own could not be told apart.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""What every answer carries, unless it says otherwise itself."""

STATUSES: dict[type[DomainError], int] = {
    BadSignature: 401,
    NotFound: 404,
    AlreadyFulfilled: 409,
    VoucherTaken: 409,
    WrongState: 409,
    InvalidValue: 422,
    RedemptionDiffers: 422,
}

HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}

PlainRequest = Request[Any, Any, State]
Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the partner's handlers work with.

    terms: the shape of an item's own terms. details: reads an order's own part.
    """

    database: Database
    service: PartnerService
    secret: str
    terms: Any
    head: str
    details: wire.Details = wire.no_details


def desk(request: PlainRequest) -> Desk:
    """Return the application's desk."""
    return cast("Desk", request.app.state.desk)


def problem(status: int, code: str, detail: str, **facts: Any) -> Response[bytes]:
    """Return an RFC 9457 problem with a stable ``code`` and the facts as members."""
    members = {
        **facts,
        "type": "about:blank",
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return Response(msgspec.json.encode(members), status_code=status, media_type="application/problem+json")


def domain_problem(_request: PlainRequest, error: DomainError) -> Response[bytes]:
    """Answer a refusal with its facts."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 422)
    facts = error.facts()
    detail = f"{error.field}: {error.rule}" if isinstance(error, InvalidValue) else str(error)
    return problem(status, error.code, detail, **facts)


def http_problem(_request: PlainRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the router refused."""
    code = HTTP_CODES.get(error.status_code, "bad_request")
    return problem(error.status_code, code, code.replace("_", " "))


def log_fault(request: PlainRequest, error: Exception) -> None:
    """Log a fault of ours: its kind and where it came up."""
    # Places only: messages and local values may hold secrets or vouchers.
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("request_failed", method=request.method, error=type(error).__name__, where=where)


async def add_headers(message: Message, _scope: Scope) -> None:
    """Give every answer the headers that keep it out of other sites and of shared caches."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)


def unexpected_problem(request: PlainRequest, error: Exception) -> Response[bytes]:
    """Answer a fault of ours without telling its inside; the log has it."""
    log_fault(request, error)
    return problem(500, "internal_error", "the partner failed; try again")


def wire_path(request: PlainRequest) -> str:
    """Return path and query as they were sent, which is what was signed."""
    scope = request.scope
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


async def require_signature(request: PlainRequest) -> None:
    """Let only the platform's own, fresh requests pass. Raises BadSignature."""
    at = desk(request)
    key, nonce = verify(
        request.headers,
        request.method,
        wire_path(request),
        await request.body(),
        secrets_by_key={PLATFORM_KEY: at.secret},
        at=at.database.clock.now(),
    )
    if not await at.service.take_nonce(at.database, key, nonce):
        raise BadSignature(rule="nonce_seen")


async def read_body(request: PlainRequest, shape: type[Shape]) -> Shape:
    """Return the JSON body as ``shape``. Raises InvalidValue."""
    return wire.read_json(await request.body(), shape)


def read_query(request: PlainRequest, shape: type[Shape]) -> Shape:
    """Return the query string as ``shape``; a name given twice is refused. Raises InvalidValue."""
    pairs: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in pairs:
            raise InvalidValue(field=name, rule="repeated")
        pairs[name] = value
    return wire.read_texts(pairs, shape)


def read_id(redemption_id: str) -> UUID:
    """Return a redemption id from the path. Raises InvalidValue."""
    return cast("UUID", wire.read_text("redemption_id", redemption_id, UUID))


def read_day(day: str) -> date:
    """Return a day from the path. Raises InvalidValue."""
    return cast("date", wire.read_text("date", day, date))


@put("/communities/{community_id:str}")
async def save_community(request: PlainRequest, community_id: FromPath[str]) -> wire.SaveCommunity:
    """Serve a community; its first items are made when it has none."""
    at, body = desk(request), await read_body(request, wire.SaveCommunity)
    number = cast("int", wire.read_text("community_id", community_id, wire.CommunityId))
    async with at.database.unit_of_work(number) as uow:
        await at.service.save_community(uow, Community(number, body.code, body.name, body.timezone))
    return body


@get("/items")
async def items(request: PlainRequest) -> list[wire.OfferAnswer]:
    """List what can be ordered."""
    at, query = desk(request), read_query(request, wire.OfCommunity)
    async with at.database.unit_of_work(query.community_id) as uow:
        return [wire.OfferAnswer.of(offer) for offer in await at.service.offers(uow)]


@put("/items/{code:str}")
async def save_item(request: PlainRequest, code: FromPath[str]) -> wire.OfferAnswer:
    """Set an item's price and terms."""
    at, body = desk(request), await read_body(request, wire.SaveItem)
    terms = wire.read_json(bytes(body.terms), at.terms)
    name = cast("str", wire.read_text("code", code, wire.Code))
    async with at.database.unit_of_work(body.community_id) as uow:
        item = Item(name, body.name, body.milli_points, body.fen, body.available)
        return wire.OfferAnswer.of(await at.service.save_item(uow, item, terms))


@put("/redemptions/{redemption_id:str}")
async def place(request: PlainRequest, redemption_id: FromPath[str]) -> wire.RedemptionAnswer:
    """Accept or refuse an order; the same order again gets the same answer."""
    at, body = desk(request), await read_body(request, wire.PlaceOrder)
    async with at.database.unit_of_work(body.community_id) as uow:
        return wire.RedemptionAnswer.of(
            await at.service.place(uow, body.order(read_id(redemption_id), at.details))
        )


@get("/redemptions/{redemption_id:str}")
async def redemption(request: PlainRequest, redemption_id: FromPath[str]) -> wire.RedemptionAnswer:
    """Tell where an order stands."""
    at, query = desk(request), read_query(request, wire.OfCommunity)
    async with at.database.unit_of_work(query.community_id) as uow:
        return wire.RedemptionAnswer.of(await at.service.redemption(uow, read_id(redemption_id)))


@post("/redemptions/{redemption_id:str}/cancel", status_code=200)
async def cancel(request: PlainRequest, redemption_id: FromPath[str]) -> wire.RedemptionAnswer:
    """Cancel an order that was not handed over."""
    at, body = desk(request), await read_body(request, wire.OfCommunity)
    async with at.database.unit_of_work(body.community_id) as uow:
        return wire.RedemptionAnswer.of(await at.service.cancel(uow, read_id(redemption_id)))


@post("/redemptions/{redemption_id:str}/fulfil", status_code=200)
async def fulfil(request: PlainRequest, redemption_id: FromPath[str]) -> wire.RedemptionAnswer:
    """Record that an order was handed over."""
    at, body = desk(request), await read_body(request, wire.OfCommunity)
    async with at.database.unit_of_work(body.community_id) as uow:
        return wire.RedemptionAnswer.of(await at.service.fulfil(uow, read_id(redemption_id)))


@post("/redemptions/bulk", status_code=200)
async def take_in(request: PlainRequest) -> wire.IntakeAnswer:
    """Record orders handed over in the past, all or none."""
    at, body = desk(request), await read_body(request, wire.TakeIn)
    async with at.database.unit_of_work(body.community_id) as uow:
        past = [line.past_order(at.details) for line in body.redemptions]
        return wire.IntakeAnswer.of(await at.service.take_in(uow, past))


@get("/statements/{day:str}")
async def statement(request: PlainRequest, day: FromPath[str]) -> wire.StatementAnswer:
    """Tell what was handed over for a business day, a page at a time."""
    at, query = desk(request), read_query(request, wire.OfStatement)
    async with at.database.unit_of_work(query.community_id) as uow:
        return wire.StatementAnswer.of(
            await at.service.statement(uow, read_day(day), after=query.after, limit=query.limit)
        )


@get("/livez", sync_to_thread=False)
def livez() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@head("/livez", sync_to_thread=False)
def livez_head() -> None:
    """Say the same without a body."""


@get("/readyz")
async def readyz(request: PlainRequest) -> Response[Any]:
    """Say whether the database answers and its migrations are at head."""
    return await _not_ready(request) or Response({"status": "ok"})


@head("/readyz")
async def readyz_head(request: PlainRequest) -> Response[None]:
    """Say the same without a body."""
    refused = await _not_ready(request)
    return Response(None, status_code=refused.status_code if refused else 200)


async def _not_ready(request: PlainRequest) -> Response[bytes] | None:
    at = desk(request)
    try:
        revision = await at.service.schema_revision(at.database)
    except Exception as error:
        log.warning("not_ready", error=type(error).__name__)
        return problem(503, "database_unreachable", "the database does not answer")
    if revision != at.head:
        return problem(503, "migrations_behind", "the schema is not at the newest migration")
    return None


HEALTH: Sequence[ControllerRouterHandler] = (livez, livez_head, readyz, readyz_head)
"""Routes that anybody may ask, with no signature."""


def signed_routes(*own: ControllerRouterHandler) -> Router:
    """Return the platform's routes, with the partner's ``own``; every one of them wants a signature."""
    return Router(
        path="/",
        route_handlers=[
            save_community,
            items,
            save_item,
            place,
            redemption,
            cancel,
            fulfil,
            take_in,
            statement,
            *own,
        ],
        before_request=require_signature,
    )
