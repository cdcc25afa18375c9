"""The counter: one page for the partner's staff, in large type, that works without JavaScript."""

from __future__ import annotations

from importlib.resources import files

from litestar import MediaType, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from pointsbank.domain.errors import DomainError, InvalidValue, NotFound
from services.partnerkit.http import PlainRequest, desk, log_fault
from services.partnerkit.pages import (
    SESSION,
    community_of,
    counter,
    page,
    read_form,
    require_same_site,
    say,
    sign_in_page,
    signed_in,
)
from services.partnerkit.tables import VOUCHER_LENGTH
from services.partnerkit.wire import Voucher, VoucherStart, read_text

HTTP_500 = 500

SCANNED = "PB:"
"""What a voucher's QR code says before the voucher."""

DONE_SECONDS = 60
"""How long the page may still say what was handed over last."""


@get("/")
async def today(request: PlainRequest) -> Response[str]:
    """Show today's accepted orders, or the sign-in form."""
    if not signed_in(request):
        return sign_in_page(request)
    at, query = desk(request), request.query_params
    voucher = read_text("voucher", (query.get("voucher") or "").strip().upper(), VoucherStart) or None
    done = _done(request)
    communities = await at.service.communities(at.database)
    if not communities:
        return page(
            request,
            "empty.html",
        )
    chosen = await community_of(at, query.get("community_id"))
    async with at.database.unit_of_work(chosen.community_id) as uow:
        day = await at.service.counter_day(uow, voucher=voucher)
        offers = {offer.item.code: offer for offer in await at.service.offers(uow)}
        facts = await counter(request).aside.facts(uow)
    answer = page(
        request,
        "counter.html",
        package=counter(request).aside.package,
        aside=counter(request).aside.template,
        facts=facts,
        day=day,
        offers=offers,
        voucher=voucher or "",
        message=say(request, "order.handed_over", voucher=done) if done else None,
        communities=communities,
    )
    if counter(request).done_cookie in request.cookies:
        answer.delete_cookie(counter(request).done_cookie)
    return answer


def _done(request: PlainRequest) -> str | None:
    """Return the voucher that was handed over last, if this browser has not been told yet."""
    value = request.cookies.get(counter(request).done_cookie)
    try:
        return None if value is None else str(read_text("voucher", value, Voucher))
    except InvalidValue:  # another program's cookie
        return None


@post("/counter/sign-in", status_code=303)
async def sign_in(request: PlainRequest) -> Response[str] | Redirect:
    """Open a session for who knows the PIN."""
    who = counter(request)
    pin = (await read_form(request)).get("pin", "")
    if who.pin is None or not who.try_pin(pin.strip(), client=request.client.host if request.client else ""):
        return sign_in_page(request, say(request, "sign_in.wrong"), status=403)
    cookie = Cookie(
        key=who.cookie,
        value=who.open_session(),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        max_age=int(SESSION.total_seconds()),
    )
    return Redirect("/", status_code=303, cookies=[cookie])


@post("/counter/sign-out", status_code=303)
async def sign_out(request: PlainRequest) -> Redirect:
    """End the session on this device."""
    answer = Redirect("/", status_code=303)
    answer.delete_cookie(counter(request).cookie)
    return answer


@post("/counter/redemptions/{voucher:str}/fulfil", status_code=303)
async def hand_over(request: PlainRequest, voucher: FromPath[str]) -> Response[str] | Redirect:
    """Record that the order with ``voucher`` was handed over."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    code = read_text("voucher", voucher, Voucher)
    return await _hand_over(request, code, (await read_form(request)).get("community_id"))


@post("/counter/scan", status_code=303)
async def scan(request: PlainRequest) -> Response[str] | Redirect:
    """Hand over by a code that was scanned or typed: the voucher, however it is spaced."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    form = await read_form(request)
    code = "".join(form.get("code", "").split()).upper().removeprefix(SCANNED)
    return await _hand_over(request, read_text("voucher", code, Voucher), form.get("community_id"))


async def _hand_over(request: PlainRequest, code: str, community_id: str | None) -> Redirect:
    at = desk(request)
    community = await community_of(at, community_id)
    async with at.database.unit_of_work(community.community_id) as uow:
        await at.service.fulfil_voucher(uow, code)
    done = Cookie(
        key=counter(request).done_cookie,
        value=code,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        max_age=DONE_SECONDS,
    )
    return Redirect(f"/?community_id={community.community_id}", status_code=303, cookies=[done])


@get("/counter.css", sync_to_thread=False)
def style() -> Response[bytes]:
    """Return the page's style."""
    return Response(
        (files("services.partnerkit") / "static" / "counter.css").read_bytes(),
        media_type=MediaType.CSS,
        headers={"Cache-Control": "max-age=3600"},
    )


def counter_problem(request: PlainRequest, error: Exception) -> Response[str]:
    """Say in the counter's words what was refused."""
    if isinstance(error, NotFound):
        status, message = 404, say(request, "order.not_found")
    elif isinstance(error, InvalidValue) and error.field == "voucher":
        status, message = 422, say(request, "order.no_voucher", count=VOUCHER_LENGTH)
    elif isinstance(error, InvalidValue):
        status, message = 422, say(request, "form.wrong")
    elif isinstance(error, DomainError):
        status, message = 409, say(request, "order.not_now")
    elif isinstance(error, HTTPException) and error.status_code == 429:
        status, message = 429, say(request, "sign_in.too_many")
    else:
        status, message = getattr(error, "status_code", HTTP_500), say(request, "order.not_now")
    if status >= HTTP_500:
        log_fault(request, error)
    return page(request, "refused.html", status=status, message=message)


def counter_routes(*own: ControllerRouterHandler) -> Router:
    """Return the counter's routes, with the partner's ``own`` pages."""
    return Router(
        path="/",
        route_handlers=[today, sign_in, sign_out, hand_over, scan, style, *own],
        before_request=require_same_site,
        exception_handlers=dict.fromkeys((DomainError, HTTPException, Exception), counter_problem),
    )
