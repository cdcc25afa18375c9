"""Holds: points set aside until a redemption is fulfilled or falls through.

::

    open ──capture──► captured      (part or all to the partner, the rest back to available)
      │───void──────► voided        (refused or cancelled: all back)
      └───expire────► expired       (nobody came in time: all back)

A hold ends once. An open hold past ``expires_at`` cannot be captured, swept or not, unless the word of its
fulfilment had reached us before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pointsbank.domain import accounts, journal
from pointsbank.domain.errors import DomainError, InvalidValue, WrongState
from pointsbank.domain.journal import EntryKind, Origin, Transfer
from pointsbank.domain.points import MilliPoints


class HoldState(StrEnum):
    """Where a hold is in its life."""

    OPEN = "open"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"


@dataclass(eq=False)
class HoldExpired(DomainError):
    """The hold's time has passed; it can only be given back."""

    code = "hold_expired"
    hold_id: str


@dataclass(frozen=True, slots=True)
class Hold:
    """``amount`` milli-points of ``member`` set aside for ``partner``. member, partner: pseudonyms."""

    id: UUID
    member: UUID
    partner: UUID
    amount: MilliPoints
    expires_at: datetime
    state: HoldState = HoldState.OPEN
    captured: MilliPoints = MilliPoints(0)

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise InvalidValue(field="amount", rule="above_zero")
        if not 0 <= self.captured <= self.amount:
            raise InvalidValue(field="captured", rule="within_hold")

    def opening(self, origin: Origin, *, at: datetime) -> journal.JournalEntry:
        """Return the entry available → held that opens this hold."""
        moved = Transfer(accounts.available(self.member), accounts.held(self.member), self.amount)
        return journal.journal_entry(
            EntryKind.HOLD, [moved], origin=origin, key=f"hold:{self.id}:open", occurred_at=at
        )

    def capture(
        self, amount: MilliPoints, origin: Origin, *, at: datetime, told_at: datetime | None = None
    ) -> tuple[Hold, journal.JournalEntry]:
        """Return the captured hold and its one entry: ``amount`` to the partner, the rest released.

        amount: 1 … the hold's amount. told_at: when we were told of the fulfilment, by our own clock; None
        for ``at``. Raises WrongState, HoldExpired (told too late), InvalidValue.
        """
        self._require_open("capture")
        if not self.in_time(told_at or at):
            raise HoldExpired(hold_id=str(self.id))
        if not 0 < amount <= self.amount:
            raise InvalidValue(field="amount", rule="within_hold")
        held = accounts.held(self.member)
        moved = [Transfer(held, accounts.partner_earned(self.partner), amount)]
        if released := self.amount - amount:
            moved.append(Transfer(held, accounts.available(self.member), released))
        entry = self._end(EntryKind.CAPTURE, moved, origin, told_at or at)
        return replace(self, state=HoldState.CAPTURED, captured=amount), entry

    def in_time(self, told_at: datetime) -> bool:
        """Tell whether a fulfilment we were told of at that moment can still be captured."""
        return told_at < self.expires_at

    def void(self, origin: Origin, *, at: datetime) -> tuple[Hold, journal.JournalEntry]:
        """Return the voided hold and the entry that gives everything back. Raises WrongState."""
        self._require_open("void")
        return replace(self, state=HoldState.VOIDED), self._given_back(origin, at)

    def expire(self, origin: Origin, *, at: datetime) -> tuple[Hold, journal.JournalEntry]:
        """Return the expired hold and the entry that gives everything back.

        Raises WrongState, and InvalidValue before ``expires_at``.
        """
        self._require_open("expire")
        if at < self.expires_at:
            raise InvalidValue(field="at", rule="not_yet_expired")
        return replace(self, state=HoldState.EXPIRED), self._given_back(origin, at)

    def _given_back(self, origin: Origin, at: datetime) -> journal.JournalEntry:
        moved = Transfer(accounts.held(self.member), accounts.available(self.member), self.amount)
        return self._end(EntryKind.VOID, [moved], origin, at)

    def _end(
        self, kind: EntryKind, moved: Sequence[Transfer], origin: Origin, at: datetime
    ) -> journal.JournalEntry:
        # One key for every ending: whatever races, the ledger records one of them.
        return journal.journal_entry(
            kind, moved, origin=origin, key=f"hold:{self.id}:end", occurred_at=at, ends_hold=self.id
        )

    def _require_open(self, action: str) -> None:
        if self.state is not HoldState.OPEN:
            raise WrongState(what="hold", state=self.state, action=action)
