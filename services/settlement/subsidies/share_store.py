"""Rows of frozen splits and of what went back of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.subsidy.payers import Meal, Payer, Share
from pointsbank.platform.database import UnitOfWork

PAYERS = tuple(Payer)


@dataclass(frozen=True, slots=True)
class NewMeal:
    """A split to write. Its redemption must be there."""

    redemption_id: UUID
    meal: Meal
    tier: str | None
    policy_version: int
    at: datetime
    shares: tuple[Share, ...]


async def insert_meals(uow: UnitOfWork, meals: Sequence[NewMeal]) -> None:
    """Write splits and their shares."""
    if not meals:
        return
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.meals (community_id, redemption_id, meal, tier, policy_version, frozen_at)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::text[], $4::text[], $5::int[], $6::timestamptz[]) AS u
        """,
        uow.community_id,
        [meal.redemption_id for meal in meals],
        [meal.meal.value for meal in meals],
        [meal.tier for meal in meals],
        [meal.policy_version for meal in meals],
        [meal.at for meal in meals],
    )
    rows = [(meal.redemption_id, share) for meal in meals for share in meal.shares]
    await connection.execute(
        """
        INSERT INTO bank.meal_shares (community_id, redemption_id, payer, fen, place)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[]) AS u
        """,
        uow.community_id,
        [redemption_id for redemption_id, _ in rows],
        [share.payer.value for _, share in rows],
        [share.fen for _, share in rows],
        [share.place for _, share in rows],
    )


async def shares_of(uow: UnitOfWork, redemption_ids: Collection[UUID]) -> dict[UUID, tuple[Share, ...]]:
    """Return the frozen shares of those redemptions that are meals, in the order of payers."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT redemption_id, payer, fen, place FROM bank.meal_shares
         WHERE community_id = $1 AND redemption_id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(redemption_ids),
    )
    found: dict[UUID, list[Share]] = {}
    for row in rows:
        share = Share(Payer(row["payer"]), row["fen"], row["place"])
        found.setdefault(row["redemption_id"], []).append(share)
    return {each: _in_order(parts) for each, parts in found.items()}


async def subsidised(
    uow: UnitOfWork, member_ids: Collection[UUID], from_: date, to: date
) -> set[tuple[UUID, date, Meal]]:
    """Return which meals members have had subsidised, or are to have, over [from_, to]."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT member_id, business_date, subsidised_meal FROM bank.redemptions
         WHERE community_id = $1 AND member_id = ANY ($2::uuid[]) AND business_date BETWEEN $3 AND $4
           AND subsidised_meal IS NOT NULL AND state NOT IN ('refused', 'cancelled', 'lapsed')
        """,
        uow.community_id,
        list(member_ids),
        from_,
        to,
    )
    return {(row["member_id"], row["business_date"], Meal(row["subsidised_meal"])) for row in rows}


async def refunded(uow: UnitOfWork, redemption_id: UUID) -> dict[UUID, tuple[Share, ...]]:
    """Return what went back of a meal, by refund."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT b.id, b.payer, b.fen, s.place FROM bank.meal_refunds b
          JOIN bank.meal_shares s ON s.community_id = b.community_id AND s.redemption_id = b.redemption_id
                                 AND s.payer = b.payer
         WHERE b.community_id = $1 AND b.redemption_id = $2 ORDER BY b.recorded_at, b.id
        """,
        uow.community_id,
        redemption_id,
    )
    found: dict[UUID, tuple[Share, ...]] = {}
    for row in rows:
        share = Share(Payer(row["payer"]), row["fen"], row["place"])
        found[row["id"]] = _in_order((*found.get(row["id"], ()), share))
    return found


def _in_order(shares: Iterable[Share]) -> tuple[Share, ...]:
    return tuple(sorted(shares, key=lambda share: PAYERS.index(share.payer)))


async def insert_refund(
    uow: UnitOfWork,
    refund_id: UUID,
    redemption_id: UUID,
    *,
    recorded_on: date,
    back: Sequence[Share],
    left: Sequence[int],
) -> None:
    """Write what each payer gets back. left: what is then left of each one's share, in order."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.meal_refunds (community_id, id, payer, redemption_id, fen, left_fen, recorded_on,
                                       recorded_at)
        SELECT $1, $2, u.payer, $3, u.fen, u.left_fen, $4, $5
          FROM unnest($6::text[], $7::bigint[], $8::bigint[]) AS u(payer, fen, left_fen)
        """,
        uow.community_id,
        refund_id,
        redemption_id,
        recorded_on,
        uow.clock.now(),
        [share.payer.value for share in back],
        [share.fen for share in back],
        list(left),
    )
