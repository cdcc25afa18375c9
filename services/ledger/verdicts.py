"""What the database's verdicts mean: an entry's number, or the refusal as a fact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pointsbank.domain.errors import DomainError, InvalidValue, NotFound, WrongState
from pointsbank.domain.hold import HoldExpired
from pointsbank.domain.journal import IdempotencyKeyReused, InsufficientPoints, JournalEntry
from services.ledger.batch import account_id
from services.ledger.store import Applied
from services.ledger.views import Recorded, Verdict, VerdictKind

UNKNOWN_ACCOUNT = "unknown_account"


@dataclass(eq=False)
class LinkedRefused(DomainError):
    """An entry that had to be posted together with others was not, because one of those was refused."""

    code = "linked_refused"


def recorded(verdict: Verdict) -> Recorded:
    """Return where an entry was recorded; raise why it was refused."""
    if verdict.error is not None:
        raise verdict.error
    assert verdict.number is not None
    return Recorded(verdict.number, already=verdict.kind is VerdictKind.ALREADY)


def reused(entry: JournalEntry) -> Verdict:
    """Return the refusal of a key that stands for another request."""
    return Verdict(VerdictKind.REFUSED, None, IdempotencyKeyReused(key=entry.key))


def require_past(entry: JournalEntry, now: datetime) -> None:
    """Raise InvalidValue for an entry that has not happened yet: its batch would be refused whole."""
    if entry.occurred_at > now:
        raise InvalidValue(field="occurred_at", rule="not_in_the_future")


def verdict_of(community_id: int, entry: JournalEntry, applied: Applied) -> Verdict:
    """Return the ledger's answer to an entry by the database's."""
    match applied.verdict:
        case "posted":
            return Verdict(VerdictKind.POSTED, applied.number)
        case "already":
            return Verdict(VerdictKind.ALREADY, applied.number)
    return Verdict(VerdictKind.REFUSED, None, _refusal(community_id, entry, applied))


def _refusal(community_id: int, entry: JournalEntry, applied: Applied) -> DomainError:
    match applied.verdict:
        case "key_reused":
            return IdempotencyKeyReused(key=entry.key)
        case "already_reversed":
            return WrongState(what="journal_entry", state="reversed", action="reverse")
        case "not_reversible":
            return WrongState(what="journal_entry", state="not_reversible", action="reverse")
        case "beyond_original":
            return InvalidValue(field="amount", rule="within_entry")
        case "no_hold":
            return NotFound(what="hold")
        case "not_the_hold":
            return InvalidValue(field="amount", rule="within_hold")
        case "hold_ended":
            return WrongState(what="hold", state="ended", action=entry.kind)
        case "hold_expired":
            return HoldExpired(hold_id=str(entry.ends_hold))
        case "linked":
            return LinkedRefused()
        case "floor":
            ids = {account_id(community_id, leg.account): leg.account for leg in entry.postings}
            account = ids[applied.account] if applied.account else entry.postings[0].account
            asked = -sum(leg.amount for leg in entry.postings if leg.account == account)
            return InsufficientPoints(
                account_kind=account.kind, available=applied.available or 0, requested=asked
            )
        case _:
            return NotFound(what="account")
