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
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

import structlog

from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.journal import ENDS_A_HOLD, JournalEntry
from pointsbank.platform.database import Database, is_passing
from pointsbank.platform.dedicated import ConnectionLost, DedicatedConnection, StatementRefused
from services.ledger import store
from services.ledger.batch import LINES_MAX, Batch, accounts_of, batches_of, require_linkable
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

GATHERED_ENTRIES_MAX = 500
"""Entries of one gathered batch: about 15 ms of the database's time."""

QUEUE_ENTRIES_MAX = 10_000
"""Entries of one community that wait in a process; beyond it a post is refused at once."""

BULK_ENTRIES_MAX = 1_000
"""Entries of one batch of a bulk: others get their turn at the head row in between."""

CONNECTIONS_MAX = 8
"""Connections one poster holds at most; a lane gives its own back when another one wants it."""

CONNECTION_SECONDS_MAX = 30

SENT_MAX = 2
"""Batches of one community that are under way at once: one at work, one behind it."""

SHARE_MIN = 64

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


Outcome = Sequence[Verdict] | Exception


class _Post:
    """What one caller posts: one entry, or several that are linked."""

    __slots__ = ("answer", "entries")

    def __init__(self, entries: Sequence[JournalEntry], answer: asyncio.Future[Sequence[Verdict]]) -> None:
        self.entries = entries
        self.answer = answer


class _Gathering:
    """Posts that will be recorded by one commit, in the order in which they came."""

    def __init__(self, community_id: int) -> None:
        self.batch = Batch(community_id)
        self.posts: list[_Post] = []
        self.keys: set[str] = set()

    def takes(self, post: _Post, entries_max: int) -> bool:
        # A key stands once in a batch: the second must see what became of the first.
        if self.batch.entries + len(post.entries) > entries_max:
            return False
        if self.batch.lines + sum(len(entry.transfers) for entry in post.entries) > LINES_MAX:
            return False
        for entry in post.entries:  # noqa: SIM110 - the hot path: a generator costs more than it says
            if entry.key in self.keys:
                return False
        return True

    def add(self, post: _Post) -> None:
        link = len(self.posts) + 1
        for entry in post.entries:
            self.batch.add(entry, link=link)
            self.keys.add(entry.key)
        self.posts.append(post)


class _Lane:
    """The posts of one community that wait, as batches, and what is under way."""

    def __init__(self) -> None:
        self.gatherings: deque[_Gathering] = deque()
        self.waiting = 0
        self.under_way: deque[_Sent] = deque()
        self.changed = asyncio.Event()
        self.wake_at = 0
        """As many entries as must wait before whoever runs the lane is told of one more."""
        self.running: asyncio.Task[None] | None = None

    def may_send(self) -> bool:
        """Tell whether the next batch can be sent: nothing is under way, or the one before is ahead of it."""
        self.wake_at = QUEUE_ENTRIES_MAX
        if not self.gatherings or len(self.under_way) == SENT_MAX:
            return False
        if not self.under_way:
            return True
        last = self.under_way[-1]
        if not last.begun:
            return False
        # To send fewer than are under way would gather too little.
        self.wake_at = last.gathering.batch.entries
        return self.gatherings[0].batch.entries >= self.wake_at or len(self.gatherings) > 1

    def share(self) -> int:
        return min(GATHERED_ENTRIES_MAX, max(SHARE_MIN, (self.waiting + 1) // 2))


class _Sent:
    """A batch on its way."""

    __slots__ = ("begun", "connection", "gathering", "task")

    def __init__(self, gathering: _Gathering, connection: DedicatedConnection) -> None:
        self.gathering = gathering
        self.connection = connection
        self.begun = False
        self.task: asyncio.Task[list[Outcome]] | None = None

    @property
    def done(self) -> bool:
        """Whether it is known what became of every post."""
        return self.task is not None and self.task.done()


class Poster:
    """Records what a process posts, many posts a commit. Close it before the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes: dict[int, _Lane] = {}
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._taken = 0
        self._wanting = 0
        self._closed = False
        self._idle: list[DedicatedConnection] = []

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
        async with self._connection() as connection:
            batches = batches_of(entries, BULK_ENTRIES_MAX)
            ahead = next(batches, None)
            while ahead is not None:
                taken = ahead
                under_way = asyncio.ensure_future(self._judged(connection, community_id, taken))
                try:
                    await asyncio.sleep(0)  # it is sent before the next is packed
                    ahead = next(batches, None)
                finally:  # a connection is given back only when nothing is on its way through it
                    await asyncio.wait([under_way])
                yield under_way.result()

    async def _judged(
        self, connection: DedicatedConnection, community_id: int, entries: Sequence[JournalEntry]
    ) -> list[Verdict]:
        """Record entries by one commit; where that is refused whole, by halves, down to who is to blame."""
        now = self._database.clock.now()
        batch = Batch(community_id)
        for entry in entries:
            batch.add(entry)
        try:
            for entry in entries:
                require_past(entry, now)
            return _verdicts(community_id, entries, await self._apply(connection, batch, entries))
        except (EntryMalformed, InvalidValue) as error:
            if len(entries) == 1:
                return [Verdict(VerdictKind.REFUSED, None, error)]
        middle = len(entries) // 2
        first = await self._judged(connection, community_id, entries[:middle])
        return first + await self._judged(connection, community_id, entries[middle:])

    async def close(self) -> None:
        """Wait until everything gathered is recorded, take nothing more, and close the connections."""
        self._closed = True
        running = [lane.running for lane in self._lanes.values() if lane.running is not None]
        if running:
            await asyncio.wait(running)
        while self._idle:
            await self._idle.pop().close()

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
            lane = self._lanes[community_id] = _Lane()
        if lane.waiting + len(entries) > QUEUE_ENTRIES_MAX:
            raise PostingOverloaded
        post = _Post(entries, asyncio.get_running_loop().create_future())
        if not lane.gatherings or not lane.gatherings[-1].takes(post, lane.share()):
            lane.gatherings.append(_Gathering(community_id))
        lane.gatherings[-1].add(post)
        lane.waiting += len(entries)
        if lane.running is None:
            lane.running = asyncio.create_task(self._run(lane))
        elif lane.gatherings[0].batch.entries >= lane.wake_at or len(lane.gatherings) > 1:
            lane.changed.set()
        return await post.answer

    async def _run(self, lane: _Lane) -> None:
        """Record a lane's batches until none is left."""
        try:
            while lane.gatherings:
                async with self._connection() as first, self._connection_to_spare() as second:
                    await self._drive(lane, [first] if second is None else [second, first])
        except TimeoutError:  # no connection was free for long
            self._give_up(lane, PostingOverloaded)
        finally:
            self._give_up(lane, PostingUndecided)
            lane.running = None

    async def _drive(self, lane: _Lane, free: list[DedicatedConnection]) -> None:
        """Record batches until none is left, or, after one turn, another lane wants a connection."""
        fresh = True
        try:
            while lane.under_way or (lane.gatherings and (fresh or not self._wanting)):
                lane.changed.clear()
                while free and (fresh or not self._wanting) and lane.may_send():
                    self._send(lane, free.pop())
                fresh = False
                if not any(sent.done for sent in lane.under_way):
                    await lane.changed.wait()
                await self._answer(lane, free)
        finally:
            # Only when this task is cancelled: nothing may go on through connections that are given back.
            left = [sent for sent in lane.under_way if sent.task is not None]
            lane.under_way.clear()
            for sent in left:
                assert sent.task is not None
                sent.task.cancel()
                lane.waiting -= sent.gathering.batch.entries
                _tell(sent.gathering, [PostingUndecided() for _ in sent.gathering.posts])

    def _send(self, lane: _Lane, connection: DedicatedConnection) -> None:
        sent = _Sent(lane.gatherings.popleft(), connection)
        lane.under_way.append(sent)

        def begun() -> None:
            sent.begun = True
            lane.changed.set()

        connection.on_notice = begun
        sent.task = asyncio.create_task(self._record(connection, sent.gathering))
        sent.task.add_done_callback(lambda _task: lane.changed.set())

    async def _answer(self, lane: _Lane, free: list[DedicatedConnection]) -> None:
        """Answer the posts of batches that are done, after the next has been sent in their place."""
        done = [sent for sent in lane.under_way if sent.done]
        for sent in done:
            lane.under_way.remove(sent)
            lane.waiting -= sent.gathering.batch.entries
            sent.connection.on_notice = None
            free.append(sent.connection)
        if done and free and not self._wanting and lane.may_send():
            self._send(lane, free.pop())
            await asyncio.sleep(0)  # it goes out before those of the last batch are woken
        for sent in done:
            assert sent.task is not None
            if (broken := sent.task.exception()) is not None:
                log.error("posting_failed", error=type(broken).__name__, exc_info=broken)
                _tell(sent.gathering, [PostingUndecided() for _ in sent.gathering.posts])
            else:
                _tell(sent.gathering, sent.task.result())
        if done:
            await asyncio.sleep(0)  # whoever was woken may post again at once

    def _give_up(self, lane: _Lane, error: type[DomainError]) -> None:
        """Answer those of a lane that still wait, should there be any."""
        while lane.gatherings:
            gathering = lane.gatherings.popleft()
            lane.waiting -= gathering.batch.entries
            _tell(gathering, [error() for _ in gathering.posts])

    async def _record(self, connection: DedicatedConnection, gathering: _Gathering) -> list[Outcome]:
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
                for outcome in await self._record(connection, _alone(community_id, post))
            ]
        except (PostingUndecided, PostingOverloaded) as error:
            return [type(error)() for _ in gathering.posts]
        verdicts = iter(_verdicts(community_id, entries, applied))
        return [list(islice(verdicts, len(post.entries))) for post in gathering.posts]

    async def _apply(
        self, connection: DedicatedConnection, batch: Batch, entries: Sequence[JournalEntry]
    ) -> list[Applied]:
        """Apply a batch; what the loss of a connection left open is resolved by the entries' keys."""
        columns = batch.columns()
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
                log.warning("posting_connection_lost", error=type(lost.__cause__).__name__)
            except StatementRefused as error:
                # The database said no and rolled back: nothing of this try was recorded.
                if not is_passing(error):
                    raise EntryMalformed(sqlstate=error.sqlstate or "") from error
                if attempt + 1 == TRIES_MAX:
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

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[DedicatedConnection]:
        """A connection for as long as it is needed. Raises TimeoutError when none is free for long."""
        self._wanting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), CONNECTION_SECONDS_MAX)
        finally:
            self._wanting -= 1
        try:
            connection = self._idle.pop() if self._idle else self._database.dedicated()
            self._taken += 1
            try:
                yield connection
            finally:
                self._taken -= 1
                if self._closed:
                    await connection.close()
                else:
                    self._idle.append(connection)
        finally:
            self._free.release()

    @asynccontextmanager
    async def _connection_to_spare(self) -> AsyncIterator[DedicatedConnection | None]:
        """A second connection for a lane, unless other lanes may need it."""
        if self._taken > CONNECTIONS_MAX // 2 or self._wanting:
            yield None
            return
        async with self._connection() as connection:
            yield connection


def _alone(community_id: int, post: _Post) -> _Gathering:
    gathering = _Gathering(community_id)
    gathering.add(post)
    return gathering


def _verdicts(
    community_id: int, entries: Sequence[JournalEntry], applied: Sequence[Applied]
) -> list[Verdict]:
    return [verdict_of(community_id, entry, each) for entry, each in zip(entries, applied, strict=True)]


def _tell(gathering: _Gathering, outcomes: Sequence[Outcome]) -> None:
    """Answer each post."""
    for post, outcome in zip(gathering.posts, outcomes, strict=True):
        if not post.answer.done():  # its caller may have gone away
            if isinstance(outcome, Exception):
                post.answer.set_exception(outcome)
            else:
                post.answer.set_result(outcome)
