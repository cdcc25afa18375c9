"""Cutting a meal's deliveries into runs that one volunteer carries: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Parcel:
    """One order to be brought. point: where it is fetched. walk: the building's place on the walk."""

    redemption_id: UUID
    point: str
    big_grid: int
    small_grid: int
    walk: int
    building: str
    voucher: str
    quantity: int


def walking_order(parcel: Parcel) -> tuple[str, int, int, int, str, str]:
    """Return the key that puts parcels in the order in which they are walked to."""
    return (
        parcel.point,
        parcel.big_grid,
        parcel.small_grid,
        parcel.walk,
        parcel.building,
        parcel.voucher,
    )


def cut_runs(parcels: Sequence[Parcel], *, portions: int) -> list[list[Parcel]]:
    """Return runs in walking order: each from one point, within one big grid, of at most ``portions``.

    A building goes into one run unless it alone has more than one carries; an order is never divided, so one
    that is larger than ``portions`` is a run of its own.
    """
    runs: list[list[Parcel]] = []
    ordered = sorted(parcels, key=walking_order)
    for _, of_grid in groupby(ordered, key=lambda each: (each.point, each.big_grid)):
        run: list[Parcel] = []
        for _, of_building in groupby(of_grid, key=lambda each: (each.small_grid, each.walk, each.building)):
            together = list(of_building)
            if run and _carried(run) + _carried(together) > portions:
                runs.append(run)
                run = []
            for parcel in together:
                if run and _carried(run) + parcel.quantity > portions:
                    runs.append(run)
                    run = []
                run.append(parcel)
        if run:
            runs.append(run)
    return runs


def _carried(run: Sequence[Parcel]) -> int:
    return sum(parcel.quantity for parcel in run)
