"""Partners, redemptions and partners' events in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import PartnerWord, RedemptionState
from pointsbank.platform.database import UnitOfWork
from services.settlement.tables import Partner, PartnerEvent, PartnerNonce, Redemption
from services.settlement.views import PartnerInfo, RedemptionInfo

PARTNER_NAMESPACE = UUID("0b0d6e5e-2a3c-5d4f-9d53-2f6f0c1b7a40")

GIVEN_BACK = (RedemptionState.REFUSED, RedemptionState.CANCELLED, RedemptionState.LAPSED)
"""Endings that do not count toward a day's limit."""


@dataclass(frozen=True, slots=True)
class NewRedemption:
    """A redemption to write. A bulk record is written fulfilled, with ``captured_on``."""

    id: UUID
    member_id: UUID
    requested_by: UUID
    partner_id: UUID
    item: str
    quantity: int
    milli_points: int
    fen: int
    business_date: date
    voucher: str
    at: datetime
    state: RedemptionState = RedemptionState.HELD
    captured_on: date | None = None
    subsidised_meal: str | None = None


async def add_partners(uow: UnitOfWork, names: Mapping[PartnerCode, str]) -> list[UUID]:
    """Write partners that are not there yet; return the ids of all of ``names``, in order.

    An id is derived from community and code, so that it is the same wherever the community is built.
    """
    ids = [uuid5(PARTNER_NAMESPACE, f"{uow.community_id}:{code}") for code in names]
    rows = [
        {"community_id": uow.community_id, "id": partner_id, "code": code.value, "name": name}
        for partner_id, (code, name) in zip(ids, names.items(), strict=True)
    ]
    await uow.session.exec(insert(Partner).on_conflict_do_nothing(), params=rows)
    return ids


async def partners(uow: UnitOfWork) -> list[PartnerInfo]:
    """Return the community's partners in order of code."""
    query = select(Partner).where(Partner.community_id == uow.community_id).order_by(Partner.code)
    return [PartnerInfo(row.id, row.code, row.name) for row in await uow.session.exec(query)]


async def insert_redemption(uow: UnitOfWork, new: NewRedemption) -> bool:
    """Write a redemption; False when its voucher is taken that day. Its hold must be there."""
    found = await uow.session.exec(
        insert(Redemption)
        .values(_values(uow, new))
        .on_conflict_do_nothing(index_elements=["community_id", "partner_id", "business_date", "voucher"])
        .returning(col(Redemption.id))
    )
    return found.scalar_one_or_none() is not None


async def insert_redemptions(uow: UnitOfWork, new: Sequence[NewRedemption]) -> None:
    """Write many redemptions. Their holds must be there."""
    if new:
        await uow.session.exec(insert(Redemption), params=[_values(uow, each) for each in new])


def _values(uow: UnitOfWork, new: NewRedemption) -> dict[str, Any]:
    return {
        "community_id": uow.community_id,
        "id": new.id,
        "member_id": new.member_id,
        "requested_by": new.requested_by,
        "partner_id": new.partner_id,
        "item": new.item,
        "quantity": new.quantity,
        "milli_points": new.milli_points,
        "fen": new.fen,
        "business_date": new.business_date,
        "voucher": new.voucher,
        "state": new.state.value,
        "reason": None,
        "partner_reference": None,
        "captured_on": new.captured_on,
        "served": new.quantity if new.captured_on is not None else None,
        "subsidised_meal": new.subsidised_meal,
        "created_at": new.at,
        "updated_at": new.at,
    }


async def redemption(uow: UnitOfWork, redemption_id: UUID, *, lock: bool = False) -> RedemptionInfo | None:
    """Return a redemption, locked until the unit of work ends when asked for, or None."""
    query = select(Redemption).where(
        Redemption.community_id == uow.community_id, Redemption.id == redemption_id
    )
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = (await uow.session.exec(query)).one_or_none()
    return _info(row, await _codes(uow)) if row is not None else None


async def redemptions(
    uow: UnitOfWork,
    *,
    member_id: UUID | None = None,
    ids: Sequence[UUID] | None = None,
    state: RedemptionState | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[RedemptionInfo]:
    """Return redemptions, the newest first; ``before``: only those older than that one."""
    query = select(Redemption).where(Redemption.community_id == uow.community_id)
    if member_id is not None:
        query = query.where(Redemption.member_id == member_id)
    if ids is not None:
        query = query.where(col(Redemption.id).in_(ids))
    if state is not None:
        query = query.where(Redemption.state == state.value)
    if before is not None:
        query = query.where(col(Redemption.id) < before)
    codes = await _codes(uow)
    rows = await uow.session.exec(query.order_by(col(Redemption.id).desc()).limit(limit))
    return [_info(row, codes) for row in rows]


async def change(uow: UnitOfWork, redemption_id: UUID, **values: Any) -> None:
    """Change columns of a redemption that the unit of work has locked."""
    row = await uow.session.get_one(Redemption, (uow.community_id, redemption_id))
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = uow.clock.now()
    await uow.session.flush()


async def taken(
    uow: UnitOfWork, member_ids: Sequence[UUID], from_: date, to: date
) -> dict[tuple[UUID, UUID, str, date], int]:
    """Return how many of an item members have, by (member, partner, item, day), over [from_, to]."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT member_id, partner_id, item, business_date, sum(quantity)::integer AS quantity
          FROM bank.redemptions
         WHERE community_id = $1 AND member_id = ANY ($2::uuid[]) AND business_date BETWEEN $3 AND $4
           AND state <> ALL ($5::text[])
         GROUP BY member_id, partner_id, item, business_date
        """,
        uow.community_id,
        member_ids,
        from_,
        to,
        [state.value for state in GIVEN_BACK],
    )
    return {
        (row["member_id"], row["partner_id"], row["item"], row["business_date"]): row["quantity"]
        for row in rows
    }


async def known_ids(uow: UnitOfWork, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of ``ids`` that are redemptions of the community."""
    query = select(Redemption.id).where(
        Redemption.community_id == uow.community_id, col(Redemption.id).in_(ids)
    )
    return set((await uow.session.exec(query)).all())


async def take_silent(uow: UnitOfWork, *, after: timedelta, at_most: timedelta, limit: int) -> list[UUID]:
    """Return accepted redemptions that nobody has spoken of for a while, and note that they are asked about.

    The wait doubles with every asking, from ``after`` to ``at_most``, so that a meal ordered for the evening
    is not asked about all day.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.redemptions r SET updated_at = $2
          FROM (SELECT id FROM bank.redemptions
                 WHERE community_id = $1 AND state = 'accepted'
                   AND updated_at <= $2::timestamptz - least($4, greatest($3, updated_at - created_at))
                 ORDER BY created_at LIMIT $5 FOR UPDATE SKIP LOCKED) silent
         WHERE r.community_id = $1 AND r.id = silent.id
        RETURNING r.id
        """,
        uow.community_id,
        uow.clock.now(),
        after,
        at_most,
        limit,
    )
    return [row["id"] for row in rows]


async def lock_redemptions(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    """Lock redemptions until the unit of work ends, in order of id."""
    connection = await uow.connection()
    await connection.fetch(
        "SELECT id FROM bank.redemptions WHERE community_id = $1 AND id = ANY($2::uuid[])"
        " ORDER BY id FOR UPDATE",
        uow.community_id,
        list(ids),
    )


async def remember_nonce(uow: UnitOfWork, partner: str, nonce: str) -> bool:
    """Remember a nonce; False when it was seen before."""
    added = await uow.session.exec(
        insert(PartnerNonce)
        .values(community_id=uow.community_id, partner=partner, nonce=nonce, seen_at=uow.clock.now())
        .on_conflict_do_nothing()
        .returning(col(PartnerNonce.nonce))
    )
    return added.scalar_one_or_none() is not None


async def forget_nonces(uow: UnitOfWork, *, before: datetime) -> int:
    """Drop nonces seen before a moment; return how many."""
    connection = await uow.connection()
    status: str = await connection.execute(
        "DELETE FROM bank.partner_nonces WHERE community_id = $1 AND seen_at < $2", uow.community_id, before
    )
    return int(status.rpartition(" ")[2])


async def insert_event(
    uow: UnitOfWork,
    *,
    partner_id: UUID,
    event_id: UUID,
    redemption_id: UUID,
    kind: str,
    quantity: int | None,
    occurred_at: datetime,
    outcome: str | None = None,
) -> bool:
    """Keep a partner's event; False when it was kept before."""
    added = await uow.session.exec(
        insert(PartnerEvent)
        .values(
            community_id=uow.community_id,
            partner_id=partner_id,
            event_id=event_id,
            redemption_id=redemption_id,
            kind=kind,
            quantity=quantity,
            occurred_at=occurred_at,
            outcome=outcome,
            received_at=uow.clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(col(PartnerEvent.event_id))
    )
    return added.scalar_one_or_none() is not None


async def told_at(
    uow: UnitOfWork, redemption_id: UUID, *, partner_id: UUID, word: PartnerWord
) -> datetime | None:
    """Return when a partner's event with this ``word`` first reached us, by our own clock; None: never."""
    query = select(func.min(PartnerEvent.received_at)).where(
        PartnerEvent.community_id == uow.community_id,
        PartnerEvent.redemption_id == redemption_id,
        PartnerEvent.partner_id == partner_id,
        PartnerEvent.kind == word.value,
    )
    return (await uow.session.exec(query)).one()


async def told_quantity(uow: UnitOfWork, redemption_id: UUID, *, partner_id: UUID) -> int | None:
    """Return how many a partner's first event of the hand-over said there were; None: it said nothing."""
    query = (
        select(PartnerEvent.quantity)
        .where(
            PartnerEvent.community_id == uow.community_id,
            PartnerEvent.redemption_id == redemption_id,
            PartnerEvent.partner_id == partner_id,
            PartnerEvent.kind == PartnerWord.FULFILLED.value,
        )
        .order_by(col(PartnerEvent.received_at), col(PartnerEvent.event_id))
        .limit(1)
    )
    return (await uow.session.exec(query)).first()


async def told_outcome(
    uow: UnitOfWork, redemption_id: UUID, *, partner_id: UUID, word: PartnerWord
) -> str | None:
    """Return how a partner's latest event with this ``word`` says it came to this; None: it did not say."""
    query = (
        select(PartnerEvent.outcome)
        .where(
            PartnerEvent.community_id == uow.community_id,
            PartnerEvent.redemption_id == redemption_id,
            PartnerEvent.partner_id == partner_id,
            PartnerEvent.kind == word.value,
        )
        .order_by(col(PartnerEvent.received_at).desc(), col(PartnerEvent.event_id).desc())
        .limit(1)
    )
    return (await uow.session.exec(query)).first()


async def _codes(uow: UnitOfWork) -> dict[UUID, str]:
    return {partner.id: partner.code for partner in await partners(uow)}


def _info(row: Redemption, codes: Mapping[UUID, str]) -> RedemptionInfo:
    return RedemptionInfo(
        id=row.id,
        member_id=row.member_id,
        requested_by=row.requested_by,
        partner_id=row.partner_id,
        partner=codes[row.partner_id],
        item=row.item,
        quantity=row.quantity,
        milli_points=row.milli_points,
        fen=row.fen,
        business_date=row.business_date,
        voucher=row.voucher,
        state=RedemptionState(row.state),
        reason=row.reason,
        partner_reference=row.partner_reference,
        captured_on=row.captured_on,
        served=row.served,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
