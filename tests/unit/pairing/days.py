"""A day of a community by seed, for tests and benchmarks: Shichong's grids, the usual kinds of service."""

from __future__ import annotations

from random import Random
from typing import Literal

from pointsbank.domain.grid import BIG_GRIDS, SMALL_GRIDS_PER_BIG, default_grid_plan
from pointsbank.domain.pairing.instance import (
    Cap,
    Instance,
    Request,
    Spot,
    Stretch,
    Volunteer,
    scarce_skills,
)
from pointsbank.domain.pairing.weights import Weights

Mode = Literal["fixed", "slot", "window"]

GRIDS = default_grid_plan()
NUMBERS = sorted(GRIDS.small_grids)
SIDE = 400
"""Metres from one small grid to the next."""

KINDS: tuple[tuple[str, int, str | None, int], ...] = (
    ("companionship", 60, None, 20),
    ("shopping", 45, None, 15),
    ("meal_delivery", 30, None, 20),
    ("clinic_escort", 150, "escort", 8),
    ("haircut", 40, "haircut", 5),
    ("repair", 60, "repair", 6),
    ("cleaning", 90, None, 14),
    ("phone_learning", 60, None, 12),
)
"""Kind, minutes, skill, how often among a hundred."""

SLOTS = ((480, 690), (690, 840), (840, 1_050), (1_050, 1_260))
OPENS, CLOSES = 8 * 60, 18 * 60


def day(
    *,
    seed: int = 1,
    requests: int = 300,
    volunteers: int = 800,
    mode: Mode = "fixed",
    window: int = 60,
    carers: float = 0.0,
    reach: int = 4,
) -> Instance:
    """Return a day of requests and volunteers.

    mode: a fixed start, a slot of the day, or ``window`` minutes either way in steps of a quarter. carers:
    the share of requests that need two. reach: how many small grids a volunteer serves; 4 are those of their
    big grid, more are drawn from all.
    """
    rng = Random(f"{seed}/{requests}/{volunteers}/{mode}")
    asked = tuple(_request(rng, at, volunteers, mode, window, carers) for at in range(requests))
    them = tuple(_volunteer(rng, at, mode, reach) for at in range(volunteers))
    weights = Weights()
    return Instance(
        origin="2026-03-02T00:00:00+08:00",
        grids=GRIDS,
        weights=weights,
        requests=asked,
        volunteers=them,
        scarce=scarce_skills(asked, them, each=weights.scarce_each),
    )


def _spot(rng: Random, grid: int) -> Spot:
    column, row = (grid - 1) % SMALL_GRIDS_PER_BIG, (grid - 1) // SMALL_GRIDS_PER_BIG
    building = Random(grid * 1_000 + rng.randrange(12))
    east = (column - SMALL_GRIDS_PER_BIG // 2) * SIDE + building.randrange(SIDE - 50)
    return Spot(grid, east, (row - BIG_GRIDS // 2) * SIDE + building.randrange(SIDE - 50))


def _request(rng: Random, number: int, volunteers: int, mode: Mode, window: int, carers: float) -> Request:
    kind, minutes, skill, _ = rng.choices(KINDS, weights=[often for *_, often in KINDS])[0]
    at = rng.randrange(OPENS // 15, CLOSES // 15) * 15
    starts, blocks = (at,), minutes
    if mode == "slot":
        low, high = rng.choice(SLOTS)
        starts, at, blocks = (low,), low, high - low
    elif mode == "window":
        starts = tuple(range(max(OPENS, at - window), at + window + 1, 15))
    return Request(
        id=f"r{number}",
        elder=f"e{number}",
        spot=_spot(rng, rng.choice(NUMBERS)),
        minutes=minutes,
        starts=starts,
        preferred=at,
        blocks=blocks,
        urgency=rng.choices(range(4), weights=(50, 30, 15, 5))[0],
        waited=rng.randrange(10 * 24 * 60),
        carers=2 if rng.random() < carers else 1,
        kind=kind,
        skills=frozenset([skill] if skill else []),
        gender=rng.choice((None, None, "female", "male")),
        gender_hard=rng.random() < 0.1,
        language=rng.choice(("yue", "yue", "cmn", None)),
        same_carer=rng.random() < 0.2,
        known={f"v{rng.randrange(volunteers)}": rng.randint(1, 4) for _ in range(2)},
    )


def _volunteer(rng: Random, number: int, mode: Mode, reach: int) -> Volunteer:
    grid = rng.choice(NUMBERS)
    big = GRIDS.small_grids[grid].big_grid
    served = [other for other in NUMBERS if GRIDS.small_grids[other].big_grid == big]
    if reach > len(served):
        served += rng.sample([other for other in NUMBERS if other not in served], reach - len(served))
    return Volunteer(
        id=f"v{number}",
        home=_spot(rng, grid),
        grids=frozenset(served),
        free=_free(rng, mode),
        caps=(Cap(0, 24 * 60, rng.choice((120, 180, 240, 480))),),
        skills={skill: None for *_, skill, _ in KINDS if skill is not None and rng.random() < 0.12},
        gender=rng.choice(("female", "female", "male")),
        languages=frozenset(["yue", *(["cmn"] if rng.random() < 0.6 else [])]),
        recent=rng.randrange(1_800),
        visits=rng.choice((0, 1, 5, 20, 50)),
        reliability=rng.choice((1_000, 1_000, 950, 800)),
    )


def _free(rng: Random, mode: Mode) -> tuple[Stretch, ...]:
    if mode != "slot":
        start = rng.randrange(OPENS // 15, (CLOSES - 120) // 15) * 15
        return (Stretch(start, start + rng.choice((120, 180, 240, 300))),)
    free: list[Stretch] = []
    for low, high in SLOTS:
        if rng.random() < 0.4:
            if free and free[-1].end == low:
                free[-1] = Stretch(free[-1].start, high)
            else:
                free.append(Stretch(low, high))
    return tuple(free)
