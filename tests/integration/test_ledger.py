"""The journal on real PostgreSQL: verdicts, balances, holds, statements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import NotFound, WrongState
from pointsbank.domain.hold import Hold, HoldExpired, HoldState
from pointsbank.domain.journal import (
    EntryKind,
    IdempotencyKeyReused,
    InsufficientPoints,
    Transfer,
    reversal,
    taken_back,
)
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import hold_store, holds, service
from services.ledger.views import VerdictKind
from tests.ledgers import NOBODY, NOON, bare_ledger, entry, grant, move, origin

MEMBER, OTHER, CANTEEN = UUID(int=101), UUID(int=102), UUID(int=201)


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    return database


def a_hold(amount: int, hours: int = 48) -> Hold:
    return Hold(
        id=uuid4(),
        member=MEMBER,
        partner=CANTEEN,
        amount=MilliPoints(amount),
        expires_at=NOON + timedelta(hours=hours),
    )


async def balance(uow: UnitOfWork, code: accounts.AccountCode) -> int:
    return await service.balance(uow, code)


async def test_an_entry_moves_both_balances_and_gets_number_one(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        recorded = await service.post(uow, grant(MEMBER, 333, "a"))
        assert (recorded.number, recorded.already) == (1, False)
        assert await balance(uow, accounts.available(MEMBER)) == 333
        assert await balance(uow, accounts.issuance(Commodity.POINT)) == -333


async def test_the_same_request_again_answers_the_first_number_and_posts_nothing(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        first = await service.post(uow, grant(MEMBER, 500, "a"))
    async with ledger.unit_of_work(1) as uow:
        again = await service.post(uow, grant(MEMBER, 500, "a"))
        assert again.number == first.number
        assert again.already
        assert await balance(uow, accounts.available(MEMBER)) == 500


async def test_another_request_under_the_same_key_is_refused(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 500, "a"))
        with pytest.raises(IdempotencyKeyReused):
            await service.post(uow, grant(MEMBER, 501, "a"))


async def test_an_overdraft_in_a_batch_refuses_that_entry_only_and_in_order(ledger: Database) -> None:
    there, back = accounts.available(MEMBER), accounts.available(OTHER)
    async with ledger.unit_of_work(1) as uow:
        verdicts = await service.post_many(
            uow,
            [
                grant(MEMBER, 100, "grant"),
                move(there, back, 60, "fits"),
                move(there, back, 60, "does-not-fit"),
                move(there, back, 40, "fits-exactly"),
                move(back, there, 100, "gives-back"),
                move(there, back, 100, "fits-again"),
            ],
        )
        kinds = [verdict.kind for verdict in verdicts]
        assert kinds == [VerdictKind.POSTED] * 2 + [VerdictKind.REFUSED] + [VerdictKind.POSTED] * 3
        assert [verdict.number for verdict in verdicts] == [1, 2, None, 3, 4, 5]
        error = verdicts[2].error
        assert isinstance(error, InsufficientPoints)
        assert (error.available, error.requested) == (40, 60)
        assert await balance(uow, back) == 100
        assert await balance(uow, there) == 0


async def test_a_refused_key_is_judged_anew_when_the_reason_is_gone(ledger: Database) -> None:
    spend = move(accounts.available(MEMBER), accounts.available(OTHER), 50, "spend")
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 10, "first"))
        with pytest.raises(InsufficientPoints):
            await service.post(uow, spend)
        await service.post(uow, grant(MEMBER, 40, "second"))
        assert (await service.post(uow, spend)).already is False


async def test_a_key_twice_in_a_batch_posts_once_and_a_changed_one_is_refused(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        verdicts = await service.post_many(
            uow, [grant(MEMBER, 5, "k"), grant(MEMBER, 5, "k"), grant(MEMBER, 6, "k")]
        )
        assert verdicts[0].number == verdicts[1].number == 1
        assert isinstance(verdicts[2].error, IdempotencyKeyReused)
        assert await balance(uow, accounts.available(MEMBER)) == 5


async def test_a_rolled_back_unit_of_work_leaves_no_entry_and_no_gap(ledger: Database) -> None:
    async def lose() -> None:
        async with ledger.unit_of_work(1) as uow:
            await service.post(uow, grant(MEMBER, 5, "lost"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await lose()
    async with ledger.unit_of_work(1) as uow:
        assert (await service.post(uow, grant(MEMBER, 7, "kept"))).number == 1
        assert await balance(uow, accounts.available(MEMBER)) == 7


async def test_capturing_part_of_a_hold_pays_the_partner_and_releases_the_rest(ledger: Database) -> None:
    hold = a_hold(10_000)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 12_000, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
        assert await balance(uow, accounts.available(MEMBER)) == 2_000
        assert await balance(uow, accounts.held(MEMBER)) == 10_000
        await holds.capture_hold(uow, hold.id, amount=MilliPoints(9_000), actor=NOBODY)
        assert await balance(uow, accounts.available(MEMBER)) == 3_000
        assert await balance(uow, accounts.held(MEMBER)) == 0
        assert await balance(uow, accounts.partner_earned(CANTEEN)) == 9_000


async def test_capturing_a_hold_twice_posts_once(ledger: Database) -> None:
    hold = a_hold(100)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
        await holds.capture_hold(uow, hold.id, amount=MilliPoints(100), actor=NOBODY)
    async with ledger.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await holds.capture_hold(uow, hold.id, amount=MilliPoints(100), actor=NOBODY)
        with pytest.raises(WrongState):
            await holds.void_hold(uow, hold.id, actor=NOBODY)
        assert await balance(uow, accounts.partner_earned(CANTEEN)) == 100


async def test_a_voided_hold_gives_everything_back(ledger: Database) -> None:
    hold = a_hold(100)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
        assert (await holds.void_hold(uow, hold.id, actor=NOBODY)).state is HoldState.VOIDED
        assert await balance(uow, accounts.available(MEMBER)) == 100
        assert await balance(uow, accounts.held(MEMBER)) == 0


async def test_an_expired_hold_cannot_be_captured_though_no_sweep_has_seen_it(ledger: Database) -> None:
    hold = a_hold(100, hours=1)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
        uow.clock.move_to(NOON + timedelta(hours=1))
        with pytest.raises(HoldExpired):
            await holds.capture_hold(uow, hold.id, amount=MilliPoints(100), actor=NOBODY)
        await holds.expire_hold(uow, hold.id, actor=NOBODY)
        assert await balance(uow, accounts.available(MEMBER)) == 100


async def test_a_hold_beyond_the_balance_is_refused_and_leaves_no_hold(ledger: Database) -> None:
    hold = a_hold(101)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        with pytest.raises(InsufficientPoints):
            await holds.open_hold(uow, hold, origin(MEMBER))
        with pytest.raises(NotFound):
            await holds.lock_hold(uow, hold.id)


async def test_a_reversal_mirrors_its_entry_once(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        number = (await service.post(uow, grant(MEMBER, 100, "g"))).number
        await service.reverse(uow, number, actor=NOBODY)
        assert await balance(uow, accounts.available(MEMBER)) == 0
        assert (await service.reverse(uow, number, actor=NOBODY)).already
        assert (await service.entry(uow, 2)).reverses == 1


async def test_a_hold_cannot_be_reversed_in_the_domain_nor_in_the_journal(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, a_hold(60), origin(MEMBER))
        with pytest.raises(WrongState, match="not_reversible"):
            await service.reverse(uow, 2, actor=NOBODY)
        opening = move(accounts.available(MEMBER), accounts.held(MEMBER), 60, "x")
        back = [taken_back(transfer) for transfer in opening.transfers]
        mirror = reversal(2, back, origin=origin(MEMBER), occurred_at=NOON)
        (verdict,) = await service.post_many(uow, [mirror])
        assert isinstance(verdict.error, WrongState)
        assert verdict.error.state == "not_reversible"


async def test_the_first_posting_on_new_accounts_keeps_the_order_of_its_batch(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        verdicts = await service.post_many(
            uow,
            [
                grant(MEMBER, 100, "g"),
                move(accounts.available(MEMBER), accounts.held(MEMBER), 100, "spends-it"),
            ],
        )
        assert [verdict.number for verdict in verdicts] == [1, 2]


async def test_a_statement_in_pages_closes_on_the_whole_period(ledger: Database) -> None:
    code = accounts.available(MEMBER)
    async with ledger.unit_of_work(1) as uow:
        await service.post_many(uow, [grant(MEMBER, 10, f"g{number}") for number in range(5)])
        period = (NOON - timedelta(days=1), NOON + timedelta(days=1))
        first = await service.statement(uow, code, *period, limit=3)
        rest = await service.statement(uow, code, *period, after=first.lines[-1].number, limit=3)
        assert (len(first.lines), first.more, first.closing) == (3, True, 50)
        assert (len(rest.lines), rest.more, rest.opening, rest.closing) == (2, False, 0, 50)


async def test_two_policies_added_at_once_get_numbers_of_their_own(ledger: Database) -> None:
    async def add() -> int:
        async with ledger.unit_of_work(1) as uow:
            return await service.add_policy(
                uow,
                effective_from=date(2027, 1, 1),
                body=DEFAULT_POLICY,
                proposed_by=MEMBER,
                approved_by=OTHER,
            )

    assert sorted(await asyncio.gather(*(add() for _ in range(4)))) == [2, 3, 4, 5]


async def test_a_hold_that_no_entry_opened_is_refused_by_the_database(ledger: Database) -> None:
    with pytest.raises(IntegrityError, match="opened by no entry"):
        async with ledger.unit_of_work(1) as uow:
            await hold_store.insert(uow, a_hold(10), policy_version=1, source_id=uuid4(), opened_by=1)


async def test_a_hold_cannot_end_in_the_database_without_its_entry(ledger: Database) -> None:
    hold = a_hold(10)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
    with pytest.raises(IntegrityError, match="ended by no entry"):
        async with ledger.unit_of_work(1) as uow:
            await hold_store.lock(uow, hold.id)
            await hold_store.save(uow, replace(hold, state=HoldState.VOIDED), ended_by=2)


async def test_a_hold_that_has_ended_is_final_in_the_database(ledger: Database) -> None:
    hold = a_hold(10)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
        await holds.void_hold(uow, hold.id, actor=NOBODY)
    with pytest.raises(DBAPIError, match="stays as it is"):
        async with ledger.unit_of_work(1) as uow:
            await hold_store.lock(uow, hold.id)
            await hold_store.save(uow, hold, ended_by=3)


async def test_a_reversal_of_points_already_spent_is_refused(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        number = (await service.post(uow, grant(MEMBER, 100, "g"))).number
        await service.post(uow, move(accounts.available(MEMBER), accounts.available(OTHER), 1, "spent"))
        with pytest.raises(InsufficientPoints):
            await service.reverse(uow, number, actor=NOBODY)


async def test_a_statement_opens_and_closes_on_the_balances_of_its_period(ledger: Database) -> None:
    code = accounts.available(MEMBER)
    for day in range(3):
        ledger.clock.move_to(NOON + timedelta(days=day))
        async with ledger.unit_of_work(1) as uow:
            await service.post(uow, grant(MEMBER, 100, f"day-{day}"))
    async with ledger.unit_of_work(1) as uow:
        statement = await service.statement(uow, code, NOON + timedelta(days=1), NOON + timedelta(days=2))
        assert (statement.opening, statement.closing) == (100, 200)
        assert [line.amount for line in statement.lines] == [100]
        assert await service.balance_as_of(uow, code, NOON + timedelta(days=2)) == 200
        assert await service.balance_as_of(uow, code, NOON) == 0


async def test_a_backdated_entry_changes_no_statement_of_the_past(ledger: Database) -> None:
    code = accounts.available(MEMBER)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "then"))
    ledger.clock.move_to(NOON + timedelta(days=5))
    async with ledger.unit_of_work(1) as uow:
        late = replace(grant(MEMBER, 7, "late"), occurred_at=NOON - timedelta(days=9))
        await service.post(uow, late)
        past = await service.statement(uow, code, NOON - timedelta(days=30), NOON + timedelta(days=1))
        assert past.closing == 100
        now = await service.statement(uow, code, NOON + timedelta(days=1), NOON + timedelta(days=6))
        assert (now.opening, now.closing) == (100, 107)
        assert now.lines[0].occurred_at == NOON - timedelta(days=9)


async def test_the_trial_balance_sums_to_zero_in_every_commodity(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, a_hold(30), origin(MEMBER))
        trial = await service.trial_balance(uow)
        assert trial.balanced
        assert {line.kind.value: line.balance for line in trial.lines} == {
            "issuance": -100,
            "member_available": 70,
            "member_held": 30,
        }


async def test_two_communities_have_journals_and_numbers_of_their_own(ledger: Database) -> None:
    await bare_ledger(ledger, community_id=2)
    async with ledger.unit_of_work(1) as uow:
        assert (await service.post(uow, grant(MEMBER, 1, "a"))).number == 1
    async with ledger.unit_of_work(2) as uow:
        assert (await service.post(uow, grant(MEMBER, 2, "a"))).number == 1
        assert await balance(uow, accounts.available(MEMBER)) == 2


async def test_a_page_of_a_statement_tells_entries_whole_and_can_be_gone_on_from(ledger: Database) -> None:
    code = accounts.available(MEMBER)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        many = [Transfer(code, accounts.available(OTHER), 10) for _ in range(5)]
        await service.post(uow, entry("five", many, kind=EntryKind.GIFT))
        await service.post(uow, grant(MEMBER, 1, "last"))
        period = (NOON - timedelta(days=1), NOON + timedelta(days=1))
        first = await service.statement(uow, code, *period, limit=2)
        rest = await service.statement(uow, code, *period, after=first.lines[-1].number, limit=2)
    assert [line.number for line in first.lines] == [1, 2, 2, 2, 2, 2]
    assert first.more
    assert ([line.number for line in rest.lines], rest.more) == ([3], False)


async def test_a_served_meal_is_taken_back_from_the_partner_by_a_refund_alone(ledger: Database) -> None:
    hold = a_hold(100)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await holds.open_hold(uow, hold, origin(MEMBER))
        await holds.capture_hold(uow, hold.id, amount=MilliPoints(100), actor=NOBODY)
        with pytest.raises(WrongState, match="not_reversible"):
            await service.reverse(uow, 3, actor=NOBODY)
    back = Transfer(accounts.partner_earned(CANTEEN), accounts.available(MEMBER), 100)
    with pytest.raises(DBAPIError, match="a capture is taken back by a refund alone"):
        async with ledger.unit_of_work(1) as uow:
            await service.post_many(uow, [reversal(3, [back], origin=origin(MEMBER), occurred_at=NOON)])


@pytest.mark.parametrize("change", [{"member": OTHER}, {"amount": MilliPoints(60)}])
async def test_a_capture_of_another_hold_than_it_names_is_refused_by_the_journal(
    ledger: Database, change: dict[str, Any]
) -> None:
    hold = a_hold(100)
    asked = origin(MEMBER)
    async with ledger.unit_of_work(1) as uow:
        await service.post(uow, grant(MEMBER, 100, "g"))
        await service.post(uow, grant(OTHER, 100, "h"))
        await holds.open_hold(uow, hold, asked)
        other = replace(hold, **change)
        _, ending = other.void(replace(asked, subject=other.member), at=NOON)
        (verdict,) = await service.post_many(uow, [ending])
        assert verdict.error is not None
        assert verdict.error.code in {"not_found", "invalid_value"}
