"""The counter: one page for the partner's staff, in large type, that works without JavaScript."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import MediaType, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect

from pointsbank.domain.errors import DomainError, InvalidValue, NotFound
from pointsbank.platform.messages import LANGUAGE_TAGS, negotiate
from services.partnerkit.http import Desk, PlainRequest, desk, log_fault
from services.partnerkit.store import Community
from services.partnerkit.tables import VOUCHER_LENGTH
from services.partnerkit.wire import CommunityId, Voucher, VoucherStart, read_text
from services.partnerkit.words import words

SESSION = timedelta(hours=12)
TRIES_MAX = 5
TRIES_ALL_MAX = 50
TRIES_WINDOW = timedelta(minutes=5)
HTTP_500 = 500

DONE_SECONDS = 60
"""How long the page may still say what was handed over last."""

_pages = Environment(
    loader=PackageLoader("services.partnerkit", "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
)


@dataclass
class Counter:
    """Who may stand at the counter. pin: None keeps it closed. name: the partner's."""

    name: str
    pin: str | None
    secret: str
    now: Callable[[], datetime]
    _failed: dict[str, deque[datetime]] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie: cookies are shared by all ports of a host."""
        return f"pointsbank_{self.name}_counter"

    @property
    def done_cookie(self) -> str:
        """Name of the cookie with the voucher handed over last: addresses are logged, cookies are not."""
        return f"pointsbank_{self.name}_done"

    def open_session(self) -> str:
        """Return the value of a new session's cookie."""
        until = int((self.now() + SESSION).timestamp())
        nonce = secrets.token_hex(8)
        return f"{until}.{nonce}.{self._seal(f'{until}.{nonce}')}"

    def is_open(self, value: str | None) -> bool:
        """Return whether a cookie's value is a session of ours that has not run out."""
        if self.pin is None or value is None:
            return False
        stated, _, seal = value.rpartition(".")
        if not hmac.compare_digest(self._seal(stated).encode(), seal.encode()):
            return False
        return int(stated.partition(".")[0]) > self.now().timestamp()

    def try_pin(self, pin: str, *, client: str) -> bool:
        """Return whether ``pin`` opens the counter. Raises HTTPException 429 after too many failures."""
        since = self.now() - TRIES_WINDOW
        for address in list(self._failed):
            while self._failed[address] and self._failed[address][0] < since:
                self._failed[address].popleft()
            if not self._failed[address]:
                del self._failed[address]
        failed = self._failed.get(client, deque())
        if len(failed) >= TRIES_MAX or sum(map(len, self._failed.values())) >= TRIES_ALL_MAX:
            raise HTTPException(status_code=429)
        if self.pin is not None and hmac.compare_digest(pin.encode(), self.pin.encode()):
            self._failed.pop(client, None)
            return True
        self._failed.setdefault(client, failed).append(self.now())
        return False

    def _seal(self, text: str) -> str:
        # The PIN is part of the key: a new PIN ends every session.
        key = hashlib.sha256(f"{self.secret}|{self.pin}".encode()).digest()
        return hmac.new(key, f"counter|{self.name}|{text}".encode(), hashlib.sha256).hexdigest()


def counter(request: PlainRequest) -> Counter:
    """Return the application's counter."""
    return cast("Counter", request.app.state.counter)


def _say(request: PlainRequest, key: str, **facts: object) -> str:
    return words().translate(negotiate(request.headers.get("accept-language")), key, **facts)


def _page(request: PlainRequest, template: str, *, status: int = 200, **values: object) -> Response[str]:
    return Response(
        _pages.get_template(template).render(
            title=_say(request, f"title.{counter(request).name}"),
            say=partial(_say, request),
            language=LANGUAGE_TAGS[negotiate(request.headers.get("accept-language"))],
            **values,
        ),
        status_code=status,
        media_type=MediaType.HTML,
    )


def _sign_in_page(request: PlainRequest, message: str | None = None, *, status: int = 200) -> Response[str]:
    who = counter(request)
    return _page(
        request,
        "sign_in.html",
        status=status,
        closed=who.pin is None,
        message=message,
    )


def _signed_in(request: PlainRequest) -> bool:
    who = counter(request)
    return who.is_open(request.cookies.get(who.cookie))


async def require_same_site(request: PlainRequest) -> None:
    """Refuse a form that another site's page sent. Raises HTTPException 403."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "").lower()
    # Compared as text: what stands in an Origin need not be an address that can be taken apart.
    foreign = origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}")
    if request.method != "GET" and (foreign or request.headers.get("sec-fetch-site") not in _OWN_SITES):
        raise HTTPException(status_code=403)


_OWN_SITES = {None, "same-origin", "none"}


async def _form(request: PlainRequest) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


async def _community(at: Desk, given: str | None) -> Community:
    """Return the community whose counter is asked for, or the first one. Raises NotFound, InvalidValue."""
    number = None if given is None else read_text("community_id", given, CommunityId)
    for community in await at.service.communities(at.database):
        if number in (None, community.community_id):
            return community
    raise NotFound(what="community")


@get("/")
async def page(request: PlainRequest) -> Response[str]:
    """Show today's accepted orders, or the sign-in form."""
    if not _signed_in(request):
        return _sign_in_page(request)
    at, query = desk(request), request.query_params
    voucher = read_text("voucher", (query.get("voucher") or "").strip().upper(), VoucherStart) or None
    done = _done(request)
    communities = await at.service.communities(at.database)
    if not communities:
        return _page(
            request,
            "empty.html",
        )
    chosen = await _community(at, query.get("community_id"))
    async with at.database.unit_of_work(chosen.community_id) as uow:
        day = await at.service.counter_day(uow, voucher=voucher)
        offers = {offer.item.code: offer for offer in await at.service.offers(uow)}
    answer = _page(
        request,
        "counter.html",
        day=day,
        offers=offers,
        voucher=voucher or "",
        message=_say(request, "order.handed_over", voucher=done) if done else None,
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
    pin = (await _form(request)).get("pin", "")
    if who.pin is None or not who.try_pin(pin.strip(), client=request.client.host if request.client else ""):
        return _sign_in_page(request, _say(request, "sign_in.wrong"), status=403)
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
    if not _signed_in(request):
        return _sign_in_page(request, _say(request, "sign_in.first"), status=403)
    at = desk(request)
    code = read_text("voucher", voucher, Voucher)
    community = await _community(at, (await _form(request)).get("community_id"))
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
        status, message = 404, _say(request, "order.not_found")
    elif isinstance(error, InvalidValue) and error.field == "voucher":
        status, message = 422, _say(request, "order.no_voucher", count=VOUCHER_LENGTH)
    elif isinstance(error, DomainError):
        status, message = 409, _say(request, "order.not_now")
    elif isinstance(error, HTTPException) and error.status_code == 429:
        status, message = 429, _say(request, "sign_in.too_many")
    else:
        status, message = getattr(error, "status_code", HTTP_500), _say(request, "order.not_now")
    if status >= HTTP_500:
        log_fault(request, error)
    return _page(request, "refused.html", status=status, message=message)


def counter_routes() -> Router:
    """Return the counter's routes."""
    return Router(
        path="/",
        route_handlers=[page, sign_in, sign_out, hand_over, style],
        before_request=require_same_site,
        exception_handlers=dict.fromkeys((DomainError, HTTPException, Exception), counter_problem),
    )
