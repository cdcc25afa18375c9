"""A batch of entries, packed column by column as ``bank.apply_entries`` takes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.journal import JournalEntry, Transfer

ACCOUNT_NAMESPACE = UUID("6d1f8f0a-3f0e-5c52-9a53-6f7b1f3a9c11")
ACCOUNTS_KEPT = 65_536

Columns = tuple[Any, ...]
"""The arguments of ``bank.apply_entries`` behind the community and the moment of recording."""


@lru_cache(maxsize=ACCOUNTS_KEPT)
def account_id(community_id: int, code: AccountCode) -> UUID:
    """Return the id an account has: derived from its code, so that no look-up is needed."""
    return uuid5(ACCOUNT_NAMESPACE, f"{community_id}:{code}")


def pack(
    community_id: int,
    entries: Sequence[JournalEntry],
    *,
    links: Sequence[int] | None = None,
    recorded: Sequence[datetime] | None = None,
) -> Columns:
    """Return the columns of a batch; see ``apply_entries_2.sql`` for what each holds.

    links: a number for each entry; entries in a row with the same number are posted together or not at all.
    recorded: a moment for each entry, for a journal that is brought in again.
    """
    given: list[UUID] = []
    taken: list[UUID] = []
    ids: list[UUID] = []
    kinds: list[str] = []
    amounts: list[int] = []
    occurred: list[datetime] = []
    numbered: list[tuple[int, int, int]] = []  # entry, line, policy
    owners: list[JournalEntry] = []
    expires = False
    for place, entry in enumerate(entries, start=1):
        origin = entry.origin
        named = (entry.id, origin.source_id, origin.actor, origin.subject)
        kind = (entry.kind.value, origin.source_kind.value)
        for line, transfer in enumerate(entry.transfers, start=1):
            given.append(account_id(community_id, transfer.target))
            taken.append(account_id(community_id, transfer.source))
            ids += named
            kinds += kind
            amounts.append(transfer.amount)
            occurred.append(entry.occurred_at)
            numbered.append((place, line, origin.policy_version))
            owners.append(entry)
            expires = expires or transfer.expires_on is not None
    accounts = sorted({*given, *taken})
    places = {account: place for place, account in enumerate(accounts, start=1)}
    ints: list[int] = []
    for debit, credit, numbers in zip(given, taken, numbered, strict=True):
        ints += (places[debit], places[credit], *numbers)
    return (
        accounts,
        ints,
        ids,
        kinds,
        amounts,
        occurred,
        [transfer.expires_on for entry in entries for transfer in entry.transfers] if expires else None,
        _some([entry.reverses for entry in owners]),
        _some([entry.ends_hold for entry in owners]),
        None if links is None else [links[place - 1] for place, _, _ in numbered],
        None if recorded is None else [recorded[place - 1] for place, _, _ in numbered],
    )


def accounts_of(entries: Sequence[JournalEntry]) -> set[AccountCode]:
    """Return every account the entries touch."""

    def both(transfer: Transfer) -> tuple[AccountCode, AccountCode]:
        return transfer.source, transfer.target

    return {code for entry in entries for transfer in entry.transfers for code in both(transfer)}


def _some(column: list[Any]) -> list[Any] | None:
    return None if all(each is None for each in column) else column
