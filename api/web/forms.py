"""Forms: read as text, done once, answered by a redirect; a refusal shows the form again with its draft."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response

from api.dependencies import SignedIn, desk
from api.idempotency import claim_of, once
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork

SEE_OTHER = 303
FIELD_LENGTH_MAX = 2_000

Work = Callable[[UnitOfWork, Actor], Awaitable[str]]


async def read_form(request: SignedIn) -> dict[str, str]:
    """Return the form's text fields, the last of each name, without surrounding blanks.

    Raises InvalidValue for a field that is longer than any of ours.
    """
    fields: dict[str, str] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, str):
            if len(value) > FIELD_LENGTH_MAX:
                raise InvalidValue(field=name, rule=f"at_most_{FIELD_LENGTH_MAX}_characters")
            fields[name] = value.strip()
    return fields


def uuid_of(text: str, *, what: str) -> UUID:
    """Return the id that ``text`` says. Raises NotFound: what cannot be named does not exist."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(what=what) from None


async def do_once(request: SignedIn, work: Work, *, key: str) -> Response[None]:
    """Do ``work`` in one unit of work, once for the form's hidden ``key``, and go where it says.

    work: returns the address of the next page. A form that is sent again (a double click, a reload) is
    answered by the same address, and nothing is done twice. Raises InvalidValue without a key, and what
    ``work`` raises.
    """
    if not key:
        raise InvalidValue(field="key", rule="not_blank")
    claim = await claim_of(request, form_key=key)
    async with desk(request).database.unit_of_work(request.auth.community_id) as uow:

        async def told() -> dict[str, Any]:
            return {"location": await work(uow, request.user)}

        given = await once(uow, request.user, claim, told, status=SEE_OTHER)
    return see_other(str(given.body["location"]))


def kept_key(form: dict[str, str]) -> dict[str, str]:
    """Return the form's key for the page that shows it again: still the same thing that is asked."""
    return {"key": form["key"]} if form.get("key") else {}


def see_other(path: str, query: Mapping[str, str] | None = None) -> Response[None]:
    """Return a redirect that is followed by GET (RFC 9110 §15.4.4). path: of ours, never the visitor's."""
    return Response(
        None,
        status_code=SEE_OTHER,
        headers={"Location": f"{path}?{urlencode(query)}" if query else path},
    )
