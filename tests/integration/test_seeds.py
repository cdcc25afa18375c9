"""The demo world: its shape, its books, its sameness from one seed."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
import uvicorn
from litestar import Litestar
from pydantic import SecretStr

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.asked_time import Timing
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.roles import Role
from pointsbank.platform import roles
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database
from pointsbank.platform.settings import PartnerSettings
from seeds.build import WorldSummary, build_demo_world
from seeds.geography import COMMUNITY_ID, TIMEZONE, geography
from seeds.history import Past, weeks_before
from seeds.residents import age_on, population
from seeds.scale import FULL, SEED, SMALL
from services.audit import service as audit
from services.canteen.app import create_app as canteen_app
from services.care import service as care
from services.care.recompute import recompute_earnings
from services.ledger import service as ledger
from services.ledger.proof.verification import verify
from services.matching import service as matching
from services.people import service as people
from services.settlement import batches, reconciliation
from services.settlement import service as settlement
from services.settlement.client import PartnerUnavailable
from services.station.app import create_app as station_app
from tests.conftest import Servers

SECRET = "a secret of the tests"
TODAY = local_date(datetime.now(UTC), TIMEZONE)


@dataclass(frozen=True)
class Ground:
    """An empty bank on a database of its own, with both partners answering."""

    app_url: str
    canteen_url: str
    station_url: str

    async def build(
        self, *, seed: int = SEED, told: list[tuple[str, int, int]] | None = None
    ) -> WorldSummary:
        """Build the small world here."""
        said = [] if told is None else told
        return await build_demo_world(
            self.app_url,
            small=True,
            today=TODAY,
            canteen_url=self.canteen_url,
            canteen_secret=SECRET,
            station_url=self.station_url,
            station_secret=SECRET,
            progress=lambda step, done, total: said.append((step, done, total)),
            seed=seed,
        )


@asynccontextmanager
async def answering(
    create_app: Callable[[PartnerSettings], Litestar], database_url: str
) -> AsyncIterator[str]:
    """Serve a partner over real HTTP on loopback."""
    settings = PartnerSettings(
        database_url=SecretStr(database_url), platform_url="http://127.0.0.1:9", secret=SecretStr(SECRET)
    )
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="critical", ws="none"))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def new_ground(servers: Servers, template: str) -> AsyncIterator[Ground]:
    """Copy the migrated database and start the partners on it."""
    name = f"pointsbank_seeds_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(servers.admin_url)
    owner = roles.quote_identifier(roles.role_name(servers.owner_url))
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {owner} STRATEGY FILE_COPY")
    url = roles.with_database(servers.owner_url, name)

    def as_role(role: str) -> str:
        return roles.role_url(url, role, servers.passwords[role])

    try:
        async with (
            answering(canteen_app, as_role(roles.CANTEEN)) as canteen,
            answering(station_app, as_role(roles.STATION)) as station,
        ):
            yield Ground(as_role(roles.APP), canteen, station)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def ground(servers: Servers, template_database: str) -> AsyncIterator[Ground]:
    """An empty bank of the test's own."""
    async with new_ground(servers, template_database) as ground:
        yield ground


@dataclass(frozen=True)
class Built:
    """The small world, to be looked at only."""

    ground: Ground
    database: Database
    summary: WorldSummary
    told: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
async def built(servers: Servers, template_database: str) -> AsyncIterator[Built]:
    """The small world, built once for all tests that only look."""
    async with new_ground(servers, template_database) as ground:
        told: list[tuple[str, int, int]] = []
        summary = await ground.build(told=told)
        database = Database(ground.app_url)
        yield Built(ground, database, summary, told)
        await database.close()


def test_the_full_world_has_the_published_figures() -> None:
    ground = geography(FULL)
    residents = population(ground, FULL, seed=SEED, today=TODAY).residents
    held = Counter(role for resident in residents for role in resident.roles)
    assert Counter(place.kind for place in ground.places) == {"estate": 16, "compound": 4, "village": 9}
    assert {"上城嘉泰", "滨港御城"} <= {place.name for place in ground.places}
    assert 190 <= len(ground.buildings) <= 200
    assert {building.small_grid for building in ground.buildings} == set(range(1, 17))
    assert len(residents) > 20_000
    assert sum(resident.canteen_eligible for resident in residents) > 2_700
    assert held[Role.VOLUNTEER] > 400
    assert held[Role.BUILDING_LEADER] == len(ground.buildings)
    assert held[Role.GRID_LEADER] == 16


def test_no_phone_number_of_the_world_has_an_operator() -> None:
    residents = population(geography(SMALL), SMALL, seed=SEED, today=TODAY).residents
    phones = [resident.phone for resident in residents if resident.phone]
    assert phones
    assert all(len(phone) == 11 and phone.startswith("154") for phone in phones)
    assert len(set(phones)) == len(phones)


@pytest.mark.parametrize(
    "today", [date(2026, 3, 31), date(2028, 2, 29), date(2026, 1, 1), date(2026, 12, 31)]
)
def test_an_eligible_elder_is_sixty_or_more_and_no_one_else_is(today: date) -> None:
    for resident in population(geography(SMALL), SMALL, seed=3, today=today).residents:
        assert (age_on(resident.born_on, today) >= 60) == resident.canteen_eligible
        assert resident.born_on < today - timedelta(weeks=FULL.weeks)


def test_a_drawn_volunteer_serves_near_home_one_elder_at_a_time_and_within_free_hours() -> None:
    people_drawn = population(geography(FULL), FULL, seed=SEED, today=TODAY)
    past = Past(people_drawn, seed=SEED, today=TODAY)
    visits = past.week(weeks_before(TODAY, 1)[0]).visits
    grids = people_drawn.ground.grids
    last_end: dict[int, datetime] = {}
    for visit in visits:
        assert last_end.get(visit.volunteer, visit.started_at) <= visit.started_at < visit.ended_at
        last_end[visit.volunteer] = visit.ended_at
        free = [
            s for s in people_drawn.residents[visit.volunteer].free if s.weekday == visit.started_at.weekday()
        ]
        begin, end = (at.hour * 60 + at.minute for at in (visit.started_at, visit.ended_at))
        assert any(s.from_minute <= begin and end <= s.to_minute for s in free)
        homes = people_drawn.small_grid(visit.volunteer), people_drawn.small_grid(visit.elder)
        assert grids.distance(*homes) is not GridDistance.FAR
        assert visit.volunteer not in (visit.elder, visit.confirmer)
    assert len(visits) > 1_000


async def test_the_small_world_stands_in_the_services(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        assert (await people.community(uow)).name == "石冲社区"
        assert len(await people.small_grids(uow)) == 16
        assert len({building.place for building in await people.buildings(uow)}) == 29
        assert len(await people.organisations(uow)) == 9
        elders = await people.people_with_role(uow, Role.ELDER)
        volunteers = await people.people_with_role(uow, Role.VOLUNTEER)
        assert all([await matching.free_hours_of(uow, each.id) for each in volunteers])
        tokens = await people.sign_in_tokens(uow)
    assert built.summary.people == SMALL.residents
    assert len(elders) == built.summary.elders == SMALL.eligible_elders
    assert len(volunteers) == built.summary.volunteers == SMALL.elder_volunteers + SMALL.younger_volunteers
    assert {Role.ELDER, Role.VOLUNTEER, Role.COORDINATOR, Role.AUDITOR} <= set(tokens)
    assert built.summary.counts["visits"] > 300
    assert built.summary.counts["meals"] > 0
    assert built.summary.counts["packs"] > 0
    assert built.summary.counts["station_visits"] == SMALL.station_visits


async def test_the_books_of_the_world_agree(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        balance = await ledger.trial_balance(uow)
        verification = await verify(uow)
    assert balance.balanced
    assert verification.sound
    lines = {(line.kind, line.commodity): line.balance for line in balance.lines}
    assert lines[AccountKind.MEMBER_SERVICE, Commodity.MINUTE] == built.summary.service_minutes
    assert lines[AccountKind.MEMBER_AVAILABLE, Commodity.POINT] == built.summary.available_milli_points
    assert lines[AccountKind.PARTNER_EARNED, Commodity.POINT] == 0
    assert lines[AccountKind.PARTNER_SETTLED, Commodity.POINT] > 0


async def test_every_earning_of_the_world_follows_from_its_visit(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID, snapshot=True) as uow:
        assert [each async for each in recompute_earnings(uow)] == []


async def test_every_ended_day_is_settled_and_agrees_with_both_partners(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        assert await reconciliation.differences(uow) == []
        days = [TODAY - timedelta(days=back) for back in range(1, 7 * SMALL.weeks + 1)]
        compared = [
            found
            for day in days
            for partner in ("canteen", "station")
            if (found := await reconciliation.latest(uow, partner, day))
        ]
        frozen = await batches.batches(uow, limit=200)
    assert len(compared) == 2 * 7 * SMALL.weeks
    assert all(each.differences == 0 and each.lines_here == each.lines_there for each in compared)
    served = built.summary.counts["meals"] + built.summary.counts["packs"]
    assert sum(each.lines_there for each in compared) == served
    assert sum(batch.lines for batch in frozen) == served


async def test_the_world_is_alive_today(built: Built) -> None:
    counts = built.summary.counts
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        coordinator = (await people.people_with_role(uow, Role.COORDINATOR))[0]
        actor = coordinator.actor
        waiting = await care.requests_in(uow, actor, [RequestState.OPEN, RequestState.OFFERED], limit=200)
        agreed = await care.requests_in(uow, actor, [RequestState.ACCEPTED])
        to_confirm = await care.visits_to_confirm(uow, actor)
        orders = await settlement.redemptions(uow, state=RedemptionState.HELD)
        offers = await matching.standing_offers(uow, [request.id for request in waiting])
    states = Counter(request.state for request in waiting)
    assert {each.timing for each in waiting} >= {Timing.SLOT, Timing.WINDOW}
    assert states[RequestState.OPEN] >= SMALL.coming
    assert states[RequestState.OFFERED] == len(offers) > 0
    assert len(agreed) == counts["visits_agreed"] > 0
    assert len(to_confirm) == counts["visits_to_confirm"] > 0
    assert len(orders) == counts["orders"] > 0
    assert all(request.starts_at > datetime.now(UTC) for request in waiting)


async def test_no_past_request_is_left_half_way(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        actor = (await people.people_with_role(uow, Role.COORDINATOR))[0].actor
        under_way = await care.requests_in(uow, actor, [RequestState.UNDER_WAY, RequestState.ACCEPTED])
        posted = await care.requests_in(uow, actor, [RequestState.POSTED], limit=200)
    today = [request for request in under_way if request.starts_at > datetime.now(UTC) - timedelta(hours=6)]
    assert under_way == today
    assert len(posted) > 10


async def test_an_auditor_finds_what_was_planted_and_little_else(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        period = await audit.period_of_days(uow, TODAY - timedelta(days=7 * SMALL.weeks + 7), TODAY)
        rings = await audit.rings(uow, period)
        grids = await audit.confirmations(uow, period)
        alone = await audit.self_entries(uow, period)
        long_days = await audit.long_days(uow, period)
    assert 2 in {len(each.members) for each in rings.rings}
    assert len(rings.rings) < 10
    assert sum(each.visits for each in grids if each.method == "record") == 4
    assert (alone.items, long_days.items) == ((), ())


def test_progress_is_told_to_the_end_of_every_step(built: Built) -> None:
    steps = list(dict.fromkeys(step for step, _, _ in built.told))
    assert steps == ["ground", "people", "weeks", "today"]
    for step in steps:
        last = [(done, total) for name, done, total in built.told if name == step][-1]
        assert last[0] == last[1] > 0


async def test_the_same_seed_builds_the_same_world_twice(built: Built, ground: Ground) -> None:
    assert (await ground.build()).digest == built.summary.digest


def test_another_seed_draws_other_people_and_another_past() -> None:
    drawn = [population(geography(SMALL), SMALL, seed=seed, today=TODAY) for seed in (1, 2)]
    weeks = [Past(each, seed=1, today=TODAY).week(weeks_before(TODAY, 1)[0]) for each in drawn]
    assert drawn[0].residents != drawn[1].residents
    assert weeks[0].visits != weeks[1].visits


async def test_a_world_is_not_built_upon_another(built: Built) -> None:
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        before = await ledger.trial_balance(uow)
    with pytest.raises(InvalidValue) as refused:
        await built.ground.build()
    assert refused.value.field == "code"
    async with built.database.unit_of_work(COMMUNITY_ID) as uow:
        assert await ledger.trial_balance(uow) == before
        assert len(await people.people_with_role(uow, Role.ELDER)) == SMALL.eligible_elders


async def test_a_world_whose_partner_does_not_answer_is_refused_before_people_spend(ground: Ground) -> None:
    lonely = Ground(ground.app_url, "http://127.0.0.1:9", ground.station_url)
    with pytest.raises(PartnerUnavailable, match="canteen"):
        await lonely.build()


async def test_a_day_that_has_not_come_is_refused(ground: Ground) -> None:
    with pytest.raises(ValueError, match="today"):
        await build_demo_world(
            ground.app_url,
            small=True,
            today=TODAY + timedelta(days=2),
            canteen_url=ground.canteen_url,
            canteen_secret=SECRET,
            station_url=ground.station_url,
            station_secret=SECRET,
            progress=lambda *_: None,
        )
