"""The counter's frame: who may stand there, and how a page of it is made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, cast

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import MediaType, Response
from litestar.exceptions import HTTPException

from pointsbank.domain.errors import NotFound
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.messages import LANGUAGE_TAGS, negotiate
from services.partnerkit.http import Desk, PlainRequest
from services.partnerkit.store import Community
from services.partnerkit.wire import CommunityId, read_text
from services.partnerkit.words import words

SESSION = timedelta(hours=12)
TRIES_MAX = 5
TRIES_ALL_MAX = 50
TRIES_WINDOW = timedelta(minutes=5)
KIT = "services.partnerkit"


@cache
def templates(package: str = KIT) -> Environment:
    """Return the templates of a partner's package, over the kit's own."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(each, "templates") for each in dict.fromkeys((package, KIT))]),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


async def _nothing(_uow: UnitOfWork) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Aside:
    """What a partner shows beside each of today's orders, in a template of its own package.

    template: sees ``each`` (the order) and what ``facts`` returns.
    """

    package: str = KIT
    template: str = "aside.html"
    facts: Callable[[UnitOfWork], Awaitable[Mapping[str, Any]]] = _nothing


NO_ASIDE = Aside()


@dataclass
class Counter:
    """Who may stand at the counter. pin: None keeps it closed. name: the partner's.

    links: (address, key of the words) of the partner's own pages. aside: beside each order.
    """

    name: str
    pin: str | None
    secret: str
    now: Callable[[], datetime]
    links: Sequence[tuple[str, str]] = ()
    aside: Aside = NO_ASIDE
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


def say(request: PlainRequest, key: str, /, **facts: object) -> str:
    """Return the words for ``key`` in the browser's language."""
    return words().translate(negotiate(request.headers.get("accept-language")), key, **facts)


def page(
    request: PlainRequest, template: str, *, package: str = KIT, status: int = 200, **values: object
) -> Response[str]:
    """Return a page of the counter. package: whose templates."""
    return Response(
        templates(package)
        .get_template(template)
        .render(
            title=say(request, f"title.{counter(request).name}"),
            links=counter(request).links,
            say=partial(say, request),
            language=LANGUAGE_TAGS[negotiate(request.headers.get("accept-language"))],
            **values,
        ),
        status_code=status,
        media_type=MediaType.HTML,
    )


def sign_in_page(request: PlainRequest, message: str | None = None, *, status: int = 200) -> Response[str]:
    who = counter(request)
    return page(
        request,
        "sign_in.html",
        status=status,
        closed=who.pin is None,
        message=message,
    )


def signed_in(request: PlainRequest) -> bool:
    """Return whether the browser has a session of the counter."""
    who = counter(request)
    return who.is_open(request.cookies.get(who.cookie))


async def require_same_site(request: PlainRequest) -> None:
    """Refuse a form that another site's page sent. Raises HTTPException 403."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "").lower()
    # Compared as text: what stands in an Origin need not be an address that can be taken apart.
    foreign = origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}")
    if request.method != "GET" and (foreign or request.headers.get("sec-fetch-site") not in OWN_SITES):
        raise HTTPException(status_code=403)


OWN_SITES = {None, "same-origin", "none"}


async def read_form(request: PlainRequest) -> dict[str, str]:
    """Return the form's text fields."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


async def community_of(at: Desk, given: str | None) -> Community:
    """Return the community whose counter is asked for, or the first one. Raises NotFound, InvalidValue."""
    number = None if given is None else read_text("community_id", given, CommunityId)
    for community in await at.service.communities(at.database):
        if number in (None, community.community_id):
            return community
    raise NotFound(what="community")
