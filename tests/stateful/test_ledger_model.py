"""The ledger does what a pure model of it does, whatever is asked of it in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pointsbank.domain import accounts
from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.domain.errors import WrongState
from pointsbank.domain.hold import Hold, HoldExpired, HoldState
from pointsbank.domain.journal import (
    ENDS_A_HOLD,
    REVERSIBLE,
    EntryKind,
    IdempotencyKeyReused,
    InsufficientPoints,
    JournalEntry,
    Origin,
    SourceKind,
    Transfer,
    journal_entry,
)
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.posting import require_floors
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.ledger import holds, service
from services.ledger.posting import Poster
from services.ledger.proof.verification import verify
from services.ledger.views import Recorded
from tests.ledgers import NOBODY, NOON, bare_ledger

T = TypeVar("T")

MEMBERS = [UUID(int=number) for number in range(1, 4)]
CANTEEN = UUID(int=9)
AMOUNTS = st.integers(1, 120)
member = st.sampled_from(MEMBERS)
pair = st.permutations(MEMBERS).map(lambda order: (order[0], order[1]))
CODES = [
    accounts.issuance(Commodity.POINT),
    accounts.partner_earned(CANTEEN),
    *(code for one in MEMBERS for code in (accounts.available(one), accounts.held(one))),
]

_communities = iter(range(1, 10_000))


@dataclass
class Model:
    """What the ledger must come to: plain dictionaries, no database."""

    balances: dict[AccountCode, int] = field(default_factory=lambda: dict.fromkeys(CODES, 0))
    entries: list[JournalEntry] = field(default_factory=list)  # the place is the number less one
    holds: dict[UUID, Hold] = field(default_factory=dict)
    reversed: set[int] = field(default_factory=set)

    def post(self, entry: JournalEntry) -> int:
        """Record an entry and return its number. Raises InsufficientPoints."""
        self.balances.update(require_floors(entry, self.balances))
        self.entries.append(entry)
        return len(self.entries)


def points(kind: EntryKind, source: AccountCode, target: AccountCode, amount: int) -> JournalEntry:
    """An entry that moves points, with a key of its own."""
    document = uuid7()
    return journal_entry(
        kind,
        [Transfer(source, target, amount)],
        origin=Origin(SourceKind.GIFT, document, NOBODY, source.owner, 1),
        key=f"{kind}:{document}",
        occurred_at=NOON,
    )


class LedgerMachine(RuleBasedStateMachine):
    """Each example has a community of its own. ``url``: set by the test."""

    url: str
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.community = next(_communities)
        self.model = Model()
        self.clock = FixedClock(NOON)
        self.database = Database(self.url, clock=self.clock, pool_size=2)
        self.poster = Poster(self.database)
        self.run(bare_ledger(self.database, self.community))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def both(self, entry: JournalEntry, *, gathered: bool) -> None:
        """Post to the ledger and to the model; they must agree."""
        try:
            number = self.model.post(entry)
        except InsufficientPoints as error:
            expected = error
        else:
            answer = self.run(self.post(entry, gathered=gathered))
            assert (answer.number, answer.already) == (number, False)
            return
        refused = self.refused(self.post(entry, gathered=gathered), InsufficientPoints)
        assert (refused.available, refused.requested) == (expected.available, expected.requested)

    async def post(self, entry: JournalEntry, *, gathered: bool) -> Recorded:
        if gathered:
            return await self.poster.post(self.community, entry)
        async with self.database.unit_of_work(self.community) as uow:
            return await service.post(uow, entry)

    def refused(self, work: Coroutine[Any, Any, object], kind: type[T]) -> T:
        with pytest.raises(kind) as caught:  # type: ignore[type-var]
            self.run(work)
        return caught.value  # type: ignore[return-value]

    @rule(member=member, amount=AMOUNTS, gathered=st.booleans())
    def earn(self, member: UUID, amount: int, gathered: bool) -> None:
        issued = accounts.issuance(Commodity.POINT)
        entry = points(EntryKind.EARNING, issued, accounts.available(member), amount)
        self.both(entry, gathered=gathered)

    @rule(pair=pair, amount=AMOUNTS, gathered=st.booleans())
    def give(self, pair: tuple[UUID, UUID], amount: int, gathered: bool) -> None:
        source, target = map(accounts.available, pair)
        self.both(points(EntryKind.GIFT, source, target, amount), gathered=gathered)

    @rule(gifts=st.lists(st.tuples(pair, AMOUNTS), min_size=2, max_size=8))
    def give_at_once(self, gifts: list[tuple[tuple[UUID, UUID], int]]) -> None:
        """Several at the same moment are judged in the order in which they came."""
        entries = [
            points(EntryKind.GIFT, *map(accounts.available, pair), amount)  # type: ignore[call-arg]
            for pair, amount in gifts
        ]
        expected: list[int | None] = []
        for entry in entries:
            try:
                expected.append(self.model.post(entry))
            except InsufficientPoints:
                expected.append(None)

        async def all_of_them() -> list[Recorded | BaseException]:
            posts = (self.poster.post(self.community, entry) for entry in entries)
            return await asyncio.gather(*posts, return_exceptions=True)

        answers = self.run(all_of_them())
        assert [answer.number if isinstance(answer, Recorded) else None for answer in answers] == expected

    @rule(first=st.tuples(pair, AMOUNTS), second=st.tuples(pair, AMOUNTS))
    def give_linked(
        self, first: tuple[tuple[UUID, UUID], int], second: tuple[tuple[UUID, UUID], int]
    ) -> None:
        entries = [
            points(EntryKind.GIFT, *map(accounts.available, pair), amount)  # type: ignore[call-arg]
            for pair, amount in (first, second)
        ]
        trial = replace(self.model, balances=dict(self.model.balances), entries=list(self.model.entries))
        linked = self.poster.post_linked(self.community, entries)
        try:
            numbers = [trial.post(entry) for entry in entries]
        except InsufficientPoints:
            self.refused(linked, InsufficientPoints)
        else:
            assert [answer.number for answer in self.run(linked)] == numbers
            self.model.balances, self.model.entries = trial.balances, trial.entries

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), gathered=st.booleans())
    def send_again(self, data: st.DataObject, gathered: bool) -> None:
        number = data.draw(st.integers(1, len(self.model.entries)))
        entry = self.model.entries[number - 1]
        gathered = gathered and entry.kind not in ENDS_A_HOLD
        answer = self.run(self.post(entry, gathered=gathered))
        assert (answer.number, answer.already) == (number, True)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), gathered=st.booleans())
    def send_something_else_under_a_used_key(self, data: st.DataObject, gathered: bool) -> None:
        entry = data.draw(st.sampled_from(self.model.entries))
        moved = entry.transfers[0]
        other = replace(entry, transfers=(replace(moved, amount=moved.amount + 1), *entry.transfers[1:]))
        gathered = gathered and entry.kind not in ENDS_A_HOLD
        self.refused(self.post(other, gathered=gathered), IdempotencyKeyReused)

    @rule(member=member, amount=AMOUNTS, hours=st.integers(1, 5))
    def hold(self, member: UUID, amount: int, hours: int) -> None:
        expires_at = self.clock.now() + timedelta(hours=hours)
        hold = Hold(uuid7(), member, CANTEEN, MilliPoints(amount), expires_at)
        origin = Origin(SourceKind.REDEMPTION, hold.id, NOBODY, member, 1)

        async def opening() -> None:
            async with self.database.unit_of_work(self.community) as uow:
                await holds.open_hold(uow, hold, origin)

        try:
            self.model.post(hold.opening(origin, at=self.clock.now()))
        except InsufficientPoints:
            self.refused(opening(), InsufficientPoints)
        else:
            self.run(opening())
            self.model.holds[hold.id] = hold

    def chosen_hold(self, data: st.DataObject) -> Hold:
        return data.draw(st.sampled_from(list(self.model.holds.values())))

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def capture(self, data: st.DataObject) -> None:
        hold = self.chosen_hold(data)
        amount = MilliPoints(data.draw(st.integers(1, hold.amount)))
        origin = Origin(SourceKind.REDEMPTION, hold.id, NOBODY, hold.member, 1)
        if hold.state is not HoldState.OPEN:
            self.refused(self.captured(hold.id, amount), WrongState)
        elif not hold.in_time(self.clock.now()):
            self.refused(self.captured(hold.id, amount), HoldExpired)
            # Nor does the journal take it from one who has not looked at the hold.
            late = replace(hold, expires_at=self.clock.now() + timedelta(hours=1))
            _, entry = late.capture(amount, origin, at=self.clock.now())
            self.refused(self.post(entry, gathered=False), HoldExpired)
        else:
            self.model.holds[hold.id], entry = hold.capture(amount, origin, at=self.clock.now())
            self.model.post(entry)
            self.run(self.captured(hold.id, amount))

    async def captured(self, hold_id: UUID, amount: MilliPoints) -> None:
        async with self.database.unit_of_work(self.community) as uow:
            await holds.capture_hold(uow, hold_id, amount=amount, actor=NOBODY)

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        hold = self.chosen_hold(data)
        origin = Origin(SourceKind.REDEMPTION, hold.id, NOBODY, hold.member, 1)

        async def voided() -> None:
            async with self.database.unit_of_work(self.community) as uow:
                await holds.void_hold(uow, hold.id, actor=NOBODY)

        if hold.state is not HoldState.OPEN:
            self.refused(voided(), WrongState)
        else:
            self.model.holds[hold.id], entry = hold.void(origin, at=self.clock.now())
            self.model.post(entry)
            self.run(voided())

    @rule(hours=st.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.clock.move_to(self.clock.now() + timedelta(hours=hours))

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), part=st.none() | AMOUNTS)
    def take_back(self, data: st.DataObject, part: int | None) -> None:
        number = data.draw(st.integers(1, len(self.model.entries)))
        original = self.model.entries[number - 1]
        moved = original.transfers[0]
        assume(part is None or part <= moved.amount)
        assume(number not in self.model.reversed)
        amount = None if part is None else MilliPoints(part)

        async def reversed_() -> Recorded:
            async with self.database.unit_of_work(self.community) as uow:
                return await service.reverse(uow, number, actor=NOBODY, amount=amount)

        if original.kind not in REVERSIBLE:
            self.refused(reversed_(), WrongState)
            return
        back = Transfer(moved.target, moved.source, moved.amount if part is None else part)
        entry = replace(
            original, kind=EntryKind.REVERSAL, transfers=(back,), reverses=number, ends_hold=None,
            key=f"reversal:{number}",
        )  # fmt: skip
        try:
            expected = self.model.post(entry)
        except InsufficientPoints:
            self.refused(reversed_(), InsufficientPoints)
        else:
            assert self.run(reversed_()).number == expected
            self.model.reversed.add(number)

    @invariant()
    def balances_are_the_models(self) -> None:
        async def stored() -> dict[AccountCode, int]:
            async with self.database.unit_of_work(self.community) as uow:
                return await service.balances(uow, CODES)

        assert self.run(stored()) == self.model.balances

    def teardown(self) -> None:
        async def ending() -> None:
            async with self.database.unit_of_work(self.community, snapshot=True) as uow:
                verification = await verify(uow)
                assert verification.sound, verification.findings
                assert verification.entries == len(self.model.entries)
                assert (await service.trial_balance(uow)).balanced
            await self.poster.close()
            await self.database.close()

        self.run(ending())


def test_the_ledger_does_what_the_model_does(app_url: str, request: Any) -> None:
    """With ``--long`` many more examples."""
    long = request.config.getoption("--long")
    with asyncio.Runner() as runner:
        machine = type("Machine", (LedgerMachine,), {"url": app_url, "runner": runner})
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine,
            settings=settings(
                max_examples=200 if long else 12,
                stateful_step_count=40,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
