"""What a run is given, as a JSON document: strict, and the same bytes for the same instance.

:func:`written_instance` writes all of it; :func:`read_instance` reads that, and what people write by hand:

- ``requests[]``: ``id``, ``minutes`` and when: ``start``, or ``starts``, or ``earliest`` and ``latest`` (a
  start each ``step`` minutes, 15 unless told), or ``slot`` (morning, noon, afternoon, evening)
  of a ``day`` (the first unless told). All else may be left out: ``spot`` (``grid``, ``east``, ``north``; or
  the three without it), ``preferred`` (the first start), ``blocks`` (the minutes; the whole slot), ``elder``,
  ``urgency``, ``waited``, ``carers``, ``kind``, ``skills``, ``gender``, ``gender_hard``, ``language``,
  ``same_carer``, ``excluded``, ``known``, ``promised``, ``counts`` (against caps: all of the minutes).
- ``volunteers[]``: ``id`` and ``free`` (each a pair of moments, or ``start`` and ``end``; parts that touch
  are joined). All else may be left out: ``home`` (or ``grid``, ``east``, ``north``), ``grids`` (all),
  ``busy``, ``caps`` (without ``start`` and ``end``: over all), ``skills`` (a list, or by skill until when),
  ``gender``, ``languages``, ``recent``, ``visits``, ``reliability``.
- ``origin`` (the first day's midnight), ``grids`` (one grid where nobody names any, else 4 × 4), ``weights``
  (those left out as by default), ``scarce`` (reckoned).

Moments are minutes since the origin, ``"09:00"`` of its day, or local date-times (``pairing.moments``). null
says the same as leaving out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import GridPlan, SmallGrid, default_grid_plan, grid_plan
from pointsbank.domain.pairing.asked import Places, read_request, read_volunteer
from pointsbank.domain.pairing.fields import Fields, anything, by_name, items, number, text, total, within
from pointsbank.domain.pairing.instance import Instance, scarce_skills
from pointsbank.domain.pairing.moments import NO_ORIGIN, Clock, first_day
from pointsbank.domain.pairing.weights import Weights, parse_weights


def canonical(document: object) -> bytes:
    """Return a document's one form: names in order, no spaces, sets as lists in order, UTF-8."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_listed
    ).encode()


def _listed(value: object) -> list[Any]:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form")


def written(value: Any) -> Any:
    """Return a value of the domain as JSON can say it: every field of a dataclass by its name."""
    if isinstance(value, GridPlan):
        return _written_grids(value)
    if is_dataclass(value):
        return {each.name: written(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): written(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [written(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def _written_grids(plan: GridPlan) -> dict[str, Any]:
    boundaries = {tuple(sorted((one, other))) for one, others in plan.neighbours.items() for other in others}
    return {
        "small_grids": [
            {"number": number, "big_grid": plan.small_grids[number].big_grid}
            for number in sorted(plan.small_grids)
        ],
        "boundaries": [list(pair) for pair in sorted(boundaries)],
    }


def written_instance(instance: Instance) -> dict[str, Any]:
    """Return an instance as a document that holds all of it: :func:`read_instance` gives the same again."""
    document: dict[str, Any] = written(instance)
    for request in document["requests"]:
        if request["counts"] is None:
            del request["counts"]  # what was stored before it was known stays the same text
    return document


def read_instance(document: object) -> Instance:
    """Return a document's instance. Raises InvalidValue; its field is the path, ``requests[3].starts``."""
    top = Fields(document, "")
    requests = top.take("requests", items(anything))
    volunteers = top.take("volunteers", items(anything))
    clock = Clock(top.take("origin", text, first_day(requests) or first_day(volunteers) or NO_ORIGIN))
    places = Places(top.take("grids", _read_grids, None) or _unnamed_grids(requests, volunteers))
    weights = top.take("weights", _read_weights, Weights())
    scarce = top.take("scarce", items(text), None)
    now = top.take("now", total, -1)
    top.end()
    asked = tuple(read_request(each, f"requests[{at}]", clock, places) for at, each in enumerate(requests))
    them = tuple(
        read_volunteer(each, f"volunteers[{at}]", clock, places) for at, each in enumerate(volunteers)
    )
    return Instance(
        origin=clock.origin,
        grids=places.plan,
        weights=weights,
        requests=asked,
        volunteers=them,
        scarce=scarce_skills(asked, them, each=weights.scarce_each) if scarce is None else frozenset(scarce),
        now=now,
    )


def _read_weights(told: object, path: str) -> Weights:
    try:
        return parse_weights(by_name(anything)(told, path))
    except InvalidValue as error:
        place = error.field.removeprefix("pairing.").removeprefix(path).removeprefix(".")
        raise InvalidValue(field=f"{path}.{place}" if place else path, rule=error.rule) from None


def _read_grids(told: object, path: str) -> GridPlan:
    given = Fields(told, path)
    small = given.take("small_grids", items(_read_grid))
    boundaries = given.take("boundaries", items(items(number)), ())
    given.end()
    if not small or len({each.number for each in small}) != len(small):
        raise InvalidValue(field=given.at("small_grids"), rule="ids_unique")
    for at, pair in enumerate(boundaries):
        if len(pair) != 2:
            raise InvalidValue(field=f"{path}.boundaries[{at}]", rule="two_numbers")
    with within(path):
        return grid_plan(small, ((pair[0], pair[1]) for pair in boundaries))


def _read_grid(told: object, path: str) -> SmallGrid:
    given = Fields(told, path)
    grid = SmallGrid(given.take("number", number), given.take("big_grid", number))
    given.end()
    return grid


def _unnamed_grids(*documents: tuple[object, ...]) -> GridPlan:
    """Return the grids of a document that does not tell them: one where nobody names any."""
    named = any(
        each.get("grid") is not None or each.get("spot") or each.get("home") or each.get("grids")
        for document in documents
        for each in document
        if isinstance(each, dict)
    )
    return default_grid_plan() if named else grid_plan([SmallGrid(1, 1)], [])
