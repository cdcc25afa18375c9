"""Meals as the bank knows them: where they are eaten, for which diet, on which days again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.errors import InvalidValue

STANDING_DAYS_MAX = 366
SCORE_MIN, SCORE_MAX = 1, 3


class Meal(StrEnum):
    """When a dish is served."""

    LUNCH = "lunch"
    DINNER = "dinner"


class Mode(StrEnum):
    """Where a meal is eaten."""

    DINE_IN = "dine_in"
    DELIVERY = "delivery"


class Diet(StrEnum):
    """What the kitchen should mind. A code, never a diagnosis in words."""

    LOW_SALT = "low_salt"
    SOFT = "soft"
    DIABETIC = "diabetic"
    MINCED = "minced"
    NO_PORK = "no_pork"
    SMALL_RICE = "small_rice"


class Tag(StrEnum):
    """Whom a dish suits."""

    LOW_SALT = "low_salt"
    SOFT = "soft"
    DIABETIC = "diabetic"


@dataclass(frozen=True, slots=True)
class MealWish:
    """How a member wants a meal. dish, point: codes of the canteen's; None for whatever the set is."""

    mode: Mode = Mode.DINE_IN
    dish: str | None = None
    point: str | None = None
    diet: Diet | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A building on the map, in metres; None where nobody has measured."""

    id: UUID
    label: str
    east_m: int | None
    north_m: int | None


def walking_positions(spots: Sequence[Spot]) -> dict[UUID, int]:
    """Return each building's place on a walk through all of them, from 1.

    From the most south-western one always on to the nearest that is left (the nearest-neighbour tour:
    Rosenkrantz, Stearns, Lewis 1977); buildings nobody has measured come last, by their labels.
    """
    measured = [
        (spot.east_m, spot.north_m, spot.label, spot.id)
        for spot in spots
        if spot.east_m is not None and spot.north_m is not None
    ]
    order: list[UUID] = []
    left = sorted(measured, key=lambda each: (each[0] + each[1], each[2]))
    if left:
        here = left.pop(0)
        order.append(here[3])
        while left:
            here = min(left, key=lambda each: ((each[0] - here[0]) ** 2 + (each[1] - here[1]) ** 2, each[2]))
            left.remove(here)
            order.append(here[3])
    known = set(order)
    order += [spot.id for spot in sorted(spots, key=lambda each: each.label) if spot.id not in known]
    return {each: number for number, each in enumerate(order, start=1)}


@dataclass(frozen=True, slots=True)
class Standing:
    """The days of a standing order. weekdays: 0 for Monday; until: the last day, included."""

    weekdays: frozenset[int]
    first: date
    until: date

    def days(self, after: date, through: date, *, skipped: Collection[date]) -> Iterator[date]:
        """Yield its days later than ``after`` up to ``through``, without those that are skipped."""
        day = max(self.first, after + timedelta(days=1))
        while day <= min(self.until, through):
            if day.weekday() in self.weekdays and day not in skipped:
                yield day
            day += timedelta(days=1)


def standing(weekdays: Collection[int], first: date, until: date, *, today: date) -> Standing:
    """Return the days of a standing order. Raises InvalidValue (``weekdays``, ``first``, ``until``)."""
    if not weekdays or not all(type(each) is int and 0 <= each <= 6 for each in weekdays):
        raise InvalidValue(field="weekdays", rule="days_of_the_week")
    if first < today:
        raise InvalidValue(field="first", rule="not_in_the_past")
    if not first <= until <= first + timedelta(days=STANDING_DAYS_MAX):
        raise InvalidValue(field="until", rule=f"within_{STANDING_DAYS_MAX}_days")
    return Standing(frozenset(weekdays), first, until)
