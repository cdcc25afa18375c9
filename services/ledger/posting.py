"""Group commit: what a process posts at the same time is recorded by one commit.

A post waits for nobody when the community's lane is idle; while a batch is on its way to the disk, the next
one gathers. The durable flush, the community's head row and a hot account are so paid once a batch, while
each post is still judged alone, in the order in which it came, and answered only after the commit. (A batch
that has to be tried again, because its connection was lost or one of its entries was malformed, may come
behind the one after it.)
Communities have lanes of their own and never wait for each other; any number of processes may do the same.

When enough posts wait, the next batch is sent on a second connection as soon as the database has said that
the one before holds the head row: it stands behind it in the database's own queue, begins the moment the
other has committed, and can never overtake it.

What is to be committed together with other writes rides in the caller's unit of work instead
(:func:`services.ledger.service.post`): the same entry point, the same verdicts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog

from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.journal import ENDS_A_HOLD, JournalEntry
from pointsbank.platform.database import Database, is_passing
from pointsbank.platform.dedicated import (
    ConnectionLost,
    DedicatedConnection,
    DedicatedConnections,
    StatementRefused,
)
from services.ledger import store
from services.ledger.batch import Batch, Filling, accounts_of, batch_of, require_linkable
from services.ledger.lanes import QUEUE_ENTRIES_MAX, Gathering, Lane, Outcome, Post, Sent, alone
from services.ledger.store import Applied
from services.ledger.verdicts import (
    UNKNOWN_ACCOUNT,
    LinkedRefused,
    recorded,
    require_past,
    verdict_of,
)
from services.ledger.views import Recorded, Verdict, VerdictKind

log = structlog.get_logger(__name__)

BULK_ENTRIES_MAX = 1_000
"""Entries of one batch of a bulk: others get their turn at the head row in between."""

TURN_ENTRIES = 50
"""Entries of a bulk that are packed before the loop turns."""

CONNECTIONS_MAX = 8
"""Connections one poster holds at most; a lane gives its own back when another one wants it."""

CONNECTION_SECONDS_MAX = 30

TRIES_MAX = 5
BACKOFF_SECONDS = 0.05


@dataclass(eq=False)
class PostingOverloaded(DomainError):
    """More posts wait than can be recorded soon; nothing was done. The same post may be sent again."""

    code = "posting_overloaded"


@dataclass(eq=False)
class PostingUndecided(DomainError):
    """The database went away in the middle and did not come back: the post may or may not be recorded.

    The same post under the same key tells, and posts it if need be.
    """

    code = "posting_undecided"


@dataclass(eq=False)
class EntryMalformed(DomainError):
    """The database refuses the entry for what it is, such as a policy version that does not exist.

    sqlstate: the database's own code for why (PostgreSQL, appendix A).
    """

    code = "entry_malformed"
    sqlstate: str


class PosterClosed(RuntimeError):
    """Something was posted after the end."""


class Poster:
    """Records what a process posts, many posts a commit. Close it before the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connections = DedicatedConnections(database.dedicated, CONNECTIONS_MAX)
        self._lanes: dict[int, Lane] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def post(self, community_id: int, entry: JournalEntry) -> Recorded:
        """Record one entry and return once it is durable.

        Raises InsufficientPoints, IdempotencyKeyReused, InvalidValue, WrongState, EntryMalformed,
        PostingOverloaded, PostingUndecided.
        """
        (verdict,) = await self._submit(community_id, (entry,))
        return recorded(verdict)

    async def post_linked(self, community_id: int, entries: Sequence[JournalEntry]) -> list[Recorded]:
        """Record entries all or none and return once they are durable.

        Raises what refused the first of them that could not be posted.
        """
        require_linkable(entries)
        verdicts = await self._submit(community_id, tuple(entries))
        for verdict in verdicts:
            if not isinstance(verdict.error, LinkedRefused):
                recorded(verdict)
        return [recorded(verdict) for verdict in verdicts]

    async def post_bulk(
        self, community_id: int, entries: Iterable[JournalEntry]
    ) -> AsyncIterator[list[Verdict]]:
        """Record any number of entries, in order, and yield their verdicts batch by batch.

        Each is posted or refused alone; each batch is a commit: cut off, whole batches are recorded, and the
        same entries again go on where it stopped. The next batch is packed while one is on its way.
        """
        batches = _packed(community_id, entries)
        ahead = await anext(batches, None)
        while ahead is not None:
            if self._closed:
                raise PosterClosed
            connection = await self._connections.wait(CONNECTION_SECONDS_MAX)
            try:
                under_way = asyncio.create_task(self._judged(connection, *ahead))
                self._keep(under_way)
                try:
                    ahead = await anext(batches, None)
                finally:
                    await asyncio.wait([under_way])
            finally:  # only when nothing is on its way through it, and before the caller takes a break
                self._connections.give(connection)
            yield under_way.result()

    async def _judged(
        self, connection: DedicatedConnection, batch: Batch, entries: Sequence[JournalEntry]
    ) -> list[Verdict]:
        """Record entries by one commit; where that is refused whole, by halves, down to who is to blame."""
        now = self._database.clock.now()
        community_id = batch.community_id
        try:
            for entry in entries:
                require_past(entry, now)
            return _verdicts(community_id, entries, await self._apply(connection, batch, entries))
        except (EntryMalformed, InvalidValue) as error:
            if len(entries) == 1:
                return [Verdict(VerdictKind.REFUSED, None, error)]
        middle = len(entries) // 2
        verdicts: list[Verdict] = []
        for half in (entries[:middle], entries[middle:]):
            verdicts += await self._judged(connection, batch_of(community_id, half), half)
        return verdicts

    async def close(self) -> None:
        """Wait until everything gathered is recorded, take nothing more, and close the connections."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._connections.close()

    async def _submit(self, community_id: int, entries: Sequence[JournalEntry]) -> Sequence[Verdict]:
        if self._closed:
            raise PosterClosed
        now = self._database.clock.now()
        for entry in entries:
            if entry.kind in ENDS_A_HOLD:  # the hold's row must end in the same commit
                raise InvalidValue(field="kind", rule="rides_in_a_unit_of_work")
            require_past(entry, now)
        lane = self._lanes.get(community_id)
        if lane is None:
            lane = self._lanes[community_id] = Lane(community_id)
        if lane.waiting + len(entries) > QUEUE_ENTRIES_MAX:
            raise PostingOverloaded
        post = Post(entries, asyncio.get_running_loop().create_future())
        lane.gather(post)
        self._move_on(lane)
        return await post.answer

    def _move_on(self, lane: Lane) -> None:
        """Send what can be sent. Called whenever that may have changed."""
        if lane.asking or not lane.may_send():
            return
        connections = self._connections
        if lane.under_way and (connections.wanted or connections.taken > connections.most // 2):
            return  # a second connection, only if no other lane may need it
        if (connection := connections.take()) is not None:
            self._send(lane, connection)
        elif not lane.under_way:
            lane.asking = True
            self._keep(asyncio.create_task(self._ask(lane)))

    async def _ask(self, lane: Lane) -> None:
        """Wait for a connection and send on it."""
        try:
            connection = await self._connections.wait(CONNECTION_SECONDS_MAX)
        except BaseException as error:
            overloaded = isinstance(error, TimeoutError)
            self._give_up(lane, PostingOverloaded if overloaded else PostingUndecided)
            if not overloaded:
                raise
        else:
            self._send(lane, connection)
        finally:
            lane.asking = False

    def _send(self, lane: Lane, connection: DedicatedConnection) -> None:
        sent = Sent()
        lane.under_way.append(sent)
        self._keep(asyncio.create_task(self._carry(lane, sent, connection)))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, lane: Lane, sent: Sent, connection: DedicatedConnection) -> None:
        """Record the lane's first gathering, as it stands when this begins to run, and answer its posts."""

        def begun() -> None:
            sent.begun = True
            self._move_on(lane)

        outcomes: Sequence[Outcome] | None = None
        sent.gathering = gathering = lane.take()
        try:
            if gathering is not None:
                connection.on_notice = begun
                outcomes = await self._record(connection, gathering)
        except Exception as broken:
            log.error("posting_failed", error=type(broken).__name__, exc_info=broken)
        finally:
            connection.on_notice = None
            lane.under_way.remove(sent)
            self._connections.give(connection)
            if gathering is not None:
                lane.waiting -= gathering.batch.entries
                self._move_on(lane)  # the next goes out before those of this one are woken
                if outcomes is None:
                    gathering.give_up(PostingUndecided)
                else:
                    gathering.tell(outcomes)

    def _give_up(self, lane: Lane, error: type[DomainError]) -> None:
        """Answer those of a lane that have not been sent."""
        while (gathering := lane.take()) is not None:
            lane.waiting -= gathering.batch.entries
            gathering.give_up(error)

    async def _record(self, connection: DedicatedConnection, gathering: Gathering) -> list[Outcome]:
        """Return what became of each post of a gathering."""
        community_id = gathering.batch.community_id
        entries = [entry for post in gathering.posts for entry in post.entries]
        try:
            applied = await self._apply(connection, gathering.batch, entries)
        except EntryMalformed as error:
            if len(gathering.posts) == 1:
                return [error]
            # Its neighbours must not feel what only the database saw in one of them.
            return [
                outcome
                for post in gathering.posts
                for outcome in await self._record(connection, alone(community_id, post))
            ]
        except (PostingUndecided, PostingOverloaded) as error:
            return [type(error)() for _ in gathering.posts]
        verdicts = _verdicts(community_id, entries, applied)
        if len(entries) == len(gathering.posts):
            return [[verdict] for verdict in verdicts]
        each = iter(verdicts)
        return [list(islice(each, len(post.entries))) for post in gathering.posts]

    async def _apply(
        self, connection: DedicatedConnection, batch: Batch, entries: Sequence[JournalEntry]
    ) -> list[Applied]:
        """Apply a batch; what the loss of a connection left open is resolved by the entries' keys."""
        columns = batch.columns()
        decided = True  # nothing of this batch can have been recorded
        for attempt in range(TRIES_MAX):
            if attempt:
                await asyncio.sleep(BACKOFF_SECONDS * 2**attempt)
            try:
                applied = await self._once(connection, batch, columns)
                if applied[0].verdict == UNKNOWN_ACCOUNT:
                    await store.open_accounts_on(
                        connection, batch.community_id, accounts_of(entries), at=self._database.clock.now()
                    )
                    applied = await self._once(connection, batch, columns)
                return applied
            except ConnectionLost as lost:
                decided = False
                log.warning("posting_connection_lost", error=type(lost.__cause__).__name__)
            except StatementRefused as error:
                # The database said no and rolled back: nothing of this try was recorded.
                if not is_passing(error):
                    raise EntryMalformed(sqlstate=error.sqlstate or "") from error
                if decided and attempt + 1 == TRIES_MAX:
                    raise PostingOverloaded from error
        raise PostingUndecided

    async def _once(
        self, connection: DedicatedConnection, batch: Batch, columns: tuple[object, ...]
    ) -> list[Applied]:
        return await store.apply_on(
            connection,
            batch.community_id,
            columns,
            batch.entries,
            recorded_at=self._database.clock.now(),
            tell=True,
        )


async def _packed(
    community_id: int, entries: Iterable[JournalEntry]
) -> AsyncIterator[tuple[Batch, list[JournalEntry]]]:
    """Yield entries in order as batches of a bulk, packed.

    Now and then it lets the loop turn: what is on its way to the database is larger than a socket takes at
    once.
    """
    batch, filling = Batch(community_id), Filling()
    taken: list[JournalEntry] = []
    for place, entry in enumerate(entries):
        if taken and not filling.takes((entry,), len(entry.transfers), BULK_ENTRIES_MAX):
            yield batch, taken
            batch, taken, filling = Batch(community_id), [], Filling()
        batch.add(entry)
        taken.append(entry)
        filling.add(entry)
        if place % TURN_ENTRIES == 0:
            await asyncio.sleep(0)
    if taken:
        yield batch, taken


def _verdicts(
    community_id: int, entries: Sequence[JournalEntry], applied: Sequence[Applied]
) -> list[Verdict]:
    return [verdict_of(community_id, entry, each) for entry, each in zip(entries, applied, strict=True)]
