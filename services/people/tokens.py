"""Sign-in tokens and sessions. A token is ``{community id}.{secret}``; only its SHA-256 is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.roles import Actor, Role
from pointsbank.platform.database import Database, UnitOfWork
from services.people import store
from services.people.tables import TokenPurpose

SECRET_BYTES = 32
TOKEN_LENGTH_MAX = 100
SIGN_IN_HOURS_MAX = 24 * 31
SESSION_HOURS = 12
EXPIRED_KEPT = timedelta(days=1)
"""How long a token that has expired is still kept."""
COMMUNITY_ID_MAX = 2**31 - 1
SHOWN_ROLES = (Role.ELDER, Role.VOLUNTEER, Role.COORDINATOR, Role.AUDITOR)


async def issue_sign_in_token(uow: UnitOfWork, person_id: UUID, *, hours: int = 12) -> str:
    """Return a new token that opens sessions for a person until it expires. Raises NotFound, InvalidValue.

    It may be used more than once: a link on a card or on a screen must survive a second tap.
    """
    if not 1 <= hours <= SIGN_IN_HOURS_MAX:
        raise InvalidValue(field="hours", rule=f"between_1_and_{SIGN_IN_HOURS_MAX}")
    if not await store.people_by_id(uow, [person_id]):
        raise NotFound(what="person")
    return await _issue(uow, person_id, TokenPurpose.SIGN_IN, hours)


async def open_session(uow: UnitOfWork, sign_in_token: str) -> str:
    """Exchange a sign-in token for a session token of ``SESSION_HOURS`` hours.

    Raises NotFound for a token that is unknown, expired, revoked or another community's.
    """
    person_id = await store.holder_of_token(uow, _digest(sign_in_token), TokenPurpose.SIGN_IN)
    if person_id is None:
        raise NotFound(what="sign_in_token")
    return await _issue(uow, person_id, TokenPurpose.SESSION, SESSION_HOURS)


async def actor_by_session(database: Database, token: str) -> tuple[int, Actor] | None:
    """Return the community and the actor a session token stands for; None if it stands for nobody.

    Roles are read anew each time, so one that was taken away is gone at once.
    """
    community_id = community_of(token)
    if community_id is None:
        return None
    async with database.unit_of_work(community_id) as uow:
        person_id = await store.holder_of_token(uow, _digest(token), TokenPurpose.SESSION)
        if person_id is None:
            return None
        return community_id, (await store.people_by_id(uow, [person_id]))[person_id].actor


async def end_session(uow: UnitOfWork, token: str) -> None:
    """End a session; one that has ended or never was is no error."""
    await store.revoke_token(uow, _digest(token))


async def forget_tokens(uow: UnitOfWork) -> int:
    """Drop the tokens that expired more than ``EXPIRED_KEPT`` ago; return how many."""
    return await store.delete_tokens(uow, expired_before=uow.clock.now() - EXPIRED_KEPT)


async def sign_in_tokens(uow: UnitOfWork) -> dict[Role, str]:
    """Return a new sign-in token of one suitable person for each role that somebody holds.

    Suitable: lives in a known building (an elder: also helps others, so that there are points to spend),
    holds as few other roles as possible, may eat at the canteen; then the first to be registered.
    """
    found = {
        role: await store.someone_with_role(uow, role, rather=Role.VOLUNTEER if role is Role.ELDER else None)
        for role in SHOWN_ROLES
    }
    return {
        role: await _issue(uow, person_id, TokenPurpose.SIGN_IN, SESSION_HOURS)
        for role, person_id in found.items()
        if person_id is not None
    }


def community_of(token: str) -> int | None:
    """Return the community a token names, or None for text that cannot be a token."""
    number, dot, secret = token.partition(".")
    if not dot or not secret or len(token) > TOKEN_LENGTH_MAX or not (number.isascii() and number.isdigit()):
        return None
    community_id = int(number)
    return community_id if 0 < community_id <= COMMUNITY_ID_MAX else None


async def _issue(uow: UnitOfWork, person_id: UUID, purpose: TokenPurpose, hours: int) -> str:
    token = f"{uow.community_id}.{secrets.token_urlsafe(SECRET_BYTES)}"
    expires_at = uow.clock.now() + timedelta(hours=hours)
    await store.insert_token(uow, _digest(token), person_id, purpose, expires_at)
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
