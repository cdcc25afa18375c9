"""Refusals as answers: RFC 9457 problems for programs, one plain sentence for people.

Only this module knows which HTTP status a refusal has. Every refusal has a stable ``code``; its words come
from the message catalogues under ``error.<code>``, in the language the caller asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import api.web
from api.rules import invalid_fields
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.platform.database import is_passing
from pointsbank.platform.messages import LANGUAGE_TAGS, Catalogues, negotiate

log = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
PROBLEM_TYPE = "urn:pointsbank:problem:"
LOCALE_COOKIE = "pointsbank_locale"
LOCALES_FOLDER = Path(api.web.__file__).parent / "locale"
RETRY_SECONDS = 1
RETRY_SECONDS_OF: Mapping[str, int] = {"exports_busy": 60}
"""When to come again, by code, where a second later is too soon."""

BODY_BYTES_MAX = 64 * 1024

AnyRequest = Request[Any, Any, State]


@dataclass(eq=False)
class SignInRequired(DomainError):
    """Nobody is signed in, or the session has ended."""

    code = "sign_in_required"


@dataclass(eq=False)
class SignInLinkInvalid(DomainError):
    """The sign-in link is unknown, used up or too old."""

    code = "sign_in_link_invalid"


@dataclass(eq=False)
class CrossOrigin(DomainError):
    """A page of another site sent this request with the person's cookie."""

    code = "cross_origin"


@dataclass(eq=False)
class BadRequest(DomainError):
    """The request cannot be read."""

    code = "bad_request"


@dataclass(eq=False)
class BadJson(DomainError):
    """The body is not JSON in UTF-8."""

    code = "bad_json"


@dataclass(eq=False)
class BodyTooLarge(DomainError):
    """The body is larger than any request of ours. max_bytes: the most that is read."""

    code = "body_too_large"
    max_bytes: int


@dataclass(eq=False)
class UnsupportedMediaType(DomainError):
    """The body's Content-Type is not the one that is read here. expected: that one."""

    code = "unsupported_media_type"
    expected: str


@dataclass(eq=False)
class MethodNotAllowed(DomainError):
    """The address does not answer this method."""

    code = "method_not_allowed"


@dataclass(eq=False)
class RouteNotFound(DomainError):
    """There is nothing at this address."""

    code = "route_not_found"


@dataclass(eq=False)
class InvalidRequest(DomainError):
    """One or more fields break their rules. fields: (field, rule) each."""

    code = "invalid_request"
    fields: Sequence[tuple[str, str]]


@dataclass(eq=False)
class NotReady(DomainError):
    """The process cannot serve now. rule: what is missing, a stable word."""

    code = "not_ready"
    rule: str


@dataclass(eq=False)
class TooManyReaders(DomainError):
    """As many as may are having this read or recomputed just now."""

    code = "too_many_readers"


@dataclass(eq=False)
class InternalError(DomainError):
    """A fault of ours; its inside is in the log only."""

    code = "internal_error"


STATUSES: Mapping[str, int] = {
    "bad_json": 400,
    "bad_request": 400,
    "idempotency_key_required": 400,
    "bad_signature": 401,
    "sign_in_link_invalid": 401,
    "sign_in_required": 401,
    "cross_origin": 403,
    "not_allowed": 403,
    "confirmed_by_the_paid": 403,
    "concerns_oneself": 403,
    "second_person_needed": 403,
    "wrong_proof": 403,
    "not_found": 404,
    "run_input_forgotten": 404,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "cannot_take": 409,
    "daily_limit_reached": 409,
    "duplicate_request": 409,
    "duplicate_series": 409,
    "gift_limit": 409,
    "giving_not_enabled": 409,
    "hold_expired": 409,
    "insufficient_points": 409,
    "overlapping_visit": 409,
    "unsettled_overlap": 409,
    "too_many_pairs": 409,
    "coordinator_needed": 409,
    "barred": 409,
    "kept_apart": 409,
    "backfill_limit": 409,
    "request_in_flight": 409,
    "answer_forgotten": 409,
    "linked_refused": 409,
    "meal_already_subsidised": 409,
    "wrong_state": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "too_many_attempts": 429,
    "internal_error": 500,
    "exports_busy": 503,
    "not_ready": 503,
    "posting_overloaded": 503,
    "posting_undecided": 503,
    "too_many_readers": 503,
}
"""Status by code; a refusal that is not named here is the request's own fault: 422."""

HTTP_401, HTTP_413, HTTP_422, HTTP_500, HTTP_503 = 401, 413, 422, 500, 503

HTTP_REFUSALS: Mapping[int, type[DomainError]] = {
    401: SignInRequired,
    404: RouteNotFound,
    405: MethodNotAllowed,
    500: InternalError,
}

UNAVAILABLE = (OperationalError, PoolTimeout, ConnectionError, TimeoutError)

catalogues = Catalogues(LOCALES_FOLDER)


class FieldProblem(msgspec.Struct, frozen=True):
    """One field that breaks a rule: its name, the stable word of the rule, and a sentence."""

    field: str
    rule: str
    message: str


class Problem(msgspec.Struct, frozen=True):
    """An RFC 9457 problem. ``code`` is stable, ``title`` and ``detail`` are in the caller's language.

    ``errors`` names every field that breaks a rule; ``facts`` are the refusal's figures (such as
    ``available`` and ``requested`` in milli-points), by name.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] = []
    facts: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal ready to be shown: what a page needs to render it."""

    problem: Problem
    locale: str
    headers: Mapping[str, str] = field(default_factory=dict)


def locale_of(request: AnyRequest) -> str:
    """Return the locale to answer in: the chosen one for pages, else Accept-Language."""
    chosen = request.cookies.get(LOCALE_COOKIE) if not for_programs(request) else None
    return negotiate(request.headers.get("accept-language"), chosen=chosen)


def for_programs(request: AnyRequest) -> bool:
    """Tell whether the address belongs to the JSON API (its refusals are problems, never pages)."""
    path = request.scope["path"]
    return path.startswith(("/api/", "/partner-events", "/livez", "/readyz", "/openapi"))


def status_of(error: DomainError) -> int:
    """Return the HTTP status of a refusal."""
    return STATUSES.get(error.code, HTTP_422)


def problem_of(error: DomainError, locale: str) -> Problem:
    """Return the refusal as a problem in ``locale`` (one of ``LOCALES``)."""
    status = status_of(error)
    fields: Sequence[tuple[str, str]] = ()
    facts = error.facts()
    if isinstance(error, InvalidValue):
        fields, facts = [(error.field, error.rule)], {}
    elif isinstance(error, InvalidRequest):
        fields, facts = error.fields, {}
    problems = [FieldProblem(name, rule, _field_message(locale, name, rule)) for name, rule in fields]
    detail = catalogues.explain(locale, error)
    if isinstance(error, InvalidRequest):
        detail = " ".join(each.message for each in problems[:3]) or detail
    return Problem(
        type=f"{PROBLEM_TYPE}{error.code}",
        title=catalogues.translate(locale, f"status.{status}"),
        status=status,
        code=error.code,
        detail=detail,
        errors=problems,
        facts={name: _plain(value) for name, value in facts.items()},
    )


def _field_message(locale: str, name: str, rule: str) -> str:
    return catalogues.explain(locale, InvalidValue(field=name, rule=rule))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int) else str(value)


def answer(request: AnyRequest, error: DomainError) -> Response[Any]:
    """Return the refusal as an answer: a problem for programs, the error page for people."""
    locale = locale_of(request)
    problem = problem_of(error, locale)
    headers = {"Content-Language": LANGUAGE_TAGS[locale], "Vary": "Accept-Language"}
    if problem.status == HTTP_401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status == HTTP_503 or problem.code == "request_in_flight":
        headers["Retry-After"] = str(RETRY_SECONDS_OF.get(problem.code, RETRY_SECONDS))
    page = request.app.state.get("error_page")
    if page is not None and not for_programs(request) and "text/html" in request.headers.get("accept", ""):
        shown: Response[Any] = page(request, Refusal(problem, locale, headers))
        return shown
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, headers=headers, media_type=PROBLEM_JSON
    )


JSON_TYPE = "application/json"


async def require_json(request: AnyRequest) -> None:
    """Refuse a body that does not say it is JSON: a form of another site could send it. before_request hook.

    Raises UnsupportedMediaType.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != JSON_TYPE and await request.body():
        raise UnsupportedMediaType(expected=JSON_TYPE)


def refused(request: AnyRequest, error: DomainError) -> Response[Any]:
    """Answer what the domain or a service refused."""
    if status_of(error) >= HTTP_500 and status_of(error) != HTTP_503:
        log.error("request_failed", method=request.method, error=type(error).__name__, exc_info=error)
    return answer(request, error)


def refused_by_http(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """Answer what the framework refused."""
    if isinstance(error, ValidationException):
        return answer(request, InvalidRequest(fields=invalid_fields(error)))
    if error.status_code == HTTP_413:
        return answer(request, BodyTooLarge(max_bytes=BODY_BYTES_MAX))
    if isinstance(error.__cause__, SerializationException):
        return answer(request, BadJson())
    if error.status_code >= HTTP_500:
        return failed(request, error)
    return answer(request, HTTP_REFUSALS.get(error.status_code, BadRequest)())


def failed(request: AnyRequest, error: Exception) -> Response[Any]:
    """Answer a fault of ours without telling its inside."""
    # The message of a database error may hold a resident's data: only its kind is logged.
    log.error("request_failed", method=request.method, error=type(error).__name__, at=_place(error))
    if isinstance(error, UNAVAILABLE) or is_passing(error):
        return answer(request, NotReady(rule="database_unreachable"))
    return answer(request, InternalError())


def _place(error: BaseException) -> str:
    """Return the innermost line of ours on the way to ``error``."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.split(".")[0] in {"api", "services", "pointsbank"}:
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def unreadable(request: AnyRequest, _error: Exception) -> Response[Any]:
    """Answer a body that is not UTF-8, or nested deeper than any reader goes."""
    return answer(request, BadJson())


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    DomainError: refused,
    HTTPException: refused_by_http,
    UnicodeDecodeError: unreadable,
    RecursionError: unreadable,
    Exception: failed,
}
