"""The matching engine: how near its plans come to what no plan can exceed, how fast, in how much memory.

Beside it, on the same instances in the same run: first come first served, scipy's linear sum assignment (one
visit a volunteer and round, round after round), greed with ejection alone, and HiGHS left to itself on the
same model with the same gap. Worth is told as millionths below the clique bound: 150 means .99985.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan
from services.matching.engine import solver
from services.matching.engine.arrays import Ints
from services.matching.engine.columns import columns_of, field_of
from services.matching.engine.greedy import Diary, worth
from services.matching.engine.parts import Part, parts_of
from services.matching.engine.processes import PartProcesses
from services.matching.engine.rows import rows_of
from services.matching.engine.run import plan, plan_by_greed
from services.matching.engine.solving import GAP, first_answer
from tests.bench.form import Options, PeakMemory, Rows, options, report, row, timed
from tests.unit.pairing.days import Mode, day

MILLION = 1_000_000
SEEDS, SEEDS_QUICK = 5, 1
COMMUNITIES, COMMUNITIES_QUICK = 100, 6
POOL, POOL_QUICK = 5_000, 1_500
SECONDS = 120.0


def parts(instance: Instance) -> list[Part]:
    """Return an instance's parts."""
    field = field_of(instance)
    return parts_of(field, columns_of(field))


def first_answers(instance: Instance) -> int:
    """Return what the first answer is worth: greed and ejection, with no reasons told and nothing checked."""
    return sum(first_answer(part).worth for part in parts(instance))


def bare(instance: Instance) -> int:
    """Return what HiGHS alone reaches on the same model: every column, no plan to begin with."""
    total = 0
    for part in parts(instance):
        kept = np.ones(len(part), np.bool_)
        found = solver.whole(part, rows_of(part), kept, start=np.zeros(0, np.int64), gap=GAP)
        total += worth(part, found)
    return total


def first_come(instance: Instance) -> int:
    """Return what serving in the order of asking reaches, each by the best who is still free."""
    total = 0
    for part in parts(instance):
        diary = Diary(part)
        waited = [instance.requests[at].waited for at in part.requests.tolist()]
        order = np.lexsort((-part.value, part.request, -np.array(waited)[part.request]))
        for column in order.tolist():
            request = diary.request[column]
            if (
                not diary.taken[request]
                and diary.carers[request] == 1
                and diary.blockers(column, 0) is not None
            ):
                diary.take((column,))
        total += worth(part, diary.plan())
    return total


def by_assignment(instance: Instance) -> int:
    """Return what rounds of scipy's linear sum assignment reach, a visit a volunteer in each."""
    return sum(worth(part, _rounds(part)) for part in parts(instance))


def _rounds(part: Part) -> Ints:
    diary = Diary(part)
    while True:
        table = np.zeros((len(part.requests), len(part.volunteers)))
        which = np.full(table.shape, -1)
        for column in range(len(part)):
            request, volunteer = diary.request[column], diary.volunteer[column]
            if (
                diary.taken[request]
                or diary.carers[request] > 1
                or diary.value[column] <= table[request, volunteer]
            ):
                continue
            if diary.blockers(column, 0) is not None:
                table[request, volunteer], which[request, volunteer] = diary.value[column], column
        chosen = [int(each) for each in which[linear_sum_assignment(table, maximize=True)] if each >= 0]
        if not chosen:
            return diary.plan()
        for column in chosen:
            diary.take((column,))


def below(reached: int, bound: int) -> int:
    """Return how many millionths ``reached`` lies below ``bound``."""
    return round((bound - reached) / bound * MILLION)


def a_day(rows: Rows, name: str, seeds: int, **asked: Any) -> None:
    """Tell how days of one kind come out; of several seeds the worst."""
    worst: dict[str, int] = {}
    times: dict[str, list[float]] = {}
    served = 0
    others: dict[str, Callable[[Instance], int]] = {
        "greed with ejection": lambda instance: plan_by_greed(instance).worth,
        "first come": first_come,
        "rounds of scipy LSA": by_assignment,
        "HiGHS alone": bare,
    }
    with PartProcesses(1) as processes:
        plan(day(requests=20, volunteers=20), processes, seconds=SECONDS)
        for seed in range(1, seeds + 1):
            instance = day(seed=seed, **asked)
            found, seconds = timed(lambda one=instance: plan(one, processes, seconds=SECONDS))
            served += len(found.visits)
            worst["engine"] = max(worst.get("engine", 0), below(found.worth, found.bound))
            times.setdefault("engine", []).append(seconds)
            _, seconds = timed(lambda one=instance: first_answers(one))
            times.setdefault("first answer", []).append(seconds)
            for other, work in others.items():
                reached, seconds = timed(lambda one=instance, does=work: does(one))
                worst[other] = max(worst.get(other, 0), below(reached, found.bound))
                times.setdefault(other, []).append(seconds)
    rows.add(row(f"{name}: below the clique bound, engine", worst["engine"], "millionths"))
    for other in others:
        rows.add(row(f"{name}: below the clique bound, {other}", worst[other], "millionths"))
    rows.add(row(f"{name}: served", served / seeds, "visits"))
    rows.add(
        row(f"{name}: engine beside HiGHS alone", mean(times["engine"]), "s", mean(times["HiGHS alone"]))
    )
    rows.add(
        row(f"{name}: greed with ejection", mean(times["first answer"]), "s"),
        row(f"{name}: greed with ejection and its reasons", mean(times["greed with ejection"]), "s"),
    )


def mean(numbers: Sequence[float]) -> float:
    """Return the mean."""
    return sum(numbers) / len(numbers)


def communities(rows: Rows, count: int, volunteers: int) -> None:
    """Tell how many communities' days come out, each planned by itself, on every processor."""
    instances = [day(seed=seed, volunteers=volunteers) for seed in range(count)]
    with PartProcesses() as processes:
        plan(day(requests=20, volunteers=20), processes, seconds=SECONDS)
        found, seconds = timed(lambda: [plan(each, processes, seconds=SECONDS) for each in instances])
    reached, alone = timed(lambda: sum(bare(each) for each in instances))
    bound = sum(each.bound for each in found)
    name = f"{count} communities of 300 × {volunteers}"
    rows.add(
        row(
            f"{name}: below the bound, engine", below(sum(each.worth for each in found), bound), "millionths"
        ),
        row(f"{name}: below the bound, HiGHS alone", below(reached, bound), "millionths"),
        row(f"{name}: engine beside HiGHS alone", seconds, "s", alone),
    )


def large_pool(rows: Rows, size: int) -> None:
    """Tell what one pool too large for a solver comes to in time."""
    instance = day(requests=size, volunteers=size, reach=11)
    with PartProcesses(1) as processes, PeakMemory(os.getpid()) as memory:
        found, seconds = timed(lambda: plan(instance, processes, seconds=SECONDS))
    columns = sum(part.columns for part in found.parts)
    how = "/".join(sorted({part.how for part in found.parts}))
    rows.add(
        row(
            f"pool of {size} × {size} ({how}): below the bound", below(found.worth, found.bound), "millionths"
        ),
        row(f"pool of {size} × {size}: columns", columns, ""),
        row(f"pool of {size} × {size}: in", seconds, "s"),
        row(f"pool of {size} × {size}: memory for each column", memory.mebibytes * 2**20 / columns, "bytes"),
    )


def replanning(rows: Rows, volunteers: int) -> None:
    """Tell how many promises move when a twentieth is cancelled, as many new, and five volunteers lost."""
    rng = Random(volunteers)
    before = day(seed=7, volunteers=volunteers)
    with PartProcesses(1) as processes:
        first = plan(before, processes, seconds=SECONDS)
        after = changed(before, first, rng)
        kept = plan(after, processes, seconds=SECONDS)
        anew = plan(replace(after, weights=replace(after.weights, keep=0)), processes, seconds=SECONDS)
    promises = kept.kept + kept.moved
    loss = anew.worth - (kept.worth - after.weights.keep * kept.kept)
    rows.add(
        row(f"re-planning 300 × {volunteers}: promises moved", kept.moved / promises * 100, "%", None),
        row(f"re-planning 300 × {volunteers}: moved without a keep bonus", anew.moved / promises * 100, "%"),
        row(f"re-planning 300 × {volunteers}: worth lost by keeping", loss / anew.worth * 100, "%"),
    )


def changed(before: Instance, plan_before: Plan, rng: Random) -> Instance:
    """Return the day after a twentieth cancelled, a twentieth came anew, and five volunteers were lost."""
    promised = {visit.request: (visit.volunteer, visit.start) for visit in plan_before.visits}
    lost = {each.id for each in rng.sample(before.volunteers, 5)}
    twentieth = len(before.requests) // 20
    cancelled = {each.id for each in rng.sample(before.requests, twentieth)}
    fresh = day(seed=8, volunteers=len(before.volunteers)).requests[:twentieth]
    stays = [
        replace(each, promised=dict([promised[each.id]]))
        if each.id in promised and promised[each.id][0] not in lost
        else each
        for each in before.requests
        if each.id not in cancelled
    ]
    anew = [replace(each, id=f"new-{each.id}", elder=f"new-{each.elder}") for each in fresh]
    return replace(
        before,
        requests=(*stays, *anew),
        volunteers=tuple(each for each in before.volunteers if each.id not in lost),
    )


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    chosen: Options = options("bench_matching", argv)
    rows = Rows()
    seeds = SEEDS_QUICK if chosen.quick else SEEDS
    modes: tuple[Mode, ...] = ("fixed", "slot", "window")
    for mode in modes:
        for volunteers in (800, 220):
            if chosen.quick and mode == "window" and volunteers == 800:
                continue
            a_day(rows, f"{mode}, 300 × {volunteers}", seeds, mode=mode, volunteers=volunteers)
    for volunteers in (800, 220):
        communities(rows, COMMUNITIES_QUICK if chosen.quick else COMMUNITIES, volunteers)
        replanning(rows, volunteers)
    large_pool(rows, POOL_QUICK if chosen.quick else POOL)
    report("matching", rows.all, chosen)


if __name__ == "__main__":
    main()
