"""A retry never pays twice: the first answer to an ``Idempotency-Key`` is the answer.

A key belongs to one person of one community. Inside the request's own transaction:

- another request with this key is under way: 409 ``request_in_flight``;
- the key answered another request before (other method, address or body): 422 ``idempotency_key_reused``;
- it answered this one: the stored status and answer again, with ``Idempotency-Replayed: true``; after 48
  hours the answer is gone (it may hold names) and only that it was given is known: 409 ``answer_forgotten``;
- else the work is done and its answer is stored by the same commit.

Refusals are not stored: what was refused changed nothing, and a retry is judged anew (the points may have
come in by then). A crash before the commit leaves neither effect nor answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.journal import IdempotencyKeyReused
from pointsbank.domain.roles import Actor
from pointsbank.platform import idempotency as store
from pointsbank.platform.database import UnitOfWork

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
KEY = re.compile(r"[\x21-\x7e]{1,200}")

KEYED: dict[str, Any] = {"keyed": True}
"""Declares a route that changes the ledger: ``opt=may(…) | KEYED``; without the header it answers 400."""

READS: dict[str, Any] = {"reads": True}
"""Declares a POST that changes nothing: it needs no key, and its answer is not kept."""


@dataclass(eq=False)
class IdempotencyKeyRequired(DomainError):
    """The request changes the ledger and carries no ``Idempotency-Key``."""

    code = "idempotency_key_required"


@dataclass(eq=False)
class RequestInFlight(DomainError):
    """A request with this key is being worked on right now."""

    code = "request_in_flight"


@dataclass(eq=False)
class AnswerForgotten(DomainError):
    """The request was carried out long ago; it is not done again, and its answer is kept no longer."""

    code = "answer_forgotten"


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's key and the SHA-256 of what it asks."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and whether it was given before."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


def require_key(connection: ASGIConnection[Any, Any, Any, Any], route: BaseRouteHandler) -> None:
    """Guard of every route: one that is ``KEYED`` needs the header. Raises IdempotencyKeyRequired."""
    if route.opt.get("keyed") and not connection.headers.get(HEADER):
        raise IdempotencyKeyRequired


def checked_key(key: str) -> str:
    """Return ``key`` if it is 1 to 200 visible ASCII characters. Raises InvalidValue."""
    if not KEY.fullmatch(key):
        raise InvalidValue(field=HEADER, rule="visible_ascii")
    return key


async def claim_of(request: Request[Any, Any, State], *, form_key: str | None = None) -> Claim | None:
    """Return the request's claim; None when it carries no key.

    form_key: the hidden field of a form, which cannot send headers. Raises InvalidValue.
    """
    key = form_key if form_key is not None else request.headers.get(HEADER)
    if not key:
        return None
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    asked = hashlib.sha256(
        request.method.encode() + b" " + path + b"?" + request.scope["query_string"] + b"\n"
    )
    asked.update(await request.body())
    return Claim(checked_key(key), asked.digest())


async def once(
    uow: UnitOfWork,
    actor: Actor,
    claim: Claim | None,
    work: Callable[[], Awaitable[dict[str, Any]]],
    *,
    status: int,
) -> Given:
    """Do ``work`` for the first request with this claim, and give its answer to every later one.

    work: returns the answer, a JSON object. Raises RequestInFlight, IdempotencyKeyReused,
    AnswerForgotten, and what ``work`` raises.
    """
    if claim is None:
        return Given(status, await work())
    if not await store.try_lock(uow, actor.person_id, claim.key):
        raise RequestInFlight
    given = await store.given_answer(uow, actor.person_id, claim.key)
    if given is not None:
        if given.fingerprint != claim.fingerprint:
            raise IdempotencyKeyReused(key=claim.key)
        if given.body is None:
            raise AnswerForgotten
        return Given(given.status, given.body, replayed=True)
    body = await work()
    answer = store.GivenAnswer(claim.fingerprint, status, body)
    if not await store.keep_answer(uow, actor.person_id, claim.key, answer):
        raise RequestInFlight  # only without the lock; the whole unit of work is undone
    return Given(status, body)
