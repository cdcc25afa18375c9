"""The entry that a confirmed visit earns: minutes and points to the volunteer, from issuance."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer
from pointsbank.domain.policy import Earning


def earning_key(visit: UUID) -> str:
    """Return the idempotency key of the one entry a visit can earn."""
    return f"visit:{visit}"


def earning_entry(
    visit: UUID,
    earning: Earning,
    *,
    volunteer: UUID,
    confirmer: UUID,
    policy_version: int,
    occurred_at: datetime,
    expires_on: date | None = None,
) -> journal.JournalEntry | None:
    """Return the entry for ``earning``, or None when the caps left nothing to post.

    volunteer, confirmer: ledger pseudonyms. occurred_at: when the visit ended. expires_on: the last local day
    on which the points can be spent; None: they stay.
    """
    transfers: list[Transfer] = []
    if earning.minutes:
        transfers.append(
            Transfer(accounts.issuance(Commodity.MINUTE), accounts.service(volunteer), earning.minutes)
        )
    if earning.milli_points:
        transfers.append(
            Transfer(
                accounts.issuance(Commodity.POINT),
                accounts.available(volunteer),
                earning.milli_points,
                expires_on=expires_on,
            )
        )
    if not transfers:
        return None
    origin = Origin(
        source_kind=SourceKind.VISIT,
        source_id=visit,
        actor=confirmer,
        subject=volunteer,
        policy_version=policy_version,
    )
    return journal.journal_entry(
        EntryKind.EARNING, transfers, origin=origin, key=earning_key(visit), occurred_at=occurred_at
    )
