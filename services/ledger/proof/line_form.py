"""Journal lines, accounts and what carries them, as they are written into files: JSON, read strictly."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.chain import Line

FORMAT = 1
"""Version of the files' layout."""

HEADER_BYTES_MAX = 1 << 27
"""The first line of a journal carries every seal there is (an hourly one is 600 bytes) and every policy."""

Int2 = Annotated[int, msgspec.Meta(ge=0, le=2**15 - 1)]
Int4 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Amount = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class WrittenLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A line of the journal. hash: the chain's at this line, in hex."""

    community_id: Int4
    number: Number
    line: Int2
    id: UUID
    kind: str
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    policy_version: Int4
    occurred_at: Moment
    recorded_at: Moment
    reverses: Number | None
    debit: UUID
    credit: UUID
    amount: Number
    debit_after: Amount
    credit_after: Amount
    expires_on: date | None
    hash: Hash

    def read(self) -> Line:
        """Return the line as it is hashed."""
        return Line(*(getattr(self, name) for name in Line.__slots__))


class WrittenAccount(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An account. owner: a pseudonym, a partner, or zeros for the community itself."""

    id: UUID
    kind: AccountKind
    owner: UUID
    commodity: Commodity
    number: Int4 | None = None
    opened_at: Moment | None = None

    def code(self) -> AccountCode:
        """Return what the account is for. Raises ValueError."""
        return AccountCode(self.kind, self.owner, self.commodity)


def written(line: Line, hash_: bytes) -> dict[str, Any]:
    """Return a line as it is written: moments in UTC to the microsecond."""
    fields = {name: getattr(line, name) for name in Line.__slots__}
    return {name: _plain(value) for name, value in fields.items()} | {"hash": hash_.hex()}


def moment(at: datetime) -> str:
    """Return a moment as it is written."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return value if value is None or isinstance(value, int | str) else str(value)
