"""Events from partners: signed, taken once, acted on by the worker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from msgspec import Meta

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import PartnerWord
from pointsbank.platform import outbox
from pointsbank.platform.clock import Clock, SystemClock
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.settings import Settings
from pointsbank.platform.signing import WINDOW_SECONDS, BadSignature, verify
from services.settlement import service, store

log = structlog.get_logger(__name__)

AHEAD_MAX = timedelta(minutes=10)
"""How far a partner's clock may run ahead of ours."""

BACK_MAX = timedelta(days=400)
"""How long ago something that is told only now may have been: as far back as partners take it themselves."""


class PartnerEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a partner says has happened. fulfilled_quantity: how many were handed over, or 0.

    outcome: how it came to this, when not in the ordinary way: ``not_home``, ``refused_at_door``,
    ``substituted``, ``complained``.
    """

    event_id: UUID
    community_id: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    partner: PartnerCode
    redemption_id: UUID
    type: PartnerWord
    occurred_at: Annotated[datetime, Meta(tz=True)]
    fulfilled_quantity: Annotated[int, Meta(ge=0, le=10_000)]
    outcome: Annotated[str, Meta(pattern=r"\A[a-z_]+\Z", max_length=40)] | None = None


def partner_secrets(settings: Settings) -> dict[str, str]:
    """Return the secrets that partners sign their events with, by key (the partner's code)."""
    shared = {PartnerCode.CANTEEN: settings.canteen_secret, PartnerCode.STATION: settings.station_secret}
    return {code.value: secret.get_secret_value() for code, secret in shared.items() if secret is not None}


async def verify_and_take_event(
    database: Database,
    headers: Mapping[str, str],
    *,
    method: str,
    path: str,
    body: bytes,
    secrets: Mapping[str, str],
    clock: Clock | None = None,
) -> bool:
    """Take one signed event from a partner; return whether it was new. Both deserve the same answer.

    path: as it came on the wire, with its query. secrets: by key, see :func:`partner_secrets`.
    clock: the wire's, against which the signature's age is told. Nonce, event and the intent to act on it
    stand in one commit. Raises BadSignature, InvalidValue, NotFound (no such community or partner there).
    """
    at = (clock or SystemClock()).now()
    key, nonce = verify(headers, method, path, body, secrets_by_key=secrets, at=at)
    event = _read(body)
    if event.partner != key:
        raise BadSignature(rule="key_of_another_partner")
    if event.occurred_at > at + AHEAD_MAX:
        raise InvalidValue(field="occurred_at", rule="not_in_the_future")
    if event.occurred_at < at - BACK_MAX:
        raise InvalidValue(field="occurred_at", rule="plausible_date")
    async with database.unit_of_work(event.community_id) as uow:
        await service.partner(uow, event.partner)
        if not await store.remember_nonce(uow, key, nonce):
            raise BadSignature(rule="nonce_seen")
        return await take_event(uow, event)


async def take_event(uow: UnitOfWork, event: PartnerEvent) -> bool:
    """Keep a partner's event and the intent to act on it; return whether it was new.

    An event about a redemption that is not known here is kept and nothing more: reconciliation names it.
    Raises NotFound (partner), InvalidValue.
    """
    said_by = await service.partner(uow, event.partner)
    # Locked before the clock is read: an ending that is under way and this event see each other or wait.
    known = await store.redemption(uow, event.redemption_id, lock=True)
    if known is not None and known.partner_id != said_by.id:
        raise InvalidValue(field="redemption_id", rule="of_this_partner")
    if (
        known is not None
        and event.type is PartnerWord.FULFILLED
        and not 1 <= event.fulfilled_quantity <= known.quantity
    ):
        raise InvalidValue(field="fulfilled_quantity", rule="within_order")
    new = await store.insert_event(
        uow,
        partner_id=said_by.id,
        event_id=event.event_id,
        redemption_id=event.redemption_id,
        kind=event.type.value,
        quantity=event.fulfilled_quantity if event.type is PartnerWord.FULFILLED else None,
        occurred_at=event.occurred_at,
        outcome=event.outcome,
    )
    if known is None:
        log.warning("event_about_unknown_redemption", partner=event.partner, event_id=str(event.event_id))
    elif new and event.type in service.HEARD:
        await outbox.add(uow, service.HEARD[event.type], event.redemption_id)
    return new


async def forget_nonces(uow: UnitOfWork) -> int:
    """Drop the nonces whose signatures are refused for their age by now; return how many."""
    # A signature made a window ahead of our clock stays good for one window more; one is for good measure.
    return await store.forget_nonces(uow, before=uow.clock.now() - timedelta(seconds=3 * WINDOW_SECONDS))


def _read(body: bytes) -> PartnerEvent:
    try:
        return msgspec.json.decode(body, type=PartnerEvent)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidValue(field="body", rule="json") from None


def _invalid(said: str) -> InvalidValue:
    for words, rule in (("missing required field", "required"), ("contains unknown field", "unknown_field")):
        if named := re.search(rf"{words} `(.*?)`", said):
            return InvalidValue(field=named.group(1), rule=rule)
    place = re.search(r" - at `\$\.(.*)`\Z", said)
    return InvalidValue(field=place.group(1) if place else "body", rule="as_agreed")
