"""Parts too large for a solver: prices by a counted number of steps, and the plan they lead to.

What one volunteer's visits exclude is priced by points in time (of the visits that cover a minute, at most
one), caps by the minute, and visits after the first by ``further``. Against such prices every request takes
the column that is worth most; where more take a place than it holds its price rises, where fewer it falls:
the volume algorithm, whose smoothed choices come near the relaxation's. Every column is priced in every
step, so the bound holds over all of them. Walking is left to the plan: the bound is that much looser, and as
sound.

Source: Barahona and Anbil, The volume algorithm: producing primal solutions with a subgradient method,
Mathematical Programming 87 (2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from services.matching.engine.arrays import Floats, Ints
from services.matching.engine.parts import Part
from services.matching.engine.prices import SCALE

Prices = TypeVar("Prices", Ints, Floats)

LARGE = 150_000
"""Columns above which a part is large."""

CROWDED = 2_000
"""Columns of one volunteer above which a part is large: what excludes what is a table of their square."""

STEPS = 200
SMOOTHED = 0.1
"""Weight of a step's choices beside those before it."""

PATIENCE = 8
"""Steps without a better bound before steps are shortened."""

ENOUGH = 1e-3
"""Gap to the known plan at which pricing ends."""


def is_large(part: Part) -> bool:
    """Tell whether a part is too large for a solver."""
    return len(part) > LARGE or int(np.bincount(part.volunteer).max()) > CROWDED


@dataclass(frozen=True, slots=True)
class Priced:
    """What prices proved and chose. bound: over all columns; hint: by column, how much of it was chosen."""

    bound: int
    hint: Floats


class _Places:
    """What columns take: points of a volunteer's time, caps, turns."""

    def __init__(self, part: Part) -> None:
        self.part = part
        points = np.unique(part.start)
        self._width = len(points) + 1
        row = part.volunteer * self._width
        self._begin = row + np.searchsorted(points, part.start)
        self._end = row + np.searchsorted(points, part.start + part.blocks[part.request])
        self._shape = (len(part.volunteers), len(points))
        self._caps = self._capped()
        self.sizes = (len(part.volunteers) * len(points), len(part.cap_load), len(part.volunteers))
        self.right = np.concatenate(
            [
                np.ones(self.sizes[0], np.int64),
                part.cap_load,
                np.ones(self.sizes[2], np.int64),
            ]
        )
        limit = np.full(len(self.right), np.inf)
        limit[self.sizes[0] + self.sizes[1] :] = part.further
        self.limit = limit

    def _capped(self) -> list[Ints]:
        """Return the caps each column is in, a list for the first, the second and so on; -1 for none."""
        part = self.part
        column, cap = part.caps.expand(part.volunteer)
        inside = (part.cap_start[cap] <= part.start[column]) & (part.start[column] < part.cap_end[cap])
        column, cap = column[inside], cap[inside]
        first = np.searchsorted(column, column)
        rank = np.arange(len(column)) - first
        found = []
        for each in range(int(rank.max(initial=-1)) + 1):
            of = np.full(len(part), -1)
            of[column[rank == each]] = cap[rank == each]
            found.append(of)
        return found

    def paid(self, price: Prices) -> Prices:
        """Return what every column pays."""
        times, caps, turns = np.split(price, np.cumsum(self.sizes)[:-1])
        reach = np.zeros((self._shape[0], self._width), price.dtype)
        np.cumsum(times.reshape(self._shape), axis=1, out=reach[:, 1:])
        flat = reach.ravel()
        paid: Prices = flat[self._end] - flat[self._begin]
        paid += turns[self.part.volunteer]
        for of in self._caps:
            paid += np.where(of >= 0, caps[np.maximum(of, 0)], 0) * self.part.load
        return paid

    def used(self, columns: Ints) -> Floats:
        """Return how much of every place columns take."""
        part = self.part
        steps = np.bincount(self._begin[columns], minlength=self._shape[0] * self._width)
        steps = steps - np.bincount(self._end[columns], minlength=self._shape[0] * self._width)
        times = np.cumsum(steps.reshape(self._shape[0], self._width), axis=1)[:, :-1].ravel()
        caps = np.zeros(self.sizes[1])
        for of in self._caps:
            inside = columns[of[columns] >= 0]
            caps += np.bincount(of[inside], weights=part.load[inside], minlength=self.sizes[1])
        turns = np.bincount(part.volunteer[columns], minlength=self.sizes[2])
        return np.concatenate([times, caps, turns]).astype(np.float64)


class _Asked:
    """What requests choose against prices: each the column worth most, two where two carers come."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._first = np.searchsorted(part.request, np.arange(len(part.requests)))

    def best(self, rest: Floats) -> tuple[float, Ints]:
        """Return what the choices are worth and the columns chosen.

        A request of several carers counts its best column as often: more than any two could be worth.
        """
        most = np.maximum.reduceat(rest, self._first)
        kept = most > 0
        equal = rest == most[self._part.request]
        at = np.flatnonzero(equal)
        _, once = np.unique(self._part.request[at], return_index=True)
        return float((most[kept] * self._part.carers[kept]).sum()), at[once][kept]


def priced(part: Part, known: int) -> Priced:
    """Return what ``STEPS`` steps of pricing prove and choose. known: what a plan at hand is worth."""
    places, asked = _Places(part), _Asked(part)
    value = part.value.astype(np.float64)
    at = np.zeros(len(places.right))
    best_price, best_bound = at, np.inf
    hint, usage = np.zeros(len(part)), np.zeros(len(at))
    length, waited = 1.0, 0
    for step in range(STEPS):
        worth, chosen = asked.best(value - places.paid(at))
        bound = float(places.right @ at) + worth
        share = SMOOTHED if step else 1.0
        usage = (1 - share) * usage + share * places.used(chosen)
        hint *= 1 - share
        hint[chosen] += share
        waited += 1
        if bound < best_bound:
            length = min(1.5, length * 1.05) if bound < best_bound * (1 - 1e-4) else length
            best_price, best_bound, waited = at, bound, 0
        elif waited >= PATIENCE:
            length, waited = length * 0.6, 0
        if best_bound - known <= ENOUGH * known:
            break
        slack = places.right - usage
        # A place nobody wants and that costs nothing has nothing to say about the length of a step.
        slack[(best_price == 0) & (slack > 0)] = 0
        norm = float(slack @ slack)
        if not norm:
            break
        moved = best_price - length * (best_bound - known) / norm * slack
        at = np.clip(moved, 0, places.limit)
    return Priced(_proved(part, places, best_price), hint)


def _proved(part: Part, places: _Places, price: Floats) -> int:
    """Return the bound that prices, rounded to whole parts of ``SCALE``, prove."""
    whole = np.floor(price * SCALE).astype(np.int64)
    rest = part.value * SCALE - places.paid(whole)
    most = np.zeros(len(part.requests), np.int64)
    np.maximum.at(most, part.request, rest)
    return (int((places.right * whole).sum()) + int((most * part.carers).sum())) // SCALE
