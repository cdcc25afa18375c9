"""Small instances in which much collides, and the best plan of each by trying everything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from random import Random

from hypothesis import strategies as st

from pointsbank.domain.grid import SmallGrid, grid_plan
from pointsbank.domain.pairing.instance import Cap, Instance, Promise, Request, Spot, Stretch, Volunteer
from pointsbank.domain.pairing.rules import blocked_at, blocked_person, collide
from pointsbank.domain.pairing.value import further, value
from pointsbank.domain.pairing.weights import Weights

GRIDS = grid_plan([SmallGrid(1, 1), SmallGrid(2, 1), SmallGrid(3, 2), SmallGrid(4, 3)], [(2, 3)])
ORIGIN = "2026-03-02T00:00:00+08:00"
VOLUNTEERS = ("v0", "v1", "v2", "v3")
SKILLS = ("escort", "haircut")
GENDERS = ("female", "male", None)


def spot(rng: Random) -> Spot:
    """Return a spot, its metres known or not."""
    if rng.random() < 0.3:
        return Spot(rng.randint(1, 4))
    return Spot(rng.randint(1, 4), rng.randint(-400, 400), rng.randint(-400, 400))


def request(rng: Random, number: int, *, carers: int) -> Request:
    """Return one request within four hours."""
    first = rng.randint(0, 32) * 5
    starts = tuple(first + 15 * step for step in range(rng.choice((1, 1, 2, 4))))
    minutes = rng.choice((10, 20, 30, 45, 60))
    return Request(
        id=f"r{number}",
        elder=rng.choice((f"e{number}", f"e{number}", "v0")),
        spot=spot(rng),
        minutes=minutes,
        starts=starts,
        preferred=rng.choice(starts),
        blocks=minutes + rng.choice((0, 0, 40)),
        urgency=rng.randint(0, 3),
        waited=rng.randint(0, 30 * 1440),
        carers=rng.randint(1, carers),
        skills=frozenset(rng.sample(SKILLS, rng.choice((0, 0, 1)))),
        gender=rng.choice(GENDERS),
        gender_hard=rng.random() < 0.2,
        language=rng.choice(("yue", "cmn", None)),
        same_carer=rng.random() < 0.5,
        excluded=frozenset(rng.sample(VOLUNTEERS, rng.choice((0, 0, 1)))),
        known={who: rng.randint(1, 6) for who in rng.sample(VOLUNTEERS, rng.randint(0, 2))},
        promised={who: rng.choice(starts) for who in rng.sample(VOLUNTEERS, rng.randint(0, 1))},
        counts=rng.choice((None, None, minutes, minutes // 2)),
    )


def volunteer(rng: Random, number: int) -> Volunteer:
    """Return one volunteer, free once or twice."""
    start = rng.randint(0, 20) * 5
    free = [Stretch(start, start + rng.choice((60, 120, 200)))]
    if rng.random() < 0.5:
        free.append(Stretch(free[0].end + 10, free[0].end + 90))
    busy = [5 * rng.randint(0, 40)] if rng.random() < 0.4 else []
    return Volunteer(
        id=f"v{number}",
        home=spot(rng),
        grids=frozenset(rng.sample(range(1, 5), rng.randint(2, 4))),
        free=tuple(free),
        busy=tuple(Promise(at, at + 20, spot(rng)) for at in busy),
        caps=tuple(
            Cap(low, low + rng.choice((120, 400)), rng.randint(0, 120))
            for low in rng.sample((0, 60), rng.randint(0, 2))
        ),
        skills={
            skill: rng.choice((None, rng.randint(-10, 200)))
            for skill in rng.sample(SKILLS, rng.randint(0, 2))
        },
        gender=rng.choice(GENDERS),
        languages=frozenset(rng.sample(("yue", "cmn"), rng.randint(0, 2))),
        recent=rng.randint(0, 3_000),
        visits=rng.randint(0, 2),
        reliability=rng.randint(0, 1_000),
    )


def instance_of(seed: int, *, most: int = 5, carers: int = 2) -> Instance:
    """Return the small instance of a seed."""
    rng = Random(seed)
    return Instance(
        origin=ORIGIN,
        grids=GRIDS,
        weights=rng.choice((Weights(), Weights(further=0), Weights(further=99), Weights(walk=5))),
        requests=tuple(request(rng, at, carers=carers) for at in range(rng.randint(0, most))),
        volunteers=tuple(volunteer(rng, at) for at in range(rng.randint(1, 4))),
        scarce=frozenset(rng.sample(SKILLS, rng.randint(0, 2))),
    )


def instances(*, most: int = 5, carers: int = 2) -> st.SearchStrategy[Instance]:
    """Return small instances, each made from a seed: many of them cost little."""
    return st.integers(0, 2**32).map(lambda seed: instance_of(seed, most=most, carers=carers))


Visit = tuple[Request, Volunteer, int]


def possible(instance: Instance) -> Iterator[Visit]:
    """Yield every visit that alone keeps the rules."""
    for request in instance.requests:
        for volunteer in instance.volunteers:
            if blocked_person(request, volunteer) is None:
                for start in request.starts:
                    if blocked_at(instance, request, volunteer, start) is None:
                        yield request, volunteer, start


def best_worth(instance: Instance) -> int:
    """Return what the best plan is worth, by trying every plan."""
    ways: list[list[tuple[Visit, ...]]] = []
    for request in instance.requests:
        mine = [visit for visit in possible(instance) if visit[0] is request]
        together = (
            [(visit,) for visit in mine]
            if request.carers == 1
            else [
                pair
                for pair in combinations(mine, 2)
                if pair[0][2] == pair[1][2] and pair[0][1] is not pair[1][1]
            ]
        )
        ways.append([(), *together])
    return _best(instance, ways, [])


def _best(instance: Instance, ways: list[list[tuple[Visit, ...]]], chosen: list[Visit]) -> int:
    if not ways:
        return _worth(instance, chosen)
    return max(
        _best(instance, ways[1:], [*chosen, *way])
        for way in ways[0]
        if all(_fits(instance, visit, chosen) for visit in way)
    )


def _fits(instance: Instance, visit: Visit, chosen: list[Visit]) -> bool:
    request, volunteer, start = visit
    theirs = [each for each in chosen if each[1] is volunteer]
    if any(
        collide(
            instance,
            (start, request.minutes, request.blocks, request.spot),
            (begin, other.minutes, other.blocks, other.spot),
        )
        for other, _, begin in theirs
    ):
        return False
    return all(
        _counted(request) + sum(_counted(other) for other, _, begin in theirs if cap.start <= begin < cap.end)
        <= cap.minutes
        for cap in volunteer.caps
        if cap.start <= start < cap.end
    )


def _counted(request: Request) -> int:
    return request.minutes if request.counts is None else request.counts


def _worth(instance: Instance, chosen: list[Visit]) -> int:
    total = sum(value(instance, *visit) for visit in chosen)
    for volunteer in instance.volunteers:
        total -= further(instance.weights, sum(each[1] is volunteer for each in chosen))
    return total
