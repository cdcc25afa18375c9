"""What a run decided, as a JSON document: all of it, strict; with its instance it is a run to replay."""

from __future__ import annotations

from typing import Any

from pointsbank.domain.pairing.fields import Fields, by_name, count, items, number, text, total, word
from pointsbank.domain.pairing.form import written
from pointsbank.domain.pairing.plan import (
    Alternative,
    Change,
    How,
    PartOfPlan,
    Plan,
    PlannedVisit,
    Smallest,
    Unpaired,
)
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.pairing.value import Term


def written_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan as a document that holds all of it: :func:`read_plan` gives the same again."""
    document: dict[str, Any] = written(plan)
    return document


def read_plan(document: object) -> Plan:
    """Return the plan of a document. Raises InvalidValue; its field is the path, ``visits[2].start``."""
    given = Fields(document, "")
    plan = Plan(
        visits=given.take("visits", items(_visit)),
        unpaired=given.take("unpaired", items(_unpaired)),
        worth=given.take("worth", total),
        bound=given.take("bound", total),
        kept=given.take("kept", count),
        moved=given.take("moved", count),
        parts=given.take("parts", items(_part)),
    )
    given.end()
    return plan


def read_parts(document: object) -> tuple[PartOfPlan, ...]:
    """Return how the parts of a plan's document came about: what a replay needs. Raises InvalidValue."""
    return read_plan(document).parts


def _part(told: object, path: str) -> PartOfPlan:
    given = Fields(told, path)
    part = PartOfPlan(
        requests=given.take("requests", count),
        volunteers=given.take("volunteers", count),
        columns=given.take("columns", count),
        worth=given.take("worth", total),
        bound=given.take("bound", total),
        how=given.take("how", word(How)),
        told=given.take("told", count),
    )
    given.end()
    return part


def _visit(told: object, path: str) -> PlannedVisit:
    given = Fields(told, path)
    terms = given.take("terms", by_name(number))
    visit = PlannedVisit(
        request=given.take("request", text),
        volunteer=given.take("volunteer", text),
        start=given.take("start", number),
        value=given.take("value", number),
        terms={word(Term)(each, given.at("terms")): worth for each, worth in terms.items()},
        alternative=given.take("alternative", _alternative, None),
    )
    given.end()
    return visit


def _alternative(told: object, path: str) -> Alternative:
    given = Fields(told, path)
    other = Alternative(
        volunteer=given.take("volunteer", text),
        start=given.take("start", number),
        value=given.take("value", number),
        busy_with=given.take("busy_with", text, None),
    )
    given.end()
    return other


def _unpaired(told: object, path: str) -> Unpaired:
    given = Fields(told, path)
    blocked = given.take("blocked", by_name(count))
    unpaired = Unpaired(
        request=given.take("request", text),
        blocked={word(Blocked)(each, given.at("blocked")): people for each, people in blocked.items()},
        needed_elsewhere=given.take("needed_elsewhere", count),
        change=given.take("change", _change),
    )
    given.end()
    return unpaired


def _change(told: object, path: str) -> Change:
    given = Fields(told, path)
    change = Change(
        kind=given.take("kind", word(Smallest)),
        minutes=given.take("minutes", number),
        volunteers=given.take("volunteers", count),
    )
    given.end()
    return change
