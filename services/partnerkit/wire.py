"""What goes over the wire: strict shapes of requests and answers, and the reading of them.

Amounts are integers, milli_points and fen are totals over ``quantity``, days are ISO dates in the
community's time zone, moments are ISO with an offset. Nothing here names a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pointsbank.domain.errors import InvalidValue
from services.partnerkit.redemption import Item, Order
from services.partnerkit.service import Intake, Offer, PastOrder, Statement
from services.partnerkit.store import Redemption
from services.partnerkit.tables import CODE_LENGTH, MODE_LENGTH, NAME_LENGTH, REFERENCE_LENGTH, VOUCHER_LENGTH

BULK_MAX = 1000
"""Lines of one bulk call or one statement page."""

Shape = TypeVar("Shape")

Details = Callable[[bytes], Any]
"""Reads the JSON of an order's details into the partner's own dataclass; raises InvalidValue."""

CommunityId = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Code = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]+\Z", max_length=CODE_LENGTH)]
Name = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f]+\Z", max_length=NAME_LENGTH)]
Voucher = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z-]+\Z", max_length=VOUCHER_LENGTH)]
VoucherStart = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z-]*\Z", max_length=VOUCHER_LENGTH)]
Mode = Annotated[str, Meta(pattern=r"\A[a-z_]+\Z", max_length=MODE_LENGTH)]
Amount = Annotated[int, Meta(ge=0, le=10**12)]
Count = Annotated[int, Meta(ge=1, le=10_000)]
Moment = Annotated[datetime, Meta(tz=True)]
After = Annotated[str, Meta(pattern=r"\A[0-9A-Z-]*\Z", max_length=REFERENCE_LENGTH)]
Limit = Annotated[int, Meta(ge=1, le=BULK_MAX)]


class Asked(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of requests: an unknown field is refused, so that a misspelt one is not lost."""


class OfCommunity(Asked, frozen=True, kw_only=True):
    """A request that says only which community it is about."""

    community_id: CommunityId


class OfStatement(OfCommunity, frozen=True, kw_only=True):
    """Query of a statement page."""

    after: After = ""
    limit: Limit = BULK_MAX


class SaveCommunity(Asked, frozen=True, kw_only=True):
    """Body of ``PUT /communities/{community_id}``."""

    code: Code
    name: Name
    timezone: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_+/-]+\Z", max_length=64)]


class SaveItem(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /items/{code}``; ``terms`` are the partner's own."""

    name: Name
    milli_points: Amount
    fen: Amount
    available: bool
    terms: msgspec.Raw


class PayerShare(Asked, frozen=True, kw_only=True):
    """What one payer pays of an order, in fen: a government, the community, or the person (points, cash)."""

    payer: Annotated[str, Meta(pattern=r"\A[a-z_]+\Z", max_length=20)]
    fen: Annotated[int, Meta(ge=1, le=10**12)]


class OrderLine(Asked, frozen=True, kw_only=True):
    """An order without its id. details: what only this kind of partner asks, in its own shape.

    shares: who pays, where the platform says so; they sum to ``fen``.
    """

    item: Code
    quantity: Count
    business_date: date
    milli_points: Amount
    fen: Amount
    mode: Mode | None = None
    details: msgspec.Raw | UnsetType = UNSET
    shares: Annotated[list[PayerShare], Meta(max_length=20)] | None = None


class PlaceOrder(OrderLine, frozen=True, kw_only=True):
    """Body of ``PUT /redemptions/{redemption_id}``."""

    community_id: CommunityId
    voucher: Voucher

    def order(self, redemption_id: UUID, read: Details) -> Order:
        """Return the order it asks for. read: reads its details. Raises InvalidValue."""
        return _order(self, redemption_id, self.voucher, read)


class PastOrderLine(OrderLine, frozen=True, kw_only=True):
    """A line of ``POST /redemptions/bulk``; paper may have had no voucher."""

    redemption_id: UUID
    fulfilled_at: Moment
    voucher: Voucher | None = None
    status: Literal["fulfilled"] = "fulfilled"

    def past_order(self, read: Details) -> PastOrder:
        """Return the order it tells of. read: reads its details. Raises InvalidValue."""
        return PastOrder(_order(self, self.redemption_id, self.voucher, read), self.fulfilled_at)


class TakeIn(OfCommunity, frozen=True, kw_only=True):
    """Body of ``POST /redemptions/bulk``."""

    redemptions: Annotated[list[PastOrderLine], Meta(min_length=1, max_length=BULK_MAX)]


def _payers(line: OrderLine) -> tuple[tuple[str, int], ...] | None:
    """Return who pays, each once. Raises InvalidValue where the parts are not the price."""
    if line.shares is None:
        return None
    told = {share.payer: share.fen for share in line.shares}
    if len(told) != len(line.shares) or sum(told.values()) != line.fen:
        raise InvalidValue(field="shares", rule="sum_of_price")
    return tuple(told.items())


def _order(line: OrderLine, redemption_id: UUID, voucher: str | None, read: Details) -> Order:
    return Order(
        redemption_id=redemption_id,
        item=line.item,
        quantity=line.quantity,
        business_date=line.business_date,
        milli_points=line.milli_points,
        fen=line.fen,
        voucher=voucher,
        mode=line.mode,
        details=None if isinstance(line.details, UnsetType) else read(bytes(line.details)),
        shares=_payers(line),
    )


def _shares(order: Order) -> msgspec.Raw | UnsetType:
    said = getattr(order.details, "shares", None)
    return msgspec.Raw(said.encode()) if said else UNSET


def no_details(_body: bytes) -> Any:
    """Read the details of a partner that knows none. Raises InvalidValue."""
    raise InvalidValue(field="details", rule="unknown_field")


class OfferAnswer(Struct, frozen=True):
    """One item: its price for one, whether it can be ordered today, how many are left today."""

    code: str
    name: str
    milli_points: int
    fen: int
    available: bool
    remaining: int

    @classmethod
    def of(cls, offer: Offer) -> OfferAnswer:
        """Return the answer for ``offer``."""
        item: Item = offer.item
        return cls(
            item.code,
            item.name,
            item.milli_points,
            item.fen,
            item.available and offer.remaining > 0,
            offer.remaining,
        )


class RedemptionAnswer(Struct, frozen=True):
    """Where an order stands. reason: only when refused; fulfilled_at: only when handed over."""

    redemption_id: UUID
    status: str
    partner_reference: str
    reason: str | UnsetType = UNSET
    fulfilled_at: datetime | UnsetType = UNSET

    @classmethod
    def of(cls, redemption: Redemption) -> RedemptionAnswer:
        """Return the answer for ``redemption``."""
        return cls(
            redemption.order.redemption_id,
            redemption.status.value,
            redemption.partner_reference,
            redemption.reason.value if redemption.reason else UNSET,
            redemption.fulfilled_at or UNSET,
        )


class IntakeAnswer(Struct, frozen=True):
    """How many lines came in, and how many of them were not known yet."""

    received: int
    new: int

    @classmethod
    def of(cls, intake: Intake) -> IntakeAnswer:
        """Return the answer for ``intake``."""
        return cls(intake.received, intake.new)


class StatementLine(Struct, frozen=True):
    """One handed-over order. shares: who pays, FEN by payer, as the order said."""

    redemption_id: UUID
    partner_reference: str
    item: str
    quantity: int
    milli_points: int
    fen: int
    fulfilled_at: datetime | None
    shares: msgspec.Raw | UnsetType = UNSET


class StatementTotals(Struct, frozen=True):
    """Sums over the whole day, not the page."""

    lines: int
    milli_points: int
    fen: int


class StatementAnswer(Struct, frozen=True):
    """A page of a day's statement; ``next_after`` is null on the last page."""

    lines: list[StatementLine]
    next_after: str | None
    totals: StatementTotals

    @classmethod
    def of(cls, statement: Statement) -> StatementAnswer:
        """Return the answer for ``statement``."""
        return cls(
            lines=[
                StatementLine(
                    line.order.redemption_id,
                    line.partner_reference,
                    line.order.item,
                    line.order.quantity,
                    line.order.milli_points,
                    line.order.fen,
                    line.fulfilled_at,
                    _shares(line.order),
                )
                for line in statement.lines
            ],
            next_after=statement.next_after,
            totals=StatementTotals(
                statement.totals.lines, statement.totals.milli_points, statement.totals.fen
            ),
        )


def read_json(body: bytes, shape: type[Shape]) -> Shape:
    """Return ``body`` as ``shape``. Raises InvalidValue naming the field and the rule."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidValue(field="body", rule="expected JSON") from None


def read_texts(values: Mapping[str, str], shape: type[Shape]) -> Shape:
    """Return query or path values as ``shape``; numbers come as text. Raises InvalidValue."""
    try:
        return msgspec.convert(dict(values), type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def read_text(field: str, value: str, shape: Any) -> Any:
    """Return one path value as ``shape``. Raises InvalidValue."""
    try:
        return msgspec.convert(value, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(field=field, rule=_rule(str(error))) from None


def _rule(said: str) -> str:
    rule = said.partition(" - at ")[0].replace("`", "")
    return rule[:1].lower() + rule[1:]


def _invalid(said: str) -> InvalidValue:
    """Turn msgspec's words ("Expected `int`, got `str` - at `$.lines[3].quantity`") into field and rule."""
    place = re.search(r" - at `\$\.?(.*)`\Z", said)
    where = place.group(1) if place else ""
    for words, rule in (("missing required field", "missing"), ("contains unknown field", "unknown_field")):
        if named := re.search(rf"{words} `(.*?)`", said):
            return InvalidValue(field=".".join(part for part in (where, named.group(1)) if part), rule=rule)
    return InvalidValue(field=where or "body", rule=_rule(said))
