"""Group commit: many posts a commit, each judged alone, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import (
    EntryKind,
    IdempotencyKeyReused,
    InsufficientPoints,
    JournalEntry,
    Transfer,
)
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import posting, service, store
from services.ledger.posting import (
    EntryMalformed,
    Poster,
    PosterClosed,
    PostingOverloaded,
    PostingUndecided,
)
from services.ledger.proof.verification import verify
from services.ledger.verdicts import LinkedRefused
from services.ledger.views import Recorded, VerdictKind
from tests.ledgers import NOON, bare_ledger, entry, grant, move

MEMBER, OTHER = UUID(int=101), UUID(int=102)
GIVES, GETS = accounts.available(MEMBER), accounts.available(OTHER)


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    return database


@pytest.fixture
async def poster(ledger: Database) -> AsyncIterator[Poster]:
    poster = Poster(ledger)
    yield poster
    await poster.close()


@pytest.fixture
async def owner(ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def balance(ledger: Database, code: accounts.AccountCode, community_id: int = 1) -> int:
    async with ledger.unit_of_work(community_id) as uow:
        return await service.balance(uow, code)


async def at_once(poster: Poster, *entries: JournalEntry) -> list[Recorded | BaseException]:
    """Post entries at the same time, in this order, and return what became of each."""
    return await asyncio.gather(*(poster.post(1, entry) for entry in entries), return_exceptions=True)


async def test_a_post_is_answered_when_others_can_read_it(ledger: Database, poster: Poster) -> None:
    recorded = await poster.post(1, grant(MEMBER, 5, "a"))
    assert (recorded.number, recorded.already) == (1, False)
    assert await balance(ledger, GIVES) == 5


async def test_posts_at_the_same_time_share_commits(poster: Poster, owner: asyncpg.Connection) -> None:
    answers = await at_once(poster, *(grant(MEMBER, 1, f"g{number}") for number in range(300)))
    assert [answer.number for answer in answers if isinstance(answer, Recorded)] == list(range(1, 301))
    commits = await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM bank.journal_lines")
    assert commits <= 4, "the first goes alone; the others gather meanwhile"


async def test_an_overdraft_is_refused_alone_and_in_the_order_of_arrival(
    ledger: Database, poster: Poster
) -> None:
    answers = await at_once(
        poster,
        grant(MEMBER, 100, "grant"),
        move(GIVES, GETS, 60, "fits"),
        move(GIVES, GETS, 60, "does-not-fit"),
        move(GIVES, GETS, 40, "fits-exactly"),
        move(GETS, GIVES, 100, "gives-back"),
        move(GIVES, GETS, 100, "fits-again"),
    )
    refused = answers.pop(2)
    assert isinstance(refused, InsufficientPoints)
    assert (refused.available, refused.requested) == (40, 60)
    assert [answer.number for answer in answers if isinstance(answer, Recorded)] == [1, 2, 3, 4, 5]
    assert (await balance(ledger, GIVES), await balance(ledger, GETS)) == (0, 100)


async def test_one_key_posted_thirty_times_at_once_is_recorded_once(ledger: Database, poster: Poster) -> None:
    answers = await at_once(poster, *[grant(MEMBER, 5, "same")] * 30)
    told = [(answer.number, answer.already) for answer in answers if isinstance(answer, Recorded)]
    assert told == [(1, False)] + [(1, True)] * 29
    assert await balance(ledger, GIVES) == 5


async def test_another_request_under_a_key_of_the_same_moment_is_refused(poster: Poster) -> None:
    first, second = await at_once(poster, grant(MEMBER, 5, "k"), grant(MEMBER, 6, "k"))
    assert isinstance(first, Recorded)
    assert isinstance(second, IdempotencyKeyReused)


async def test_linked_posts_are_recorded_all_or_none_among_others(ledger: Database, poster: Poster) -> None:
    groups = await asyncio.gather(
        poster.post(1, grant(MEMBER, 100, "g")),
        poster.post_linked(1, [move(GIVES, GETS, 70, "a1"), move(GIVES, GETS, 70, "a2")]),
        poster.post_linked(1, [move(GIVES, GETS, 70, "b1"), move(GETS, GIVES, 10, "b2")]),
        poster.post(1, move(GIVES, GETS, 40, "c")),
        return_exceptions=True,
    )
    assert isinstance(groups[1], InsufficientPoints)
    assert [each.number for each in groups[2]] == [2, 3]  # type: ignore[union-attr]
    assert isinstance(groups[3], Recorded)
    assert await balance(ledger, GETS) == 100


async def test_a_linked_post_sent_again_answers_the_first_numbers(poster: Poster) -> None:
    both = [grant(MEMBER, 10, "x"), move(GIVES, GETS, 5, "y")]
    first = await poster.post_linked(1, both)
    again = await poster.post_linked(1, both)
    assert [each.number for each in again] == [each.number for each in first] == [1, 2]
    assert all(each.already for each in again)


async def test_linked_posts_in_a_unit_of_work_are_recorded_all_or_none(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 10, "g"))
        with pytest.raises(InsufficientPoints):
            await service.post_linked(uow, [move(GIVES, GETS, 6, "a"), move(GIVES, GETS, 6, "b")])
        assert await service.balance(uow, GETS) == 0
        two = await service.post_linked(uow, [move(GIVES, GETS, 6, "a"), move(GIVES, GETS, 4, "b")])
        assert [each.number for each in two] == [2, 3]
        with pytest.raises(LinkedRefused):
            await service.post_linked(uow, [move(GIVES, GETS, 6, "a"), grant(MEMBER, 1, "new")])


async def test_an_entry_only_the_database_can_refuse_fails_alone(ledger: Database, poster: Poster) -> None:
    unheard = grant(MEMBER, 1, "cites")
    unheard = replace(unheard, origin=replace(unheard.origin, policy_version=99))
    answers = await at_once(
        poster, grant(MEMBER, 5, "a"), grant(MEMBER, 5, "b"), unheard, grant(MEMBER, 5, "c")
    )
    malformed = answers.pop(2)
    assert isinstance(malformed, EntryMalformed)
    assert malformed.sqlstate == asyncpg.ForeignKeyViolationError.sqlstate
    assert all(isinstance(answer, Recorded) for answer in answers)
    assert await balance(ledger, GIVES) == 15


async def test_what_has_not_happened_yet_is_refused_before_it_is_gathered(poster: Poster) -> None:
    with pytest.raises(InvalidValue, match="not_in_the_future"):
        await poster.post(1, replace(grant(MEMBER, 1, "x"), occurred_at=NOON + timedelta(seconds=1)))


async def test_beyond_its_bound_the_queue_refuses_at_once_and_loses_nothing(
    ledger: Database, poster: Poster, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "QUEUE_ENTRIES_MAX", 10)
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM bank.ledger_heads WHERE community_id = 1 FOR UPDATE")
        waiting = [
            asyncio.create_task(poster.post(1, grant(MEMBER, 1, f"g{number}"))) for number in range(10)
        ]
        await asyncio.sleep(0.05)
        with pytest.raises(PostingOverloaded):
            await poster.post(1, grant(MEMBER, 1, "too-many"))
    assert len(await asyncio.gather(*waiting)) == 10
    await poster.post(1, grant(MEMBER, 1, "too-many"))
    assert await balance(ledger, GIVES) == 11


async def test_a_communitys_chain_does_not_wait_for_anothers(
    ledger: Database, poster: Poster, owner: asyncpg.Connection
) -> None:
    await bare_ledger(ledger, 2)
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM bank.ledger_heads WHERE community_id = 1 FOR UPDATE")
        held_up = asyncio.create_task(poster.post(1, grant(MEMBER, 1, "waits")))
        await asyncio.sleep(0)
        assert (await asyncio.wait_for(poster.post(2, grant(MEMBER, 1, "goes-on")), 5)).number == 1
        assert not held_up.done()
    assert (await held_up).number == 1


async def test_a_caller_who_goes_away_takes_nobody_along(ledger: Database, poster: Poster) -> None:
    posts = [asyncio.create_task(poster.post(1, grant(MEMBER, 1, f"g{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    posts[3].cancel()
    answers = await asyncio.gather(*posts, return_exceptions=True)
    assert sum(isinstance(answer, Recorded) for answer in answers) == 19
    assert await balance(ledger, GIVES) == 20, "what was gathered is recorded, heard or not"


async def test_two_processes_posting_at_once_leave_no_gap_and_a_sound_chain(
    ledger: Database, poster: Poster, app_url: str
) -> None:
    other_database = Database(app_url, clock=FixedClock(NOON))
    other = Poster(other_database)
    try:
        answers = await asyncio.gather(
            *(poster.post(1, grant(MEMBER, 1, f"a{number}")) for number in range(150)),
            *(other.post(1, grant(OTHER, 1, f"b{number}")) for number in range(150)),
        )
    finally:
        await other.close()
        await other_database.close()
    assert sorted(answer.number for answer in answers) == list(range(1, 301))
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound


async def test_a_bulk_answers_each_entry_in_order_and_goes_on_where_it_stopped(
    ledger: Database, poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "BULK_ENTRIES_MAX", 7)
    entries = [grant(MEMBER, 10, f"g{number}") for number in range(20)]
    entries.insert(9, move(GIVES, GETS, 1_000, "too-much"))
    kinds = [verdict.kind async for verdicts in poster.post_bulk(1, entries) for verdict in verdicts]
    assert kinds == [VerdictKind.POSTED] * 9 + [VerdictKind.REFUSED] + [VerdictKind.POSTED] * 11
    entries.append(grant(MEMBER, 10, "one-more"))
    again = [verdict async for verdicts in poster.post_bulk(1, entries) for verdict in verdicts]
    assert [verdict.kind for verdict in again[:9]] == [VerdictKind.ALREADY] * 9
    assert (again[-1].kind, again[-1].number) == (VerdictKind.POSTED, 21)
    assert await balance(ledger, GIVES) == 210


async def test_a_unit_of_work_and_gathered_posts_take_turns(ledger: Database, poster: Poster) -> None:
    async def riding(number: int) -> int:
        async with ledger.unit_of_work(1) as uow:
            return (await service.post(uow, grant(OTHER, 1, f"rides{number}"))).number

    answers = await asyncio.gather(
        *(riding(number) for number in range(15)),
        *(poster.post(1, grant(MEMBER, 1, f"g{number}")) for number in range(100)),
    )
    numbers = [answer if isinstance(answer, int) else answer.number for answer in answers]
    assert sorted(numbers) == list(range(1, 116))


async def test_a_batch_that_opens_an_account_is_not_overtaken_by_the_next(
    ledger: Database, poster: Poster
) -> None:
    await poster.post(1, grant(MEMBER, 1, "warm"))
    for round_ in range(5):
        newcomer = accounts.available(UUID(int=5_000 + round_))
        first = [poster.post(1, grant(MEMBER, 1, f"f{round_}-{number}")) for number in range(80)]
        opening = poster.post(1, move(GIVES, newcomer, 1, f"opens-{round_}"))
        spends = poster.post(1, move(newcomer, GIVES, 1, f"spends-{round_}"))
        rest = [poster.post(1, grant(MEMBER, 1, f"r{round_}-{number}")) for number in range(80)]
        answers = await asyncio.gather(*first, opening, spends, *rest)
        numbers = [answer.number for answer in answers]
        assert numbers == sorted(numbers)


async def test_a_key_that_is_no_text_is_refused_before_it_reaches_anybody(
    ledger: Database, poster: Poster
) -> None:
    with pytest.raises(InvalidValue, match="characters"):
        grant(MEMBER, 1, "bad\ud800")
    answers = await at_once(poster, grant(MEMBER, 1, "a"), grant(MEMBER, 1, "b"))
    assert [answer.number for answer in answers if isinstance(answer, Recorded)] == [1, 2]


async def test_a_fault_of_ours_hangs_no_caller(
    ledger: Database, poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(store, "apply_on", broken)
    answers = await asyncio.wait_for(at_once(poster, grant(MEMBER, 1, "a"), grant(MEMBER, 1, "b")), 10)
    assert all(isinstance(answer, PostingUndecided) for answer in answers)


async def test_closing_waits_for_what_was_gathered_and_takes_nothing_more(
    ledger: Database, poster: Poster, owner: asyncpg.Connection
) -> None:
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM bank.ledger_heads WHERE community_id = 1 FOR UPDATE")
        posts = [asyncio.create_task(poster.post(1, grant(MEMBER, 1, f"g{number}"))) for number in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(poster.close(), 0.1)
    assert len(await asyncio.wait_for(asyncio.gather(*posts), 10)) == 3
    await poster.close()
    with pytest.raises(PosterClosed):
        await poster.post(1, grant(MEMBER, 1, "late"))


async def test_a_busy_community_leaves_others_their_turn(ledger: Database, poster: Poster) -> None:
    await bare_ledger(ledger, 2)
    poster._connections.most = 1
    stop = asyncio.Event()

    async def keeps_on(worker: int) -> None:
        step = 0
        while not stop.is_set():
            step += 1
            await poster.post(1, grant(MEMBER, 1, f"{worker}-{step}"))

    busy = [asyncio.create_task(keeps_on(worker)) for worker in range(8)]
    await asyncio.sleep(0.2)
    try:
        assert (await asyncio.wait_for(poster.post(2, grant(MEMBER, 1, "waits")), 5)).number == 1
    finally:
        stop.set()
        await asyncio.gather(*busy)


async def test_one_malformed_entry_of_a_bulk_is_refused_alone(ledger: Database, poster: Poster) -> None:
    unheard = grant(MEMBER, 1, "cites")
    unheard = replace(unheard, origin=replace(unheard.origin, policy_version=99))
    ahead = replace(grant(MEMBER, 1, "ahead"), occurred_at=NOON + timedelta(seconds=1))
    entries = [grant(MEMBER, 1, "a"), unheard, grant(MEMBER, 1, "b"), ahead, grant(MEMBER, 1, "a")]
    verdicts = [verdict async for batch in poster.post_bulk(1, entries) for verdict in batch]
    assert [verdict.kind for verdict in verdicts] == [
        VerdictKind.POSTED,
        VerdictKind.REFUSED,
        VerdictKind.POSTED,
        VerdictKind.REFUSED,
        VerdictKind.ALREADY,
    ]
    assert isinstance(verdicts[1].error, EntryMalformed)
    assert isinstance(verdicts[3].error, InvalidValue)


async def test_what_ends_a_hold_is_not_gathered(poster: Poster) -> None:
    with pytest.raises(InvalidValue, match="rides_in_a_unit_of_work"):
        await poster.post(1, entry("v", [Transfer(GIVES, GETS, 1)], kind=EntryKind.VOID))


async def test_bulks_that_take_a_break_keep_no_connection_from_others(
    ledger: Database, poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "BULK_ENTRIES_MAX", 2)
    poster._connections.most = 2
    bulks = [
        poster.post_bulk(1, [grant(MEMBER, 1, f"b{bulk}-{number}") for number in range(6)])
        for bulk in range(4)
    ]
    for bulk in bulks:
        assert len(await anext(bulk)) == 2
    assert (await asyncio.wait_for(poster.post(1, grant(MEMBER, 1, "meanwhile")), 5)).number == 9
    for bulk in bulks:
        assert sum([len(verdicts) async for verdicts in bulk]) == 4


async def test_a_bulk_ends_with_its_poster(
    ledger: Database, poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "BULK_ENTRIES_MAX", 2)
    bulk = poster.post_bulk(1, [grant(MEMBER, 1, f"b{number}") for number in range(6)])
    assert len(await anext(bulk)) == 2
    await poster.close()
    with pytest.raises(PosterClosed):
        await anext(bulk)


async def test_whoever_is_cancelled_in_the_moment_of_getting_a_connection_has_none(
    ledger: Database, poster: Poster
) -> None:
    connections = poster._connections
    connections.most = 1
    first = await connections.wait(1)
    waits = asyncio.create_task(connections.wait(1))
    await asyncio.sleep(0)
    connections.give(first)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert connections.taken == 0
    assert await connections.wait(1) is first
    connections.give(first)
