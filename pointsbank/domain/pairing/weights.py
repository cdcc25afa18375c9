"""The weights of pairing: policy data, each a whole number of points of value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue

WEIGHT_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Weights:
    """What a pair is worth; the formula stands in :mod:`pointsbank.domain.pairing.value`.

    serve: for being served at all, by urgency 0 to 3. waiting_day: for each day waited, up to
    ``waiting_days``. grid: taken off by grid distance (same small, same big, neighbour, far).
    hundred_metres: taken off for each 100 m between home and visit, up to ``metres``. gender, language:
    added where the wish is met. known: added for each earlier visit, up to ``known_visits``. same_carer:
    added for one who came before where the elder asked for the same carer. newcomer: added for who never
    made a visit. hour: taken off for each hour served lately, up to ``hours``. spare_skill: taken off for
    each scarce skill that the request does not need. quarter: taken off for each quarter of an hour between
    start and preferred start. keep: added where a standing offer is kept. unreliable: taken off for a
    reliability of 0, in proportion above it. further: taken off for each visit after a volunteer's first in
    a run. least: a pair is never worth less, so that serving is always better than not.

    walk: metres walked a minute; detour: permille of the straight line. walk_grid: minutes between two
    places by grid distance where coordinates are not known. scarce_each: a skill is scarce when fewer than
    so many volunteers have it for every request that asks for it.
    """

    serve: tuple[int, int, int, int] = (1_000, 1_300, 1_700, 2_400)
    waiting_day: int = 40
    waiting_days: int = 14
    grid: tuple[int, int, int, int] = (0, 60, 120, 240)
    hundred_metres: int = 6
    metres: int = 3_000
    gender: int = 80
    language: int = 120
    known: int = 30
    known_visits: int = 4
    same_carer: int = 150
    newcomer: int = 60
    hour: int = 8
    hours: int = 20
    spare_skill: int = 50
    quarter: int = 2
    keep: int = 400
    unreliable: int = 200
    further: int = 40
    least: int = 100
    walk: int = 65
    detour: int = 1_300
    walk_grid: tuple[int, int, int, int] = (5, 10, 15, 25)
    scarce_each: int = 3

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if each.name in FOURS and len(numbers) != 4:
                raise InvalidValue(field=each.name, rule="four_numbers")
            if any(type(number) is not int or not 0 <= number <= WEIGHT_MAX for number in numbers):
                raise InvalidValue(field=each.name, rule=f"between_0_and_{WEIGHT_MAX}")
        if not self.least > self.further:
            raise InvalidValue(field="least", rule="above_further")
        if not self.walk:
            raise InvalidValue(field="walk", rule="at_least_1")


FOURS = frozenset({"serve", "grid", "walk_grid"})


def parse_weights(told: Mapping[str, Any]) -> Weights:
    """Return the weights a policy's section ``pairing`` says; what it does not say is as by default.

    Raises InvalidValue naming the field that is wrong or not known.
    """
    known = {each.name for each in fields(Weights)}
    values: dict[str, Any] = {}
    for name, value in told.items():
        if name not in known:
            raise InvalidValue(field=f"pairing.{name}", rule="unknown_field")
        if name in FOURS:
            if not isinstance(value, list | tuple):
                raise InvalidValue(field=name, rule="four_numbers")
            values[name] = tuple(points.whole(number, field=name) for number in value)
        else:
            values[name] = points.whole(value, field=name)
    return Weights(**values)


def written_weights(weights: Weights) -> dict[str, Any]:
    """Return weights as a policy's section says them: the other way of :func:`parse_weights`."""
    return {
        each.name: list(value) if isinstance(value := getattr(weights, each.name), tuple) else value
        for each in fields(weights)
    }
