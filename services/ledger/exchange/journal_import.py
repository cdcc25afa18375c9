"""Bringing an exported journal into an empty database: the same numbers, ids, hashes, balances and holds.

The file is checked from end to end before anything is written. Then it goes in through the ledger's one door,
``bank.apply_entries``, some thousand lines a commit, and the head is compared with the file after each: what
is committed is always a true beginning of the journal, so that an import that was cut off is simply begun
again and goes on where it stopped. What only the ledger can judge (an id that comes twice, a reversal of
what cannot be reversed) stops the import at that entry, all commits before it standing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from uuid import UUID

from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.errors import DomainError
from pointsbank.domain.grid import default_grid_plan
from pointsbank.domain.hold import Hold
from pointsbank.domain.journal import ENDS_A_HOLD
from pointsbank.domain.points import MilliPoints
from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import hold_store, policy_store, store
from services.ledger.batch import Columns, columns
from services.ledger.exchange import export_store, journal_check, journal_file
from services.ledger.exchange.journal_file import (
    CheckedFile,
    FiledAccount,
    FiledHold,
    FiledLine,
    Header,
    HoldsInOrder,
    JournalFileDamaged,
    JournalFileFault,
)
from services.ledger.proof import audit_store
from services.people import service as people

LINES_PER_COMMIT = 4_000
ACCOUNTS_PER_COMMIT = 5_000

Progress = Callable[[str, int, int], None]
"""Called with (``check`` or ``import``, entries done, entries in all)."""


@dataclass(eq=False)
class AnotherJournalThere(DomainError):
    """The database's community has a journal (or policies, accounts) that is not the file's beginning.

    entries: how many entries it has.
    """

    code = "another_journal_there"
    entries: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. entries: in the journal now; already: of these, how many were there before."""

    header: Header
    entries: int
    already: int


async def import_journal(
    database: Database, path: Path, *, progress: Progress, public_key: bytes | None = None
) -> Imported:
    """Bring the journal in ``path`` into the database and return what was done.

    public_key: by which the file's seals must be signed; None: each by the one it names.
    The community is founded if it does not exist, with the default grids and nobody in it. Raises
    JournalFileDamaged (nothing is written then), AnotherJournalThere, InvalidValue, OSError.
    """
    header = journal_file.read_header(path)
    done = await _entries_there(database, header)
    checked = journal_check.check(
        path,
        hash_at=done,
        progress=lambda number, entries: progress("check", number, entries),
        public_key=public_key,
    )
    async with database.unit_of_work(header.community_id) as uow:
        await _found(uow, header)
        head = await audit_store.head(uow)
        if done > header.entries or head["hash"] != checked.hash_there:
            raise AnotherJournalThere(head["entry_number"])
        await _add_policies(uow, header, done)
    await _open_accounts(database, checked, done)
    await _Importing(database, checked, done, progress).run()
    return Imported(checked.header, header.entries, done)


async def _entries_there(database: Database, header: Header) -> int:
    async with database.unit_of_work(header.community_id) as uow:
        if not any(known.id == uow.community_id for known in await people.communities(uow.session)):
            return 0
        return int((await audit_store.head(uow))["entry_number"])


async def _found(uow: UnitOfWork, header: Header) -> None:
    for known in await people.communities(uow.session):
        if known.id == uow.community_id:
            if (known.code, known.timezone) != (header.community.code, header.community.timezone):
                raise AnotherJournalThere((await audit_store.head(uow))["entry_number"])
            return
    await people.create_community(
        uow,
        code=header.community.code,
        name=header.community.name,
        timezone=header.community.timezone,
        grids=default_grid_plan(),
    )
    await store.open_ledger(uow, algorithm=header.algorithm)


async def _add_policies(uow: UnitOfWork, header: Header, done: int) -> None:
    """Add the versions that are not there; those that are must be the file's."""
    there = {policy["version"]: policy for policy in await export_store.policies(uow)}
    for policy in header.policies:
        known = await policy_store.get(uow, policy.version)
        if known is None:
            await policy_store.insert(
                uow,
                policy.version,
                policy.effective_from,
                policy.body,
                policy.proposed_by,
                policy.approved_by,
                created_at=policy.created_at,
            )
        elif (known.effective_from, known.body) != (policy.effective_from, policy.body):
            raise AnotherJournalThere(done)
    if there.keys() - {policy.version for policy in header.policies}:
        raise AnotherJournalThere(done)


async def _open_accounts(database: Database, checked: CheckedFile, done: int) -> None:
    """Open the file's accounts that are not open, in order of number; those that are must be the file's."""
    community_id = checked.header.community_id
    async with database.unit_of_work(community_id) as uow:
        there = [row[1] for row in await export_store.accounts(uow)]
    if there != [account.id for account, _ in checked.accounts[: len(there)]]:
        raise AnotherJournalThere(done)
    runs = _runs(checked.accounts[len(there) :])
    for start in range(0, len(runs), ACCOUNTS_PER_COMMIT):
        async with database.unit_of_work(community_id) as uow:
            connection = await uow.connection()
            for run in runs[start : start + ACCOUNTS_PER_COMMIT]:
                codes = [code for _, code in run]
                await store.open_accounts_on(connection, community_id, codes, at=run[0][0].opened_at)


def _runs(
    accounts: Sequence[tuple[FiledAccount, AccountCode]],
) -> list[list[tuple[FiledAccount, AccountCode]]]:
    """Return the accounts in runs that one call opens in the same order and at the same moment."""
    runs: list[list[tuple[FiledAccount, AccountCode]]] = []
    for account, code in accounts:
        if runs and runs[-1][-1][0].opened_at == account.opened_at and runs[-1][-1][1] < code:
            runs[-1].append((account, code))
        else:
            runs.append([(account, code)])
    return runs


class _Importing:
    """The journal's lines going in, commit by commit. done: entries that are there already."""

    def __init__(self, database: Database, checked: CheckedFile, done: int, progress: Progress) -> None:
        self._database = database
        self._checked = checked
        self._done = done
        self._progress = progress
        self._holds = HoldsInOrder(checked)

    async def run(self) -> None:
        """Record everything that is not there yet."""
        entries = self._checked.header.entries
        for chunk in self._chunks():
            await self._commit(chunk)
            self._progress("import", chunk[-1][1].number, entries)

    def _chunks(self) -> Iterator[list[tuple[int, FiledLine]]]:
        """Yield the lines of whole entries, as many as one commit takes."""
        chunk: list[tuple[int, FiledLine]] = []
        for place, line in journal_file.lines(self._checked):
            if line.number <= self._done:
                continue
            if len(chunk) >= LINES_PER_COMMIT and line.line == 1:
                yield chunk
                chunk = []
            chunk.append((place, line))
        if chunk:
            yield chunk

    async def _commit(self, chunk: list[tuple[int, FiledLine]]) -> None:
        first, last = chunk[0][1].number, chunk[-1][1].number
        for hold in self._holds.opened_through(first - 1):
            if hold.ended_by is not None and hold.ended_by < first:
                self._holds.ended_by(hold.ended_by)
        opened, ended = self._holds.opened_through(last), self._ended(chunk)
        async with self._database.unit_of_work(self._checked.header.community_id) as uow:
            if opened:
                # Before their entries, in the same commit: the journal asks for them when they end.
                await hold_store.insert_many(uow, [_opened(hold) for hold in opened])
            for batch in _batches([line for _, line in chunk]):
                await self._apply(uow, batch, ended)
            await self._compare(uow, chunk)
            if ended:
                await hold_store.save_many(uow, [_ended(hold) for hold in ended.values()])

    def _ended(self, chunk: list[tuple[int, FiledLine]]) -> dict[int, FiledHold]:
        ended: dict[int, FiledHold] = {}
        for place, line in chunk:
            if line.line == 1 and line.kind in ENDS_A_HOLD:
                hold = self._holds.ended_by(line.number)
                if hold is None:
                    raise JournalFileDamaged(JournalFileFault.HOLD, place, line.number)
                ended[line.number] = hold
        return ended

    async def _apply(self, uow: UnitOfWork, batch: list[FiledLine], ended: dict[int, FiledHold]) -> None:
        connection = await uow.connection()
        first, last = batch[0].number, batch[-1].number
        applied = await store.apply_on(
            connection,
            uow.community_id,
            _packed(batch, ended),
            last - first + 1,
            recorded_at=uow.clock.now(),
        )
        for number, verdict in enumerate(applied, start=first):
            if verdict.verdict != "posted":
                raise JournalFileDamaged(JournalFileFault.REFUSED, 0, number)

    async def _compare(self, uow: UnitOfWork, chunk: list[tuple[int, FiledLine]]) -> None:
        """Compare what was recorded with the file; name the first line that came out otherwise."""
        head = await audit_store.head(uow)
        if head["hash"].hex() == chunk[-1][1].hash:
            return
        recorded = await export_store.hashes(uow, chunk[0][1].number, chunk[-1][1].number)
        for (place, line), (_, _, hashed) in zip(chunk, recorded, strict=False):
            if hashed.hex() != line.hash:
                raise JournalFileDamaged(JournalFileFault.ALTERED, place, line.number)
        # Somebody else posted meanwhile.
        raise AnotherJournalThere(head["entry_number"])


def _batches(lines: Sequence[FiledLine]) -> Iterator[list[FiledLine]]:
    """Yield lines in batches in which no reversal meets the entry that it takes back."""
    batch: list[FiledLine] = []
    for _, group in groupby(lines, key=lambda line: line.number):
        entry = list(group)
        if batch and entry[0].reverses is not None and entry[0].reverses >= batch[0].number:
            yield batch
            batch = []
        batch += entry
    if batch:
        yield batch


def _packed(lines: Sequence[FiledLine], ended: dict[int, FiledHold]) -> Columns:
    """Return lines as ``bank.apply_entries`` takes them; see :func:`services.ledger.batch.columns`.

    The ids are the file's own, for the keys that gave them are not in the journal.
    """
    before = lines[0].number - 1
    return columns(
        [line.debit for line in lines],
        [line.credit for line in lines],
        [(line.number - before, line.line, line.policy_version) for line in lines],
        [line.id for line in lines],
        [ref for line in lines for ref in (line.source_id, line.actor_ref, line.subject_ref)],
        [kind for line in lines for kind in (line.kind, line.source_kind)],
        [line.amount for line in lines],
        [line.occurred_at for line in lines],
        [line.expires_on for line in lines],
        [line.reverses for line in lines],
        [ended[line.number].id if line.kind in ENDS_A_HOLD else None for line in lines],
        None,
        [line.recorded_at for line in lines],
    )


def _opened(hold: FiledHold) -> tuple[Hold, int, UUID, datetime, int]:
    return (
        Hold(
            id=hold.id,
            member=hold.member,
            partner=hold.partner,
            amount=MilliPoints(hold.amount),
            expires_at=hold.expires_at,
        ),
        hold.policy_version,
        hold.source_id,
        hold.opened_at,
        hold.opened_by,
    )


def _ended(hold: FiledHold) -> tuple[Hold, datetime, int]:
    assert hold.ended_at is not None
    assert hold.ended_by is not None
    ended = replace(_opened(hold)[0], state=hold.state, captured=MilliPoints(hold.captured))
    return ended, hold.ended_at, hold.ended_by
