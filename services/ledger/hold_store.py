"""Holds in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import tuple_
from sqlmodel import col, select

from pointsbank.domain.errors import NotFound
from pointsbank.domain.hold import Hold, HoldState
from pointsbank.domain.points import MilliPoints
from pointsbank.platform.database import UnitOfWork
from services.ledger.tables import HoldRow


async def insert(
    uow: UnitOfWork, hold: Hold, *, policy_version: int, source_id: UUID, opened_by: int
) -> None:
    """Write a hold that has just been opened. opened_by: the number of its entry."""
    uow.session.add(
        HoldRow(
            community_id=uow.community_id,
            id=hold.id,
            member_ref=hold.member,
            partner_ref=hold.partner,
            amount=hold.amount,
            captured=hold.captured,
            state=hold.state.value,
            policy_version=policy_version,
            source_id=source_id,
            opened_at=uow.clock.now(),
            expires_at=hold.expires_at,
            opened_by=opened_by,
        )
    )
    await uow.session.flush()


async def insert_many(uow: UnitOfWork, holds: Sequence[tuple[Hold, int, UUID, datetime, int]]) -> None:
    """Write open holds: (hold, policy version, source, opened at, opening entry's number) each."""
    connection = await uow.connection()
    taken, policies, sources, opened, numbers = (list(column) for column in zip(*holds, strict=True))
    await connection.execute(
        """
        INSERT INTO bank.holds (community_id, id, member_ref, partner_ref, amount, captured, state,
                                policy_version, source_id, opened_at, expires_at, opened_by)
        SELECT $1, u.id, u.member, u.partner, u.amount, 0, 'open', u.policy, u.source, u.opened,
               u.expires, u.by
          FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::integer[], $7::uuid[],
                      $8::timestamptz[], $9::timestamptz[], $10::bigint[])
               AS u(id, member, partner, amount, policy, source, opened, expires, by)
        """,
        uow.community_id,
        [hold.id for hold in taken],
        [hold.member for hold in taken],
        [hold.partner for hold in taken],
        [hold.amount for hold in taken],
        policies,
        sources,
        opened,
        [hold.expires_at for hold in taken],
        numbers,
    )


async def save_many(uow: UnitOfWork, holds: Sequence[tuple[Hold, datetime, int]]) -> None:
    """Write how open holds ended: (hold as ended, ended at, last entry's number) each."""
    connection = await uow.connection()
    taken, ended, numbers = (list(column) for column in zip(*holds, strict=True))
    await connection.execute(
        """
        UPDATE bank.holds h SET state = u.state, captured = u.captured, ended_at = u.ended, ended_by = u.by
          FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[])
               AS u(id, state, captured, ended, by)
         WHERE h.community_id = $1 AND h.id = u.id
        """,
        uow.community_id,
        [hold.id for hold in taken],
        [hold.state.value for hold in taken],
        [hold.captured for hold in taken],
        ended,
        numbers,
    )


async def lock(uow: UnitOfWork, hold_id: UUID) -> tuple[Hold, int, UUID]:
    """Lock a hold and return it with its policy version and source. Raises NotFound."""
    query = (
        select(HoldRow)
        .where(HoldRow.community_id == uow.community_id, HoldRow.id == hold_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = (await uow.session.exec(query)).one_or_none()
    if row is None:
        raise NotFound(what="hold")
    return _hold(row), row.policy_version, row.source_id


async def lock_many(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    """Lock holds in order of id."""
    connection = await uow.connection()
    await connection.fetch(
        "SELECT id FROM bank.holds WHERE community_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR UPDATE",
        uow.community_id,
        list(ids),
    )


async def overdue(
    uow: UnitOfWork, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[tuple[datetime, UUID]]:
    """Return (expired at, id) of open holds whose time has passed, the oldest first."""
    query = (
        select(HoldRow.expires_at, HoldRow.id)
        .where(
            HoldRow.community_id == uow.community_id,
            HoldRow.state == HoldState.OPEN.value,
            HoldRow.expires_at <= uow.clock.now(),
        )
        .order_by(col(HoldRow.expires_at), col(HoldRow.id))
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(col(HoldRow.expires_at), col(HoldRow.id)) > after)
    return [(expired, hold_id) for expired, hold_id in await uow.session.exec(query)]


async def save(uow: UnitOfWork, hold: Hold, *, ended_by: int) -> None:
    """Write how a locked hold ended. ended_by: the number of its last entry."""
    row = await uow.session.get_one(HoldRow, (uow.community_id, hold.id))
    row.state = hold.state.value
    row.captured = hold.captured
    row.ended_at = uow.clock.now()
    row.ended_by = ended_by
    await uow.session.flush()


def _hold(row: HoldRow) -> Hold:
    return Hold(
        id=row.id,
        member=row.member_ref,
        partner=row.partner_ref,
        amount=MilliPoints(row.amount),
        expires_at=row.expires_at,
        state=HoldState(row.state),
        captured=MilliPoints(row.captured),
    )


async def ended_by(uow: UnitOfWork, hold_id: UUID) -> int | None:
    """Return the number of the entry that ended a hold; None while it is open."""
    query = select(HoldRow.ended_by).where(HoldRow.community_id == uow.community_id, HoldRow.id == hold_id)
    return (await uow.session.exec(query)).one()
