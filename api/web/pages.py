"""Pages from templates: escaped, in the visitor's words, with the frame every page shares."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import State

from api.errors import Refusal, status_of
from api.web.visitor import Visitor, page_locale
from api.web.words import Words, catalogues
from pointsbank.domain.errors import DomainError
from pointsbank.platform.clock import SystemClock
from pointsbank.platform.ids import uuid7
from pointsbank.platform.messages import LANGUAGE_TAGS

FOLDER = Path(__file__).parent
TEMPLATES, STATIC = FOLDER / "templates", FOLDER / "static"
OK = 200

DONE = frozenset(
    {
        "asked",
        "request_cancelled",
        "confirmed",
        "ordered",
        "order_cancelled",
        "accepted",
        "declined",
        "checked_in",
        "checked_out",
        "hours_saved",
        "proof_sent",
        "verified",
        "resolved",
        "approved",
        "turned_down",
        "feedback_given",
        "complained",
        "settled",
        "nobody_home",
        "withdrawn",
        "recorded",
        "appealed",
        "attended_in",
        "attended_out",
        "left_out",
        "series_ended",
        "kept_apart",
        "sent_again",
        "tried_again",
        "signed",
        "paid",
        "refund_proposed",
    }
)
"""What a page may be told to say was done, by ``?done=``."""


@cache
def static(name: str) -> str:
    """Return the address of a static file; it changes with the file, so browsers may keep it."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.globals |= {"static": static, "languages": LANGUAGE_TAGS, "keys": lambda: str(uuid7())}


def page(
    request: Request[Any, Any, State],
    visitor: Visitor,
    template: str,
    *,
    refused: DomainError | None = None,
    **facts: Any,
) -> Response[str]:
    """Return a page.

    refused: why what the visitor just tried was not done; it is told on top, and gives the status.
    """
    words = visitor.words
    done = request.query_params.get("done")
    context = {
        **words.on_pages(),
        "here": request.scope["path"],
        "nav": visitor.menu,
        "community": visitor.community.name,
        "signed_in": True,
        "acting_for": visitor.subject if visitor.by_proxy else None,
        "person": visitor.subject,
        "home": visitor.home,
        "done": done if done in DONE and refused is None else None,
        "problem": catalogues.explain(words.locale, refused) if refused is not None else None,
        "key": str(uuid7()),
        **facts,
    }
    return _response(template, context, words.locale, status_of(refused) if refused is not None else OK)


def public_page(
    request: Request[Any, Any, State], template: str, *, status: int = OK, **facts: Any
) -> Response[str]:
    """Return a page for somebody we do not know."""
    locale = page_locale(request)
    words = Words(locale, timezone="UTC", today=SystemClock().now().date())
    context = {
        **words.on_pages(),
        "here": request.scope["path"] if request.method == "GET" else "/",
        "nav": [],
        "community": None,
        "signed_in": False,
        "acting_for": None,
        "done": None,
        "problem": None,
        **facts,
    }
    return _response(template, context, locale, status)


def error_page(request: Request[Any, Any, State], refusal: Refusal) -> Response[str]:
    """Return a refusal as a page: what happened in one sentence, and a way on."""
    problem = refusal.problem
    answer = public_page(
        request,
        "problem.html",
        status=problem.status,
        heading=problem.title,
        sentence=problem.detail,
        errors=[each.message for each in problem.errors],
    )
    answer.headers.update(refusal.headers)
    return answer


def _response(template: str, context: dict[str, Any], locale: str, status: int) -> Response[str]:
    return Response(
        environment.get_template(template).render(context),
        status_code=status,
        media_type=MediaType.HTML,
        headers={"Content-Language": LANGUAGE_TAGS[locale], "Vary": "Accept-Language, Cookie"},
    )
