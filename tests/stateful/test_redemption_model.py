"""Any order of events, lost, late and twice, ends a redemption once: captured or given back."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pointsbank.domain.errors import WrongState
from pointsbank.domain.hold import Hold, HoldState
from pointsbank.domain.journal import EntryKind, JournalEntry, Origin, SourceKind
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.redemption import ENDED, NEXT, PartnerWord, RedemptionState, advance, hear
from pointsbank.platform import outbox
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service as ledger
from services.settlement import jobs, service
from services.settlement.client import Partners
from services.settlement.events import PartnerEvent, take_event
from services.settlement.service import Redeem
from services.settlement.views import RedemptionInfo
from tests.worlds import NINE_ON_MONDAY, World, give_points, small_world

NOON = datetime(2026, 3, 9, 4, tzinfo=UTC)
ID, MEMBER, CANTEEN = UUID(int=1), UUID(int=2), UUID(int=3)
ORIGIN = Origin(SourceKind.REDEMPTION, ID, CANTEEN, MEMBER, 1)
LUNCH = MilliPoints(10_000)

words = st.sampled_from(list(PartnerWord))


class RedemptionMachine(RuleBasedStateMachine):
    """One redemption and its hold, its partner, and a line between them that loses, delays and repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RedemptionState.HELD
        self.hold = Hold(ID, MEMBER, CANTEEN, LUNCH, NOON + timedelta(hours=1))
        self.now = NOON
        self.entries: list[JournalEntry] = []
        self.under_way: list[PartnerWord] = []
        self.first_ending: RedemptionState | None = None

    def end(self, hold: Hold, entry: JournalEntry) -> None:
        self.hold = hold
        self.entries.append(entry)

    def go(self, to: RedemptionState) -> None:
        """Do what the service does with a word: move the redemption, and end its hold with it."""
        if to is RedemptionState.FULFILLED:
            if not self.hold.in_time(self.now):
                to = RedemptionState.LAPSED
                self.end(*self.hold.expire(ORIGIN, at=self.now))
            else:
                self.end(*self.hold.capture(LUNCH, ORIGIN, at=self.now))
        elif to in ENDED:
            self.end(*self.hold.void(ORIGIN, at=self.now))
        self.state = to
        if to in ENDED and self.first_ending is None:
            self.first_ending = to

    @rule()
    def the_partner_is_about_to_be_told(self) -> None:
        if self.state is RedemptionState.HELD:
            self.state = advance(self.state, RedemptionState.REQUESTED)

    @rule(word=words)
    def the_partner_says(self, word: PartnerWord) -> None:
        self.under_way.append(word)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), again=st.booleans())
    def a_word_arrives(self, data: st.DataObject, *, again: bool) -> None:
        place = data.draw(st.integers(0, len(self.under_way) - 1))
        word = self.under_way[place]
        if not again:
            del self.under_way[place]
        to = hear(self.state, word)
        if to is not None:
            self.go(to)

    @rule()
    def the_member_calls_it_off_before_the_partner_knows(self) -> None:
        if self.state is RedemptionState.HELD:
            self.go(advance(self.state, RedemptionState.CANCELLED))

    @rule(minutes=st.integers(1, 40))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def the_sweep_looks_for_what_lapsed(self) -> None:
        if self.state not in ENDED and not self.hold.in_time(self.now):
            self.end(*self.hold.expire(ORIGIN, at=self.now))
            self.state = self.first_ending = advance(self.state, RedemptionState.LAPSED)

    @invariant()
    def it_has_ended_at_most_once_and_never_otherwise(self) -> None:
        assert len(self.entries) == (self.state in ENDED)
        assert (self.hold.state is HoldState.OPEN) == (self.state not in ENDED)
        assert (self.hold.state is HoldState.CAPTURED) == (self.state is RedemptionState.FULFILLED)
        if self.first_ending is not None:
            assert self.state is self.first_ending

    def teardown(self) -> None:
        """However it went, once every word has come and the hold's time is over it has ended once."""
        for word in self.under_way:
            if (to := hear(self.state, word)) is not None:
                self.go(to)
        self.now += timedelta(hours=2)
        self.the_sweep_looks_for_what_lapsed()
        kinds = [entry.kind for entry in self.entries]
        assert kinds in ([EntryKind.CAPTURE], [EntryKind.VOID])
        assert (kinds == [EntryKind.CAPTURE]) == (self.state is RedemptionState.FULFILLED)


def test_any_order_of_events_ends_captured_once_or_voided_once(request: pytest.FixtureRequest) -> None:
    long = request.config.getoption("--long")
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        RedemptionMachine,
        settings=settings(max_examples=2_000 if long else 150, stateful_step_count=25, database=None),
    )


@given(st.sampled_from(list(RedemptionState)), st.lists(words, max_size=8))
def test_words_only_ever_move_a_redemption_along_the_drawing(
    state: RedemptionState, said: list[PartnerWord]
) -> None:
    for word in said:
        to = hear(state, word)
        if to is None:
            continue
        assert to in NEXT[state]
        assert advance(state, to) is to
        state = to


@given(st.sampled_from(sorted(ENDED)), st.sampled_from(list(RedemptionState)))
def test_nothing_leads_out_of_an_ending(ended: RedemptionState, to: RedemptionState) -> None:
    with pytest.raises(WrongState):
        advance(ended, to)


class Desk:
    """A community in the database whose partner's words arrive as events, in whatever order."""

    def __init__(self, database: Database, clock: FixedClock, world: World) -> None:
        self.database, self.clock, self.world = database, clock, world
        self.day = 0

    async def redeem(self) -> RedemptionInfo:
        self.clock.move_to(NINE_ON_MONDAY + timedelta(days=self.day))
        self.day += 3
        async with self.database.unit_of_work(1) as uow:
            elder = self.world.elder
            return await service.redeem(uow, elder.actor, Redeem(elder.id, "canteen", "lunch_set"))

    async def arrive(self, redeemed: RedemptionInfo, word: PartnerWord, number: int) -> None:
        event = PartnerEvent(
            event_id=UUID(int=(redeemed.id.int & ~0xFFFF) | number),
            community_id=1,
            partner=redeemed.partner,  # type: ignore[arg-type]
            redemption_id=redeemed.id,
            type=word,
            occurred_at=self.clock.now(),
            fulfilled_quantity=redeemed.quantity if word is PartnerWord.FULFILLED else 0,
        )
        async with self.database.unit_of_work(1) as uow:
            await take_event(uow, event)

    async def call_off(self, redeemed: RedemptionInfo) -> None:
        async with self.database.unit_of_work(1) as uow:
            try:
                await service.cancel_redemption(uow, self.world.elder.actor, redeemed.id)
            except WrongState:
                return

    async def live(self, steps: list[str]) -> tuple[RedemptionState, Counter[EntryKind]]:
        """Let a redemption live through ``steps``, then let its time run out; return how it ended."""
        redeemed = await self.redeem()
        # No partner answers: what is asked of one waits, and only the events move anything.
        handlers = jobs.handlers(self.database, Partners({}))
        for step in steps:
            kind, _, number = step.partition(" ")
            if kind == "work":
                self.clock.move_to(self.clock.now() + timedelta(minutes=1))
                await asyncio.gather(*(outbox.work_off(self.database, 1, handlers) for _ in range(2)))
            elif kind == "cancel":
                await self.call_off(redeemed)
            else:
                await self.arrive(redeemed, PartnerWord(kind), int(number))
        self.clock.move_to(self.clock.now() + timedelta(minutes=1))
        await outbox.work_off(self.database, 1, handlers)
        self.clock.move_to(self.clock.now() + timedelta(days=2, hours=12))
        await jobs.lapse_overdue(self.database, 1)
        async with self.database.unit_of_work(1) as uow:
            ended = await service.known_redemption(uow, redeemed.id)
            connection = await uow.connection()
            rows = await connection.fetch(
                "SELECT DISTINCT number, kind::text FROM bank.journal_lines"
                " WHERE source_id = $1 AND kind <> 'hold' AND line = 1",
                redeemed.id,
            )
            assert (await ledger.trial_balance(uow)).balanced
        return ended.state, Counter(EntryKind(row["kind"]) for row in rows)


_events = st.builds("{} {}".format, words, st.integers(0, 3))
_steps = st.lists(st.one_of(_events, st.just("work"), st.just("cancel")), min_size=1, max_size=7)


def test_in_the_database_too_any_order_ends_captured_once_or_voided_once(
    app_url: str, request: pytest.FixtureRequest
) -> None:
    with asyncio.Runner() as runner:
        run: Any = runner.run
        clock = FixedClock(NINE_ON_MONDAY)
        database = Database(app_url, clock=clock)

        async def begin() -> Desk:
            world = await small_world(database)
            await give_points(database, world, world.elder, 1_000_000)
            return Desk(database, clock, world)

        desk: Desk = run(begin())

        @settings(
            max_examples=200 if request.config.getoption("--long") else 12,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(_steps)
        def live(steps: list[str]) -> None:
            state, entries = run(desk.live(steps))
            assert entries == Counter(
                [EntryKind.CAPTURE if state is RedemptionState.FULFILLED else EntryKind.VOID]
            ), steps

        live()
        run(database.close())
