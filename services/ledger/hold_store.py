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


async def insert(uow: UnitOfWork, hold: Hold, *, policy_version: int, source_id: UUID) -> None:
    """Write a hold that has just been opened."""
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
        )
    )
    await uow.session.flush()


async def insert_ended(uow: UnitOfWork, holds: Sequence[tuple[Hold, int, UUID, datetime, datetime]]) -> None:
    """Write holds that already ended: (hold, policy version, source, opened at, ended at) each."""
    connection = await uow.connection()
    columns = list(zip(*holds, strict=True)) if holds else [()] * 5
    taken: Sequence[Hold] = columns[0]
    await connection.execute(
        """
        INSERT INTO bank.holds (community_id, id, member_ref, partner_ref, amount, captured, state,
                                policy_version, source_id, opened_at, expires_at, ended_at)
        SELECT $1, u.*
          FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[],
                      $8::integer[], $9::uuid[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
               AS u(id, member, partner, amount, captured, state, policy, source, opened, expires, ended)
        """,
        uow.community_id,
        [hold.id for hold in taken],
        [hold.member for hold in taken],
        [hold.partner for hold in taken],
        [hold.amount for hold in taken],
        [hold.captured for hold in taken],
        [hold.state.value for hold in taken],
        list(columns[1]),
        list(columns[2]),
        list(columns[3]),
        [hold.expires_at for hold in taken],
        list(columns[4]),
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


async def save(uow: UnitOfWork, hold: Hold) -> None:
    """Write how a locked hold ended."""
    row = await uow.session.get_one(HoldRow, (uow.community_id, hold.id))
    row.state = hold.state.value
    row.captured = hold.captured
    row.ended_at = uow.clock.now()
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
