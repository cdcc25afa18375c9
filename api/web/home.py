"""The front door: welcome, language, and the static files."""

from __future__ import annotations

import mimetypes
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import Cookie, State
from litestar.params import FromPath

from api.auth import ANYONE, COOKIE
from api.dependencies import desk
from api.errors import LOCALE_COOKIE, RouteNotFound
from api.web.forms import see_other
from api.web.pages import STATIC, public_page
from api.web.visitor import first_page
from pointsbank.platform.messages import LOCALES
from services.people import service as people

LOCALE_SECONDS = 365 * 24 * 60 * 60
STATIC_TYPES = {".css": "text/css", ".svg": "image/svg+xml"}


@get("/", opt=ANYONE, include_in_schema=False)
async def front_door(request: Request[Any, Any, State]) -> Response[Any]:
    """Bring who is signed in to their first page; tell everybody else how to sign in."""
    token = request.cookies.get(COOKIE)
    found = await people.actor_by_session(desk(request).database, token) if token else None
    if found is not None and (page := first_page(found[1])) != "/":
        return see_other(page)
    return public_page(request, "welcome.html")


@get("/language/{locale:str}", opt=ANYONE, include_in_schema=False)
async def choose_language(request: Request[Any, Any, State], locale: FromPath[str]) -> Response[None]:
    """Remember the language in a cookie and go back to the page."""
    if locale not in LOCALES:
        raise RouteNotFound
    answer = see_other(_own_path(request.query_params.get("back", "/")))
    answer.set_cookie(
        Cookie(
            key=LOCALE_COOKIE,
            value=locale,
            max_age=LOCALE_SECONDS,
            path="/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
    )
    return answer


def _own_path(path: str) -> str:
    """Return ``path`` if it is a plain one of this site; browsers read ``//`` and ``/\\`` as another host."""
    plain = (
        path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable()
    )
    return path if plain else "/"


@get("/static/{name:str}", opt=ANYONE, include_in_schema=False, sync_to_thread=False)
def static_file(name: FromPath[str]) -> Response[bytes]:
    """Return a stylesheet or a drawing. Its address carries its hash, so it may be kept for good."""
    file = STATIC / name
    kind = STATIC_TYPES.get(file.suffix) or mimetypes.guess_type(name)[0]
    if file.parent != STATIC or kind is None or not file.is_file():
        raise RouteNotFound
    return Response(
        file.read_bytes(),
        media_type=kind,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


ROUTES = [front_door, choose_language, static_file]
