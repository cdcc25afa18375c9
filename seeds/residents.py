"""The people of the demo world: all invented, from one seed.

Phone numbers begin with 154: no operator in China has been given that prefix (numbering metadata of
libphonenumber holds no valid number under it), so that none of them can ring at anybody's home.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from faker import Faker

from pointsbank.domain.roles import Role
from seeds.geography import Geography
from seeds.scale import WEEKS_MAX, Scale

PHONE_PREFIX = "154000"
ELDER_FROM = 60
EVENING = 18 * 60

# Ages below 60 by band: (from, to, share); after the 2020 census of a prefecture city in Guangdong.
YOUNGER_BANDS = ((0, 5, 5), (6, 14, 12), (15, 17, 4), (18, 29, 21), (30, 44, 32), (45, 59, 26))
# Ages from 60 on, as (from, to, share).
ELDER_BANDS = ((60, 64, 31), (65, 69, 27), (70, 74, 19), (75, 79, 12), (80, 89, 10), (90, 99, 1))

SKILLS = (("escort", 0.45), ("haircut", 0.12), ("repair", 0.2))
"""Skills that some kinds of service ask for, and how many volunteers have each."""

RETIRED_STRETCHES = (
    (8 * 60, 12 * 60),
    (9 * 60, 11 * 60 + 30),
    (10 * 60 + 30, 13 * 60 + 30),
    (13 * 60, 16 * 60),
    (14 * 60, 17 * 60),
    (15 * 60, 18 * 60),
)
WORKING_STRETCHES = ((EVENING + 30, 21 * 60), (19 * 60, 21 * 60 + 30))
WEEKEND_STRETCHES = ((9 * 60, 12 * 60), (14 * 60, 18 * 60), (9 * 60, 11 * 60))


@dataclass(frozen=True, slots=True)
class FreeStretch:
    """A weekly stretch in which a volunteer is free. Monday is weekday 0; minutes from local midnight."""

    weekday: int
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class ResidentSeed:
    """A resident. building: index into the geography's buildings; zeal: share of free time given."""

    number: str
    name: str
    phone: str | None
    gender: str
    born_on: date
    building: int
    room: str
    canteen_eligible: bool = False
    roles: frozenset[Role] = frozenset()
    skills: frozenset[str] = frozenset()
    free: tuple[FreeStretch, ...] = ()
    zeal: float = 0.0


@dataclass(slots=True)
class Population:
    """All residents, and who among them does what, as indexes into ``residents``."""

    residents: list[ResidentSeed]
    ground: Geography
    holders: dict[Role, list[int]] = field(default_factory=dict)
    building_leader: dict[int, int] = field(default_factory=dict)

    def small_grid(self, index: int) -> int:
        """Return the small grid a resident lives in."""
        return self.ground.buildings[self.residents[index].building].small_grid


def population(ground: Geography, scale: Scale, *, seed: int, today: date) -> Population:
    """Return the residents of a world, in order of building and room; the same seed, the same people."""
    rng = random.Random(f"residents:{seed}")
    faker = Faker("zh_CN")
    faker.seed_instance(seed)
    ages = [_age(rng, ELDER_BANDS) for _ in range(scale.eligible_elders)]
    ages += [_age(rng, YOUNGER_BANDS) for _ in range(scale.residents - scale.eligible_elders)]
    rng.shuffle(ages)
    homes = _homes(rng, ground, scale.residents)
    residents = [
        _resident(rng, faker, number, age, home, today)
        for number, (age, home) in enumerate(zip(ages, homes, strict=True), start=1)
    ]
    people = Population(residents, ground)
    _give_roles(rng, people, scale, today)
    return people


def age_on(born_on: date, day: date) -> int:
    """Return full years of age on ``day``."""
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


def _age(rng: random.Random, bands: tuple[tuple[int, int, int], ...]) -> int:
    low, high, _ = rng.choices(bands, weights=[share for _, _, share in bands])[0]
    return rng.randint(low, high)


def _homes(rng: random.Random, ground: Geography, residents: int) -> list[tuple[int, str]]:
    """Return a flat for each resident, households of one to five, in order of building."""
    weights = [building.floors * building.flats_per_floor for building in ground.buildings]
    bounds, total = [0], sum(weights)
    for weight in weights:
        bounds.append(bounds[-1] + weight)
    homes: list[tuple[int, str]] = []
    for index, building in enumerate(ground.buildings):
        people = residents * bounds[index + 1] // total - residents * bounds[index] // total
        flat = 0
        while people:
            household = min(people, rng.choices((1, 2, 3, 4, 5), weights=(14, 28, 30, 18, 10))[0])
            floor, door = divmod(flat, building.flats_per_floor)
            homes += [(index, f"{floor + 1}{door + 1:02d}")] * household
            people, flat = people - household, flat + 1
    return homes


def _resident(
    rng: random.Random, faker: Faker, number: int, age: int, home: tuple[int, str], today: date
) -> ResidentSeed:
    gender = "female" if rng.random() < (0.53 if age >= ELDER_FROM else 0.49) else "male"
    given = faker.first_name_female() if gender == "female" else faker.first_name_male()
    # So many days before the birthday of that age that the age holds today; all were born before the past
    # that the world begins with.
    born_on = _years_before(today, age) - timedelta(days=rng.randrange(7 * WEEKS_MAX + 9, 360))
    # Some of the oldest and all small children have no phone of their own.
    has_phone = age >= 12 and rng.random() > (0.25 if age >= 80 else 0.02)
    return ResidentSeed(
        number=f"SC{number:05d}",
        name=faker.last_name() + given,
        phone=f"{PHONE_PREFIX}{number:05d}" if has_phone else None,
        gender=gender,
        born_on=born_on,
        building=home[0],
        room=home[1],
        canteen_eligible=age >= ELDER_FROM,
    )


def _years_before(day: date, years: int) -> date:
    return day.replace(year=day.year - years, day=min(day.day, 28))


def _give_roles(rng: random.Random, people: Population, scale: Scale, today: date) -> None:
    ages = [age_on(resident.born_on, today) for resident in people.residents]
    roles: dict[int, set[Role]] = defaultdict(set)
    for index, resident in enumerate(people.residents):
        if resident.canteen_eligible:
            roles[index].add(Role.ELDER)

    # Mutual aid: those lately retired help those who are older.
    able_elders = [index for index, age in enumerate(ages) if ELDER_FROM <= age <= 74]
    grown_ups = [index for index, age in enumerate(ages) if 18 <= age < ELDER_FROM]
    rng.shuffle(able_elders)
    rng.shuffle(grown_ups)
    volunteers = able_elders[: scale.elder_volunteers] + grown_ups[: scale.younger_volunteers]
    staff = grown_ups[scale.younger_volunteers :]
    coordinators, staff = staff[: scale.coordinators], staff[scale.coordinators :]
    auditors = staff[: scale.auditors]
    for role, chosen in (
        (Role.VOLUNTEER, volunteers),
        (Role.COORDINATOR, coordinators),
        (Role.AUDITOR, auditors),
    ):
        for index in chosen:
            roles[index].add(role)

    taken = {*volunteers, *coordinators, *auditors}
    _give_leaders(rng, people, ages, roles, taken)
    for index in volunteers:
        _make_volunteer(rng, people, index, ages[index])
    for index, held in sorted(roles.items()):
        people.residents[index] = replace(people.residents[index], roles=frozenset(held))
        for role in held:
            people.holders.setdefault(role, []).append(index)


def _give_leaders(
    rng: random.Random, people: Population, ages: list[int], roles: dict[int, set[Role]], taken: set[int]
) -> None:
    by_building: dict[int, list[int]] = defaultdict(list)
    for index, resident in enumerate(people.residents):
        if 40 <= ages[index] <= 72 and index not in taken:
            by_building[resident.building].append(index)
    by_grid: dict[int, list[int]] = defaultdict(list)
    for building, candidates in sorted(by_building.items()):
        leader = rng.choice(candidates)
        people.building_leader[building] = leader
        roles[leader].add(Role.BUILDING_LEADER)
        by_grid[people.ground.buildings[building].small_grid].append(leader)
    for _, leaders in sorted(by_grid.items()):
        roles[rng.choice(leaders)].add(Role.GRID_LEADER)


def _make_volunteer(rng: random.Random, people: Population, index: int, age: int) -> None:
    days = sorted(rng.sample(range(7), rng.choices((2, 3, 4, 5), weights=(3, 4, 3, 1))[0]))
    free = []
    for weekday in days:
        retired = age >= 55
        stretches = RETIRED_STRETCHES if retired else WEEKEND_STRETCHES if weekday >= 5 else WORKING_STRETCHES
        start, end = rng.choice(stretches)
        free.append(FreeStretch(weekday, start, end))
    people.residents[index] = replace(
        people.residents[index],
        skills=frozenset(skill for skill, share in SKILLS if rng.random() < share),
        free=tuple(free),
        # A few give nearly all their free time, most about half of it.
        zeal=min(0.95, 0.25 + rng.betavariate(2, 3)),
    )
