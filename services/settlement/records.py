"""Redemptions from paper and for a demo world: already served, recorded in bulk.

Each becomes a hold and its capture, like any other, at the moment it happened. The same record twice is one
redemption: its id is derived from what it says. The caller also hands them to the partner's bulk intake
(:meth:`PartnerClient.take_in`), so that both books agree.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from uuid import UUID

from pointsbank.domain import redemption as rules
from pointsbank.domain.errors import DomainError, InvalidValue, NotFound
from pointsbank.domain.hold import Hold
from pointsbank.domain.journal import Origin, SourceKind
from pointsbank.domain.policy import Policy
from pointsbank.domain.redemption import RedemptionState
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.ledger import holds as ledger_holds
from services.ledger import service as ledger
from services.ledger.verdicts import recorded
from services.ledger.views import VerdictKind
from services.people import service as people
from services.settlement import service, store
from services.settlement.store import NewRedemption
from services.settlement.subsidies import freezing, share_store
from services.settlement.subsidies.freezing import Diners, Quote
from services.settlement.views import (
    OutcomeKind,
    PartnerInfo,
    PastRedemption,
    RedemptionInfo,
    RedemptionOutcome,
)

RECORDS_AT_ONCE = 1_000
VOUCHER_LENGTH = 11


@dataclass(frozen=True, slots=True)
class RedemptionRecord:
    """A redemption that was served at ``at`` (aware). partner: its code."""

    member_id: UUID
    partner: str
    item: str
    quantity: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A record that the rules allow, with all that its entries need."""

    record: RedemptionRecord
    past: PastRedemption
    hold: Hold
    origin: Origin
    partner_id: UUID
    quote: Quote


def record_id(community_id: int, record: RedemptionRecord) -> UUID:
    """Return the id a record has: a UUIDv7 of its own moment whose random bits are a digest of the record."""
    at = record.at.astimezone(UTC)
    said = f"{community_id}:{record.member_id}:{record.partner}:{record.item}:{at.isoformat()}"
    digest = int.from_bytes(hashlib.sha256(said.encode()).digest()[:10])
    milliseconds = int(at.timestamp() * 1000)
    return UUID(
        int=(milliseconds << 80)
        | (0x7 << 76)
        | ((digest >> 62 & 0xFFF) << 64)
        | (0b10 << 62)
        | (digest & ((1 << 62) - 1))
    )


def paper_voucher(redemption_id: UUID) -> str:
    """Return the voucher of a record: longer than a counter's, so that it never takes one of those."""
    digest = hashlib.sha256(redemption_id.bytes).digest()
    return "P" + base64.b32encode(digest).decode()[: VOUCHER_LENGTH - 1]


async def record_redemptions(uow: UnitOfWork, records: Sequence[RedemptionRecord]) -> list[RedemptionOutcome]:
    """Record redemptions that were served in the past; return an outcome for each, in order.

    Each is recorded or refused alone (UnknownItem, InvalidValue, NotFound, DailyLimitReached,
    MealAlreadySubsidised, InsufficientPoints), in the order given: give them in order of time. The price, and
    who pays a meal, is the policy's of the day.
    A record that came before is answered as it was recorded, and refused with another quantity.
    """
    outcomes: list[RedemptionOutcome] = []
    sold_by = {partner.code: partner for partner in await service.partners(uow)}
    timezone = (await people.community(uow)).timezone
    policies: dict[date, Policy | None] = {}
    for start in range(0, len(records), RECORDS_AT_ONCE):
        batch = records[start : start + RECORDS_AT_ONCE]
        for record in batch:
            day = local_date(record.at, timezone)
            if day not in policies:
                policies[day] = await _policy_on(uow, day)
        outcomes += await _record_batch(uow, batch, sold_by, policies, timezone)
    return outcomes


async def _policy_on(uow: UnitOfWork, day: date) -> Policy | None:
    try:
        return await ledger.policy_on(uow, day)
    except NotFound:
        return None


async def _record_batch(
    uow: UnitOfWork,
    records: Sequence[RedemptionRecord],
    sold_by: Mapping[str, PartnerInfo],
    policies: Mapping[date, Policy | None],
    timezone: str,
) -> list[RedemptionOutcome]:
    members = await people.people_by_id(uow, list({record.member_id for record in records}))
    # An order of the same moment would see the same place in the day's limit free.
    await people.lock_people(uow, sorted(members))
    days = [local_date(record.at, timezone) for record in records]
    taken = await store.taken(uow, list(members), min(days), max(days))
    diners = await freezing.diners(uow, list(members.values()), min(days), max(days))
    ids = [record_id(uow.community_id, record) for record in records]
    before_now = await store.redemptions(uow, ids=ids, limit=len(ids))
    known = {each.id: _as_recorded(each) for each in await freezing.with_shares(uow, before_now)}
    prepared: dict[UUID, _Prepared] = {}
    answers: list[tuple[UUID, DomainError | None]] = []
    for record, redemption_id, day in zip(records, ids, days, strict=True):
        try:
            before = known.get(redemption_id)
            if before is None and redemption_id in prepared:
                before = prepared[redemption_id].past
            if before is not None:
                # One record is one redemption: what is paid is not told again in another amount.
                if before.quantity != record.quantity:
                    raise InvalidValue(field="quantity", rule="as_registered")
            else:
                policy = policies[day]
                if policy is None:
                    raise NotFound(what="policy")
                each = _prepare(uow, record, day, members, sold_by, policy, timezone, diners)
                key = (record.member_id, each.partner_id, record.item, day)
                item = policy.item(record.partner, record.item)
                rules.require_daily_limit(item, quantity=record.quantity, taken=taken.get(key, 0))
                taken[key] = taken.get(key, 0) + record.quantity
                diners.took(each.quote, record.member_id, day)
                prepared[redemption_id] = each
            answers.append((redemption_id, None))
        except DomainError as error:
            answers.append((redemption_id, error))
    refused = await _post(uow, list(prepared.values()))
    outcomes: list[RedemptionOutcome] = []
    for redemption_id, broken in answers:
        if (wrong := broken or refused.get(redemption_id)) is not None:
            outcomes.append(RedemptionOutcome(OutcomeKind.REFUSED, None, wrong))
        elif redemption_id in known:
            outcomes.append(RedemptionOutcome(OutcomeKind.ALREADY, known[redemption_id]))
        else:
            known[redemption_id] = prepared[redemption_id].past
            outcomes.append(RedemptionOutcome(OutcomeKind.RECORDED, known[redemption_id]))
    return outcomes


def _as_recorded(redemption: RedemptionInfo) -> PastRedemption:
    return PastRedemption(
        id=redemption.id,
        partner=redemption.partner,
        item=redemption.item,
        quantity=redemption.quantity,
        milli_points=redemption.milli_points,
        fen=redemption.fen,
        business_date=redemption.business_date,
        voucher=redemption.voucher,
        fulfilled_at=redemption.created_at,
        shares=redemption.shares,
    )


def _prepare(
    uow: UnitOfWork,
    record: RedemptionRecord,
    day: date,
    members: Mapping[UUID, people.PersonInfo],
    sold_by: Mapping[str, PartnerInfo],
    policy: Policy,
    timezone: str,
    diners: Diners,
) -> _Prepared:
    if record.at > uow.clock.now():
        raise InvalidValue(field="at", rule="not_in_the_future")
    if record.member_id not in members:
        raise NotFound(what="person")
    if record.partner not in sold_by:
        raise NotFound(what="partner")
    item, partner = policy.item(record.partner, record.item), sold_by[record.partner]
    rules.require_order(item, quantity=record.quantity, taken=0, day=day, today=day)
    redemption_id, member = record_id(uow.community_id, record), members[record.member_id]
    quote = diners.quote(policy, item, record.member_id, day, record.quantity)
    return _Prepared(
        record=record,
        past=PastRedemption(
            id=redemption_id,
            partner=record.partner,
            item=record.item,
            quantity=record.quantity,
            milli_points=quote.milli_points,
            fen=quote.fen,
            business_date=day,
            voucher=paper_voucher(redemption_id),
            fulfilled_at=record.at,
            shares=quote.split.shares if quote.split is not None else (),
        ),
        hold=Hold(
            id=redemption_id,
            member=member.ledger_ref,
            partner=partner.id,
            amount=quote.milli_points,
            expires_at=rules.hold_until(
                record.at, day_ends=service.day_end(day, timezone), hold_hours=policy.hold_hours
            ),
        ),
        origin=Origin(
            source_kind=SourceKind.REDEMPTION,
            source_id=redemption_id,
            actor=member.ledger_ref,
            subject=member.ledger_ref,
            policy_version=policy.version,
        ),
        partner_id=partner.id,
        quote=quote,
    )


async def _post(uow: UnitOfWork, prepared: Sequence[_Prepared]) -> dict[UUID, DomainError]:
    """Post holds, then the captures of those that held, and write both; return what was refused and why."""
    # A capture beside its own refused hold could take what another of the member's holds has set aside.
    opened = await ledger.post_many(
        uow, [each.hold.opening(each.origin, at=each.record.at) for each in prepared]
    )
    refused = {
        each.past.id: verdict.error
        for each, verdict in zip(prepared, opened, strict=True)
        if verdict.kind is VerdictKind.REFUSED and verdict.error is not None
    }
    held = [
        (each, verdict.number)
        for each, verdict in zip(prepared, opened, strict=True)
        if each.past.id not in refused and verdict.number is not None
    ]
    if not held:
        return refused
    await ledger_holds.record_opened_holds(
        uow,
        [
            (each.hold, each.origin.policy_version, each.past.id, each.record.at, number)
            for each, number in held
        ],
    )
    ended: list[tuple[_Prepared, Hold]] = []
    entries = []
    for each, _ in held:
        origin = replace(each.origin, actor=each.partner_id)
        captured, entry = each.hold.capture(each.hold.amount, origin, at=each.record.at)
        ended.append((each, captured))
        entries.append(entry)
    numbers = [recorded(verdict).number for verdict in await ledger.post_many(uow, entries)]
    await ledger_holds.record_ended_holds(
        uow,
        [(hold, each.record.at, number) for (each, hold), number in zip(ended, numbers, strict=True)],
    )
    await store.insert_redemptions(
        uow,
        [
            NewRedemption(
                id=each.past.id,
                member_id=each.record.member_id,
                requested_by=each.record.member_id,
                partner_id=each.partner_id,
                item=each.past.item,
                quantity=each.past.quantity,
                milli_points=each.past.milli_points,
                fen=each.past.fen,
                business_date=each.past.business_date,
                voucher=each.past.voucher,
                at=each.record.at,
                state=RedemptionState.FULFILLED,
                captured_on=each.past.business_date,
                subsidised_meal=each.quote.subsidised_meal,
            )
            for each, _ in ended
        ],
    )
    await share_store.insert_meals(
        uow,
        [meal for each, _ in ended for meal in freezing.frozen(each.past.id, each.quote, uow.clock.now())],
    )
    return refused
