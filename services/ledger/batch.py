"""A batch of entries, packed column by column as ``bank.apply_entries`` takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid5

from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import JournalEntry, entry_id_bytes
from pointsbank.platform.ids import uuid_of

ACCOUNT_NAMESPACE = UUID("6d1f8f0a-3f0e-5c52-9a53-6f7b1f3a9c11")
ACCOUNTS_KEPT = 65_536

LINES_MAX = 20_000
"""Lines that ``bank.apply_entries`` takes at once."""

LINKED_ENTRIES_MAX = 500
"""Entries that can be linked: posted together or not at all."""

Columns = tuple[Any, ...]
"""The arguments of ``bank.apply_entries`` behind the community and the moment of recording."""


@lru_cache(maxsize=ACCOUNTS_KEPT)
def account_id(community_id: int, code: AccountCode) -> UUID:
    """Return the id an account has: derived from its code, so that no look-up is needed."""
    return uuid_of(uuid5(ACCOUNT_NAMESPACE, f"{community_id}:{code}").bytes)


_as_int = attrgetter("int")


class Batch:
    """Entries of one community on their way to the database, in order.

    Packing goes on as entries come, so that little is left to do when the batch is sent.
    """

    def __init__(self, community_id: int) -> None:
        self.community_id = community_id
        self.entries = 0
        self.lines = 0
        self._debits: list[UUID] = []
        self._credits: list[UUID] = []
        self._numbers: list[tuple[int, int, int]] = []  # entry, line, policy
        self._ids: list[UUID] = []
        self._refs: list[UUID] = []  # source, actor, subject
        self._kinds: list[str] = []
        self._amounts: list[int] = []
        self._occurred: list[datetime] = []
        self._expires: list[date | None] = []
        self._reverses: list[int | None] = []
        self._holds: list[UUID | None] = []
        self._links: list[int] = []
        self._linked = False
        self._recorded: list[datetime] = []

    def add(
        self,
        entry: JournalEntry,
        *,
        link: int | None = None,
        recorded: datetime | None = None,
        entry_id: UUID | None = None,
    ) -> None:
        """Add an entry.

        link: entries in a row with the same number are posted together or not at all; either every entry of
        a batch has one or none. recorded, entry_id: of a journal that is brought in again.
        """
        # All that can fail comes before anything is kept.
        own_id = entry_id or uuid_of(entry_id_bytes(entry.key))
        self.entries += 1
        self.lines += len(entry.transfers)
        self._linked = self._linked or (link is not None and link in self._links[-1:])
        origin = entry.origin
        refs = (origin.source_id, origin.actor, origin.subject)
        kinds = (entry.kind.value, origin.source_kind.value)
        for line, transfer in enumerate(entry.transfers, start=1):
            self._debits.append(account_id(self.community_id, transfer.target))
            self._credits.append(account_id(self.community_id, transfer.source))
            self._numbers.append((self.entries, line, origin.policy_version))
            self._ids.append(own_id)
            self._refs += refs
            self._kinds += kinds
            self._amounts.append(transfer.amount)
            self._occurred.append(entry.occurred_at)
            self._expires.append(transfer.expires_on)
            self._reverses.append(entry.reverses)
            self._holds.append(entry.ends_hold)
            if link is not None:
                self._links.append(link)
            if recorded is not None:
                self._recorded.append(recorded)

    def columns(self) -> Columns:
        """Return the columns of what was added."""
        return columns(
            self._debits,
            self._credits,
            self._numbers,
            self._ids,
            self._refs,
            self._kinds,
            self._amounts,
            self._occurred,
            self._expires,
            self._reverses,
            self._holds,
            self._links if self._linked else None,
            self._recorded or None,
        )


def columns(
    targets: Sequence[UUID],
    sources: Sequence[UUID],
    numbers: Sequence[tuple[int, int, int]],
    ids: Sequence[UUID],
    refs: Sequence[UUID],
    kinds: Sequence[str],
    amounts: Sequence[int],
    occurred: Sequence[datetime],
    expires: Sequence[date | None],
    reverses: Sequence[int | None],
    holds: Sequence[UUID | None],
    links: Sequence[int] | None,
    recorded: Sequence[datetime] | None,
) -> Columns:
    """Return the columns of a batch, given line by line.

    targets, sources: ids of the accounts that are debited and credited; numbers: entry (1, 2, …), line
    (1, 2, …) and policy version; refs: source, actor and subject of each line in a row; kinds: kind and
    source kind likewise. See ``apply_entries_5.sql`` for what each column holds.
    """
    accounts = sorted({*targets, *sources}, key=_as_int)
    places = {account: place for place, account in enumerate(accounts, start=1)}
    ints: list[int] = []
    moves = [0] * (2 * len(accounts))
    for target, source, said, amount in zip(targets, sources, numbers, amounts, strict=True):
        debit, credit = places[target], places[source]
        ints += (debit, credit, *said)
        moves[2 * debit - 2] += amount
        moves[2 * credit - 2] -= amount
        moves[2 * debit - 1] = moves[2 * credit - 1] = said[0]
    return (
        accounts,
        moves,
        ints,
        ids,
        refs,
        kinds,
        amounts,
        occurred,
        _some(expires),
        _some(reverses),
        _some(holds),
        links,
        recorded,
    )


def batch_of(
    community_id: int,
    entries: Sequence[JournalEntry],
    *,
    links: Sequence[int] | None = None,
    recorded: Sequence[datetime] | None = None,
) -> Batch:
    """Return entries as a batch. links, recorded: one for each entry; see :meth:`Batch.add`."""
    batch = Batch(community_id)
    for place, entry in enumerate(entries):
        batch.add(
            entry,
            link=None if links is None else links[place],
            recorded=None if recorded is None else recorded[place],
        )
    return batch


def pack(
    community_id: int,
    entries: Sequence[JournalEntry],
    *,
    links: Sequence[int] | None = None,
    recorded: Sequence[datetime] | None = None,
) -> Columns:
    """Return the columns of a batch; see :func:`batch_of`."""
    return batch_of(community_id, entries, links=links, recorded=recorded).columns()


class Filling:
    """What of a batch is taken up already: entries, lines, keys.

    A key stands once in a batch: the second must see what became of the first.
    """

    __slots__ = ("entries", "keys", "lines")

    def __init__(self) -> None:
        self.entries = 0
        self.lines = 0
        self.keys: set[str] = set()

    def takes(self, entries: Sequence[JournalEntry], lines: int, entries_max: int) -> bool:
        """Tell whether entries of so many lines in all can go into the same batch."""
        if self.entries + len(entries) > entries_max or self.lines + lines > LINES_MAX:
            return False
        for entry in entries:  # noqa: SIM110 - the hot path: a generator costs more than it says
            if entry.key in self.keys:
                return False
        return True

    def add(self, entry: JournalEntry) -> None:
        """Count an entry in."""
        self.entries += 1
        self.lines += len(entry.transfers)
        self.keys.add(entry.key)


def batches_of(entries: Iterable[JournalEntry], entries_max: int) -> Iterator[list[JournalEntry]]:
    """Yield entries in order, as many at once as the database takes and a key at most once among them."""
    batch: list[JournalEntry] = []
    filling = Filling()
    for entry in entries:
        if batch and not filling.takes((entry,), len(entry.transfers), entries_max):
            yield batch
            batch, filling = [], Filling()
        batch.append(entry)
        filling.add(entry)
    if batch:
        yield batch


def require_linkable(entries: Sequence[JournalEntry]) -> None:
    """Raise InvalidValue unless the entries can be linked: some, not too many, each with a key of its own."""
    if not 0 < len(entries) <= LINKED_ENTRIES_MAX or sum(len(each.transfers) for each in entries) > LINES_MAX:
        raise InvalidValue(field="entries", rule="count")
    if len({entry.key for entry in entries}) < len(entries):
        raise InvalidValue(field="key", rule="unique")


def accounts_of(entries: Iterable[JournalEntry]) -> set[AccountCode]:
    """Return every account the entries touch."""
    return {
        code
        for entry in entries
        for transfer in entry.transfers
        for code in (transfer.source, transfer.target)
    }


def _some(column: Sequence[Any]) -> Sequence[Any] | None:
    return column if any(each is not None for each in column) else None
