"""Settlement batches, reconciliations, and the differences somebody must resolve."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import may
from api.dependencies import SignedIn, change, read
from api.http.wire import PAGE_DEFAULT, AfterId, Asked, Day, Digest, Limit, Told, text
from api.idempotency import KEYED
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.domain.settlement import BatchState, DifferenceKind, LineKind
from pointsbank.platform.database import UnitOfWork
from services.settlement import batches, reconciliation
from services.settlement.views import BatchInfo, BatchStanding

RESOLUTION_MAX = 500


class DifferenceFilter(StrEnum):
    """Which differences to list."""

    ALL = "all"
    OPEN = "open"


class SignatureAnswer(Told):
    """One person's signature under a batch."""

    signed_by: UUID
    signed_at: datetime


class PaymentAnswer(Told):
    """That a batch was paid: the bank's reference and the local day."""

    reference: str
    paid_on: date
    noted_by: UUID
    noted_at: datetime


class SettlementBatchAnswer(Told):
    """A frozen batch. ``fen``: the prices, as the partner's statement has them; ``cash_fen`` of them was
    taken at its counter.

    ``due_fen`` is to be paid: ``subsidy_fen`` by city, district and town, ``community_fen`` by the community.
    ``content_hash``: SHA-256 over its lines by redemption and kind. ``entry_number`` is null where captures
    and corrections come to nothing. ``state``: frozen, approved once two have signed, then paid.
    """

    id: UUID
    partner: str
    business_date: date
    sequence: int
    frozen_at: datetime
    lines: int
    milli_points: int
    fen: int
    subsidy_fen: int
    cash_fen: int
    due_fen: int
    community_fen: int
    content_hash: Digest
    entry_number: int | None
    state: BatchState
    signatures: list[SignatureAnswer]
    payment: PaymentAnswer | None


class SettlementBatchPage(Told):
    """Batches, newest first. ``next_after`` is null on the last page."""

    items: list[SettlementBatchAnswer]
    next_after: UUID | None


class SettlementLineAnswer(Told):
    """One line of a batch: a capture, or a correction below zero; ``service_date``: when it was served."""

    redemption_id: UUID
    kind: LineKind
    service_date: date
    milli_points: int
    fen: int
    subsidy_fen: int
    cash_fen: int


class SettlementLinePage(Told):
    """A batch's lines by redemption, of ``limit`` redemptions. ``next_after`` is null on the last page."""

    items: list[SettlementLineAnswer]
    next_after: UUID | None


class ReconciliationAnswer(Told):
    """One comparison of a day with a partner's statement."""

    id: UUID
    partner: str
    business_date: date
    compared_at: datetime
    lines_here: int
    lines_there: int
    differences: int


class ReconciliationPage(Told):
    """Comparisons, newest first. ``next_after`` is null on the last page."""

    items: list[ReconciliationAnswer]
    next_after: UUID | None


class DifferenceAnswer(Told):
    """A named difference. ``vanished``: the day's latest comparison no longer saw it."""

    id: UUID
    partner: str
    business_date: date
    redemption_id: UUID
    kind: DifferenceKind
    milli_points_here: int | None
    milli_points_there: int | None
    fen_here: int | None
    fen_there: int | None
    found_at: datetime
    resolved_at: datetime | None
    resolved_by: UUID | None
    resolution: str | None
    vanished: bool


class DifferencePage(Told):
    """Differences, newest first. ``next_after`` is null on the last page."""

    items: list[DifferenceAnswer]
    next_after: UUID | None


class Resolve(Asked):
    """Why a difference is closed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resolution": "The canteen served it twice and takes one back."}]}
    )
    resolution: Annotated[str, text(RESOLUTION_MAX)]


class Paid(Asked):
    """How a batch was paid. ``paid_on``: the local day."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reference": "2026-11-0042", "paid_on": "2026-11-30"}]}
    )
    reference: Annotated[str, text(60)]
    paid_on: Day


@get("/settlement-batches", opt=may(*READERS), operation_id="list_settlement_batches")
async def list_batches(
    request: SignedIn, after: AfterId = None, limit: Limit = PAGE_DEFAULT
) -> SettlementBatchPage:
    """List frozen batches, newest first."""

    async def work(uow: UnitOfWork, _actor: Actor) -> SettlementBatchPage:
        found = await batches.batches(uow, after=after, limit=limit)
        standings = await batches.standings(uow, [batch.id for batch in found])
        items = [_batch(batch, standings[batch.id]) for batch in found]
        return SettlementBatchPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


def _batch(batch: BatchInfo, standing: BatchStanding) -> SettlementBatchAnswer:
    return SettlementBatchAnswer(
        **asdict(batch),
        due_fen=batch.due_fen,
        community_fen=batch.community_fen,
        state=standing.state,
        signatures=[SignatureAnswer.of(each) for each in standing.signatures],
        payment=None if standing.payment is None else PaymentAnswer.of(standing.payment),
    )


@post(
    "/settlement-batches/{batch_id:uuid}/sign",
    opt=may(*READERS) | KEYED,
    operation_id="sign_settlement_batch",
    status_code=200,
)
async def sign(request: SignedIn, batch_id: FromPath[UUID]) -> Response[SettlementBatchAnswer]:
    """Sign a batch. The second person who does approves it."""

    async def work(uow: UnitOfWork, actor: Actor) -> SettlementBatchAnswer:
        standing = await batches.sign(uow, actor, batch_id)
        return _batch(await batches.batch(uow, batch_id), standing)

    return await change(request, work)


@post(
    "/settlement-batches/{batch_id:uuid}/paid",
    opt=may(*STAFF) | KEYED,
    operation_id="note_settlement_batch_paid",
    status_code=200,
)
async def paid(
    request: SignedIn, batch_id: FromPath[UUID], data: JSONBody[Paid]
) -> Response[SettlementBatchAnswer]:
    """Note that an approved batch was paid."""

    async def work(uow: UnitOfWork, actor: Actor) -> SettlementBatchAnswer:
        standing = await batches.note_paid(
            uow, actor, batch_id, reference=data.reference, paid_on=data.paid_on
        )
        return _batch(await batches.batch(uow, batch_id), standing)

    return await change(request, work)


@get(
    "/settlement-batches/{batch_id:uuid}/lines",
    opt=may(*READERS),
    operation_id="list_settlement_lines",
)
async def list_lines(
    request: SignedIn, batch_id: FromPath[UUID], after: AfterId = None, limit: Limit = PAGE_DEFAULT
) -> SettlementLinePage:
    """List a batch's redemptions."""

    async def work(uow: UnitOfWork, _actor: Actor) -> SettlementLinePage:
        found = await batches.batch_lines(uow, batch_id, after=after, limit=limit)
        items = [SettlementLineAnswer.of(line) for line in found]
        whole = len({item.redemption_id for item in items}) == limit
        return SettlementLinePage(items=items, next_after=items[-1].redemption_id if whole else None)

    return await read(request, work)


@get("/reconciliations", opt=may(*READERS), operation_id="list_reconciliations")
async def list_reconciliations(
    request: SignedIn, after: AfterId = None, limit: Limit = PAGE_DEFAULT
) -> ReconciliationPage:
    """List comparisons with partners' statements, newest first."""

    async def work(uow: UnitOfWork, _actor: Actor) -> ReconciliationPage:
        found = await reconciliation.reconciliations(uow, after=after, limit=limit)
        items = [ReconciliationAnswer.of(each) for each in found]
        return ReconciliationPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@get("/reconciliation-differences", opt=may(*READERS), operation_id="list_differences")
async def list_differences(
    request: SignedIn,
    show: Annotated[DifferenceFilter, QueryParameter(description="which ones")] = DifferenceFilter.ALL,
    after: AfterId = None,
    limit: Limit = PAGE_DEFAULT,
) -> DifferencePage:
    """List differences, newest first."""

    async def work(uow: UnitOfWork, _actor: Actor) -> DifferencePage:
        found = await reconciliation.differences(
            uow, only_open=show is DifferenceFilter.OPEN, after=after, limit=limit
        )
        items = [DifferenceAnswer.of(each) for each in found]
        return DifferencePage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@post(
    "/reconciliation-differences/{difference_id:uuid}/resolve",
    opt=may(*STAFF),
    operation_id="resolve_difference",
    status_code=200,
)
async def resolve(
    request: SignedIn, difference_id: FromPath[UUID], data: JSONBody[Resolve]
) -> Response[DifferenceAnswer]:
    """Close a difference, with the reason."""

    async def work(uow: UnitOfWork, actor: Actor) -> DifferenceAnswer:
        return DifferenceAnswer.of(
            await reconciliation.resolve_difference(uow, actor, difference_id, data.resolution)
        )

    return await change(request, work)


router = Router(
    "/",
    route_handlers=[
        list_batches,
        list_lines,
        sign,
        paid,
        list_reconciliations,
        list_differences,
        resolve,
    ],
    tags=["settlement"],
)
