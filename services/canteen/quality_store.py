"""Rows of ratings, complaints and the month's report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pointsbank.platform.database import UnitOfWork
from services.canteen.rules import Outcome
from services.canteen.sheet_store import orders
from services.canteen.tables import complaints, outcomes, ratings
from services.partnerkit.redemption import Status
from services.partnerkit.store import execute

COMPLAINTS_MAX = 200


@dataclass(frozen=True, slots=True)
class Complaint:
    """A complaint about a meal. answer_by: the last day for the answer. upheld: None until it is answered."""

    redemption_id: UUID
    words: str
    filed_at: datetime
    answer_by: date
    answer: str | None
    upheld: bool | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class ComplainedOf:
    """A complaint and the meal it is about."""

    complaint: Complaint
    business_date: date
    voucher: str | None
    item: str
    dish: str | None


@dataclass(frozen=True, slots=True)
class DishMonth:
    """A dish (a set where none was chosen) in one month. scores: how many said 1 (poor), 2, 3 (good)."""

    item: str
    dish: str | None
    portions: int
    scores: tuple[int, int, int]
    complaints: int
    upheld: int
    substituted: int
    not_taken: int

    @property
    def rated(self) -> int:
        """How many were rated."""
        return sum(self.scores)

    @property
    def good_percent(self) -> int | None:
        """Share of the best score in whole percent, rounded down; None when nobody rated."""
        return self.scores[2] * 100 // self.rated if self.rated else None


async def rate(uow: UnitOfWork, redemption_id: UUID, score: int) -> None:
    """Write how an order was liked; said again, the later word stands."""
    values = {"score": score, "rated_at": uow.clock.now()}
    await execute(
        uow.session,
        insert(ratings)
        .values(community_id=uow.community_id, redemption_id=redemption_id, **values)
        .on_conflict_do_update(index_elements=["community_id", "redemption_id"], set_=values),
    )


async def file(uow: UnitOfWork, redemption_id: UUID, words: str, *, answer_by: date) -> bool:
    """Write a complaint; False when one about this order stands already."""
    added = await execute(
        uow.session,
        insert(complaints)
        .values(
            community_id=uow.community_id,
            redemption_id=redemption_id,
            words=words,
            filed_at=uow.clock.now(),
            answer_by=answer_by,
        )
        .on_conflict_do_nothing(),
    )
    return added.rowcount == 1


async def complaint(uow: UnitOfWork, redemption_id: UUID, *, lock: bool = False) -> Complaint | None:
    """Return the complaint about an order, locked when asked for, or None."""
    query = select(*(complaints.c[name] for name in Complaint.__slots__)).where(
        complaints.c.community_id == uow.community_id, complaints.c.redemption_id == redemption_id
    )
    found = await execute(uow.session, query.with_for_update() if lock else query)
    row = found.mappings().one_or_none()
    return Complaint(**row) if row else None


async def answer(uow: UnitOfWork, redemption_id: UUID, words: str, *, upheld: bool) -> None:
    """Write the answer to a complaint."""
    await execute(
        uow.session,
        update(complaints)
        .where(complaints.c.community_id == uow.community_id, complaints.c.redemption_id == redemption_id)
        .values(answer=words, upheld=upheld, answered_at=uow.clock.now()),
    )


async def waiting(uow: UnitOfWork) -> list[ComplainedOf]:
    """Return the complaints without an answer, the most pressing first, COMPLAINTS_MAX at most."""
    found = await execute(
        uow.session,
        select(
            *(complaints.c[name] for name in Complaint.__slots__),
            *(orders.c[name] for name in ("business_date", "voucher", "item", "dish")),
        )
        .select_from(
            complaints.join(
                orders,
                and_(
                    orders.c.community_id == complaints.c.community_id,
                    orders.c.redemption_id == complaints.c.redemption_id,
                ),
            )
        )
        .where(complaints.c.community_id == uow.community_id, complaints.c.answered_at.is_(None))
        .order_by(complaints.c.answer_by, complaints.c.filed_at)
        .limit(COMPLAINTS_MAX),
    )
    return [
        ComplainedOf(
            Complaint(**{name: row[name] for name in Complaint.__slots__}),
            row["business_date"],
            row["voucher"],
            row["item"],
            row["dish"],
        )
        for row in found.mappings()
    ]


async def report(uow: UnitOfWork, first: date, last: date) -> list[DishMonth]:
    """Return what was served from ``first`` to ``last`` by dish, the most served first."""
    of_order = [
        and_(table.c.community_id == orders.c.community_id, table.c.redemption_id == orders.c.redemption_id)
        for table in (ratings, complaints, outcomes)
    ]
    untaken = outcomes.c.outcome.in_((Outcome.NOT_HOME.value, Outcome.REFUSED.value))
    served = (orders.c.status == Status.FULFILLED.value) & untaken.is_not(True)
    portions = func.coalesce(func.sum(orders.c.quantity).filter(served), 0)
    found = await execute(
        uow.session,
        select(
            orders.c.item,
            orders.c.dish,
            portions.label("portions"),
            *(func.count().filter(ratings.c.score == score) for score in (1, 2, 3)),
            func.count(complaints.c.redemption_id),
            func.count().filter(complaints.c.upheld),
            func.count().filter(outcomes.c.outcome == Outcome.SUBSTITUTED.value),
            func.count().filter(untaken),
        )
        .select_from(
            orders.outerjoin(ratings, of_order[0])
            .outerjoin(complaints, of_order[1])
            .outerjoin(outcomes, of_order[2])
        )
        .where(
            orders.c.community_id == uow.community_id,
            orders.c.business_date.between(first, last),
            (orders.c.status == Status.FULFILLED.value) | outcomes.c.outcome.is_not(None),
        )
        .group_by(orders.c.item, orders.c.dish)
        .order_by(portions.desc(), orders.c.item, orders.c.dish),
    )
    return [DishMonth(row[0], row[1], row[2], (row[3], row[4], row[5]), *row[6:]) for row in found]
