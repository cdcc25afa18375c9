"""Codes that change and printed cards: shown to the elder, brought by the volunteer, good once.

A wrong code is refused and its unit of work rolled back, so the attempt is counted in one of its own,
committed before: :func:`begin_attempt`, then ``check_in`` or ``check_out`` with the proof. Trying many at
once gains nothing, for each has to be counted first.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pointsbank.domain.attendance import AttendanceMethod, Proof, TooManyAttempts, WrongProof
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit_rules import ATTEMPTS_SPAN
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from pointsbank.platform.rotating_code import code_at, matching_step, new_secret, step_at
from services.care import ties, visit_store
from services.care.door import door_store as store
from services.care.visit_access import rules_today
from services.people import service as people

CARD_DIGITS = 20
"""Digits of a card: what nobody guesses, and a volunteer whose phone cannot scan can still type."""

KEPT = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class DoorCode:
    """What an elder shows at the door. seconds_left: how long it still stands, of ``seconds``."""

    code: str
    seconds_left: int
    seconds: int


async def door_code(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> DoorCode:
    """Return the code at an elder's door now. To the elder and their family only.

    A coordinator never sees it: they may be a volunteer too, and have the call-back. Nor does family who
    volunteers. Raises NotAllowed, NotFound.
    """
    if actor.person_id != elder_id and (
        actor.has(Role.VOLUNTEER)
        or not await ties.is_family(uow, elder_id, actor.person_id)
        or await store.is_coming(uow, actor.person_id, elder_id)
    ):
        raise NotAllowed(action="view_door_code")
    await _require_elder(uow, elder_id)
    seconds = (await rules_today(uow)).code_seconds
    secret, _ = await _secret(uow, elder_id)
    now = uow.clock.now()
    return DoorCode(
        code=code_at(secret, step_at(now, seconds=seconds)),
        seconds_left=seconds - int(now.timestamp()) % seconds,
        seconds=seconds,
    )


async def issue_card(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> str:
    """Return what a new card at an elder's door says (20 digits); the one before is good no longer.

    It is told once and kept as its SHA-256. By a coordinator whose visit to them is not to come.

    Raises NotAllowed, NotFound, InvalidValue.
    """
    actor.require(*STAFF, action="issue_door_card")
    if await store.is_coming(uow, actor.person_id, elder_id):
        raise NotAllowed(action="issue_door_card")
    await _require_elder(uow, elder_id)
    await _secret(uow, elder_id)
    token = f"{secrets.randbelow(10**CARD_DIGITS):0{CARD_DIGITS}}"
    await store.set_card(uow, elder_id, _digest(token))
    return token


async def begin_attempt(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> None:
    """Count an attempt with a code for a visit, before the code is looked at; commit it.

    Raises NotFound, NotAllowed, TooManyAttempts.
    """
    row = await visit_store.lock(uow, visit_id)
    if row is None:
        raise NotFound(what="visit")
    if actor.person_id != row["volunteer_id"]:
        raise NotAllowed(action="check_in")
    rules = await rules_today(uow)
    tried = await store.attempts_since(uow, visit_id, uow.clock.now() - ATTEMPTS_SPAN)
    if tried >= rules.code_attempts:
        raise TooManyAttempts(minutes=ATTEMPTS_SPAN // timedelta(minutes=1))
    await store.add_attempt(uow, uuid7(), visit_id)


async def prove(uow: UnitOfWork, proof: Proof, elder_id: UUID, visit_id: UUID) -> None:
    """Check what a volunteer brings from an elder's door; a code is used up by it.

    A code is good in its own time step and the next (the way from the page to the keys), once. Raises
    WrongProof.
    """
    known = await store.secret_of(uow, elder_id)
    secret, card_hash = known if known is not None else (new_secret(), None)
    if proof.method is AttendanceMethod.CARD:
        if not hmac.compare_digest(card_hash or b"", _digest(proof.secret)):
            raise WrongProof
        return
    now = step_at(uow.clock.now(), seconds=(await rules_today(uow)).code_seconds)
    step = matching_step(secret, proof.secret, (now - 1, now))
    if known is None or step is None or not await store.use_code(uow, elder_id, step, visit_id):
        raise WrongProof


async def forget_codes(uow: UnitOfWork) -> None:
    """Drop the codes and attempts of former days."""
    await store.forget(uow, before=uow.clock.now() - KEPT)


async def _secret(uow: UnitOfWork, elder_id: UUID) -> tuple[bytes, bytes | None]:
    known = await store.secret_of(uow, elder_id)
    if known is None:
        await store.add_secret(uow, elder_id, new_secret())
        known = await store.secret_of(uow, elder_id)
    assert known is not None
    return known


async def _require_elder(uow: UnitOfWork, elder_id: UUID) -> None:
    if Role.ELDER not in (await people.person(uow, elder_id)).roles:
        raise InvalidValue(field="elder_id", rule="elder")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
