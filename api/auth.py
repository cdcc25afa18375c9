"""Who is calling, what each route lets whom do, and the headers that keep pages to themselves.

A person signs in by a link (``/sign-in/{token}``), printed, sent or shown as a QR code; the session is a
second token, in a cookie for pages or an ``Authorization: Bearer`` header for programs. Only digests of both
are stored. Every route declares who may call it (``opt=…``); one that does not answers 500 to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, MutableScopeHeaders, State
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.params import FromPath
from litestar.types import Message, Scope

from api.dependencies import Session, SignedIn, desk
from api.errors import CrossOrigin, SignInLinkInvalid, SignInRequired
from pointsbank.domain.errors import DomainError, NotAllowed
from pointsbank.domain.roles import Actor, Role
from services.people import service as people
from services.people.tokens import SESSION_HOURS, community_of

COOKIE = "pointsbank_session"
COOKIE_SECONDS = SESSION_HOURS * 60 * 60
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

MAY = "may"
ANYONE: dict[str, Any] = {MAY: "anyone"}
"""Declares a route that needs no session: it shows nothing of the community, or checks by itself."""

SIGNED_IN: dict[str, Any] = {MAY: frozenset(Role)}
"""Declares a route for whoever is signed in, also family and others who hold no role."""


def may(*roles: Role) -> dict[str, Any]:
    """Declare a route for who holds one of ``roles``: ``@get(…, opt=may(Role.ELDER))``."""
    return {MAY: frozenset(roles)}


class SessionAuthentication(AbstractAuthenticationMiddleware):
    """Finds the person behind the session token; without a good one the request goes on as nobody's."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """Return the actor and the session, or nobody."""
        if connection.route_handler.opt.get(MAY) == ANYONE[MAY]:
            return AuthenticationResult(user=None, auth=None)
        token, by_cookie = _token(connection)
        found = None
        if token:
            found = await people.actor_by_session(desk(connection).database, token)
        if token is None or found is None:
            return AuthenticationResult(user=None, auth=None)
        community_id, actor = found
        return AuthenticationResult(user=actor, auth=Session(community_id, token, by_cookie))


def _token(connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[str | None, bool]:
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip() or None, False
    return connection.cookies.get(COOKIE) or None, True


def require_right(connection: ASGIConnection[Any, Any, Any, Any], route: BaseRouteHandler) -> None:
    """Guard of every route: the session and the roles that the route declares.

    Raises SignInRequired, CrossOrigin, NotAllowed.
    """
    declared = route.opt.get(MAY)
    # Litestar makes the OPTIONS routes itself; they tell the methods of an address and nothing else.
    if declared == ANYONE[MAY] or connection.scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]
        return
    if not isinstance(declared, frozenset):
        raise ImproperlyConfiguredException(f"{route} does not declare who may call it")
    session: Session | None = connection.scope.get("auth")
    if session is None:
        raise SignInRequired
    if session.by_cookie and connection.scope["method"] not in SAFE_METHODS:  # type: ignore[typeddict-item]
        require_same_origin(connection)
    actor: Actor = connection.scope["user"]
    if declared != SIGNED_IN[MAY] and not actor.has(*declared):
        raise NotAllowed(action=route.handler_name)


def require_same_origin(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse a change that a page of another site made the browser send (OWASP: verify the origin).

    Every browser sends Origin with a POST; one that carries a cookie and none is refused too.
    Raises CrossOrigin.
    """
    origin, host = connection.headers.get("origin", "").lower(), connection.headers.get("host", "").lower()
    # Compared as text: what stands in an Origin need not be an address that can be taken apart.
    if not host or origin not in (f"http://{host}", f"https://{host}"):
        raise CrossOrigin


def home_of(actor: Actor) -> str:
    """Return the page where a person begins."""
    if actor.has(Role.COORDINATOR):
        return "/coordinator"
    if actor.has(Role.AUDITOR):
        return "/books"
    if actor.has(Role.ELDER):  # also one who volunteers: the large page leads to the other
        return "/elder"
    if actor.has(Role.VOLUNTEER):
        return "/volunteer"
    return "/confirm" if actor.has(Role.BUILDING_LEADER, Role.GRID_LEADER) else "/family"


def _cookie(request: Request[Any, Any, State], value: str | None) -> Cookie:
    return Cookie(
        key=COOKIE,
        value=value or "",
        max_age=COOKIE_SECONDS if value else 0,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def _redirect(path: str, cookie: Cookie) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": path}, cookies=[cookie])


@get("/sign-in/{token:str}", opt=ANYONE, include_in_schema=False)
async def sign_in(request: Request[Any, Any, State], token: FromPath[str]) -> Response[None]:
    """Open a session from a sign-in link and go to the person's first page."""
    database = desk(request).database
    community_id = community_of(token)
    if community_id is None:
        raise SignInLinkInvalid
    try:
        async with database.unit_of_work(community_id) as uow:
            session = await people.open_session(uow, token)
    except DomainError:
        raise SignInLinkInvalid from None
    found = await people.actor_by_session(database, session)
    if found is None:
        raise SignInLinkInvalid
    return _redirect(home_of(found[1]), _cookie(request, session))


@post("/sign-out", opt=SIGNED_IN, include_in_schema=False)
async def sign_out(request: SignedIn) -> Response[None]:
    """End the session here and in the browser."""
    async with desk(request).database.unit_of_work(request.auth.community_id) as uow:
        await people.end_session(uow, request.auth.token)
    return _redirect("/", _cookie(request, None))


SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=()",
}


async def add_security_headers(message: Message, _scope: Scope) -> None:
    """Give every answer the headers that keep it out of other sites and of shared caches."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


ROUTES = [sign_in, sign_out]
