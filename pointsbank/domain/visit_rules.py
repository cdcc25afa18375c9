"""What a policy says of visits: how late is late, who confirms long ones, what a bad record costs.

Section ``visits`` of a policy document. Every field may be left out, and then means what ``VisitRules()``
says: a document of an earlier form has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.points import Minutes

VISIT_MINUTES_MAX = 24 * 60
DAYS_MAX = 5 * 366
WEIGHT_MAX = 1_000


class Ground(StrEnum):
    """What a complaint about a visit says."""

    NOT_RENDERED = "not_rendered"  # nobody came
    WRONG_HOURS = "wrong_hours"
    FALSE_RECORD = "false_record"  # recorded afterwards, and it never was
    CONDUCT = "conduct"  # rude, careless, asked for money


class BarKind(StrEnum):
    """What a sanction keeps its person from."""

    BACKFILL = "backfill"  # recording past visits
    SERVICE = "service"  # being sent to an elder


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an upheld complaint brings: whether the visit's entry is taken back whole, and a bar of
    ``days``."""

    reverse: bool
    bar: BarKind | None = None
    days: int = 0


CONSEQUENCES: Mapping[Ground, Consequence] = {
    Ground.NOT_RENDERED: Consequence(reverse=True, bar=BarKind.SERVICE, days=90),
    Ground.WRONG_HOURS: Consequence(reverse=True),
    Ground.FALSE_RECORD: Consequence(reverse=True, bar=BarKind.BACKFILL, days=365),
    Ground.CONDUCT: Consequence(reverse=False, bar=BarKind.SERVICE, days=30),
}
"""A false record cancels the hours and bars backfill for a year: the rule of Chongqing."""


@dataclass(frozen=True, slots=True)
class VisitRules:
    """The rules of one policy version.

    late_grace_minutes: a check-in up to so late is not late. no_show_minutes: after the agreed start without
    a check-in it is a no-show. missing_minutes: after the agreed end without a check-out it is missing;
    missing_days: after so many days missing it is cancelled, and earns nothing. nobody_home_minutes: what the
    way is worth when nobody was at home.

    code_seconds: how long a code at the door stands. code_attempts: how many may be tried for one visit in
    ``ATTEMPTS_SPAN``.

    at_once_minutes: up to so long one confirmation is enough; up to coordinator_minutes two people are needed
    with a coordinator among them, above it two coordinators. pairs_a_day: check-ins a local day for one
    activity. Both as in Guangdong: 8 h valid at once, 8-12 h by the parent organisation, above 12 h by a
    higher one, at most 3 pairs a day for an activity.

    notice_minutes: a planned visit called off later than so long before it begins is called off late. Half a
    day by default: as long as an offer waits for its answer (``offer_minutes``), so that with so much notice
    the next volunteer can still be asked and say yes or no.

    backfill_days: how long ago a visit recorded afterwards may have ended; backfills_a_month: how many one
    volunteer gets in a local calendar month (0: none at all).

    feedback_days: how long feedback may be changed; complaint_days: how long after its end a visit may be
    complained about; appeal_days: how long after a decision it may be appealed against.

    reliability_days: how far back reliability looks. kept_permille, late_permille, withdrawn_permille,
    no_show_permille: what each visit is worth to it; withdrawn: by the volunteer, and late, which by default
    lies between a late visit, which the elder had, and a no-show, of which nobody was told.
    reliability_prior: kept visits everybody is taken to have begun with.
    """

    late_grace_minutes: int = 10
    no_show_minutes: int = 60
    missing_minutes: int = 4 * 60
    missing_days: int = 14
    nobody_home_minutes: int = 0
    code_seconds: int = 60
    code_attempts: int = 5
    notice_minutes: int = 12 * 60
    at_once_minutes: int = 8 * 60
    coordinator_minutes: int = 12 * 60
    pairs_a_day: int = 3
    backfill_days: int = 14
    backfills_a_month: int = 2
    feedback_days: int = 7
    complaint_days: int = 30
    appeal_days: int = 15
    reliability_days: int = 180
    kept_permille: int = 1_000
    late_permille: int = 700
    withdrawn_permille: int = 400
    no_show_permille: int = 0
    reliability_prior: int = 2
    consequences: Mapping[Ground, Consequence] = field(default_factory=lambda: CONSEQUENCES)

    @property
    def notice(self) -> timedelta:
        """How long before its start a visit can be called off without being late."""
        return timedelta(minutes=self.notice_minutes)

    def tier(self, minutes: Minutes) -> int:
        """Return the tier of confirmation for a visit of that length: 1, 2 or 3."""
        if minutes <= self.at_once_minutes:
            return 1
        return 2 if minutes <= self.coordinator_minutes else 3


ATTEMPTS_SPAN = timedelta(minutes=15)

BOUNDS: Mapping[str, tuple[int, int]] = {
    "late_grace_minutes": (0, 120),
    "no_show_minutes": (1, VISIT_MINUTES_MAX),
    "missing_minutes": (1, 7 * VISIT_MINUTES_MAX),
    "missing_days": (1, DAYS_MAX),
    "nobody_home_minutes": (0, 120),
    "code_seconds": (30, 3_600),
    "code_attempts": (1, 20),
    "notice_minutes": (0, 7 * VISIT_MINUTES_MAX),
    "at_once_minutes": (1, VISIT_MINUTES_MAX),
    "coordinator_minutes": (1, VISIT_MINUTES_MAX),
    "pairs_a_day": (1, 24),
    "backfill_days": (0, DAYS_MAX),
    "backfills_a_month": (0, 100),
    "feedback_days": (0, DAYS_MAX),
    "complaint_days": (1, DAYS_MAX),
    "appeal_days": (1, DAYS_MAX),
    "reliability_days": (1, DAYS_MAX),
    "kept_permille": (0, WEIGHT_MAX),
    "late_permille": (0, WEIGHT_MAX),
    "withdrawn_permille": (0, WEIGHT_MAX),
    "no_show_permille": (0, WEIGHT_MAX),
    "reliability_prior": (0, 100),
}
CONSEQUENCE_FIELDS = frozenset({"reverse", "bar", "days"})


def parse_visit_rules(told: Mapping[str, Any] | None) -> VisitRules:
    """Return the rules a document's section says; None: those of a document without one.

    Raises InvalidValue naming the field that is wrong, or that is not known.
    """
    if told is None:
        return VisitRules()
    if not isinstance(told, Mapping):
        raise InvalidValue(field="visits", rule="object")
    known = {each.name for each in fields(VisitRules)}
    for name in told:
        if name not in known:
            raise InvalidValue(field=f"visits.{name}", rule="unknown_field")
    numbers = {name: _bounded(told, name, *bounds) for name, bounds in BOUNDS.items() if name in told}
    rules = VisitRules(**numbers, consequences=_consequences(told.get("consequences")))
    if rules.coordinator_minutes < rules.at_once_minutes:
        raise InvalidValue(field="coordinator_minutes", rule="in_order")
    return rules


def _consequences(told: Any) -> Mapping[Ground, Consequence]:
    if told is None:
        return CONSEQUENCES
    if not isinstance(told, Mapping):
        raise InvalidValue(field="visits.consequences", rule="object")
    found = dict(CONSEQUENCES)
    for ground, body in told.items():
        if ground not in set(Ground):
            raise InvalidValue(field=f"visits.consequences.{ground}", rule="unknown_field")
        if not isinstance(body, Mapping):
            raise InvalidValue(field=f"visits.consequences.{ground}", rule="object")
        for name in body:
            if name not in CONSEQUENCE_FIELDS:
                raise InvalidValue(field=f"visits.consequences.{ground}.{name}", rule="unknown_field")
        if type(body.get("reverse")) is not bool:
            raise InvalidValue(field="reverse", rule="true_or_false")
        bar = body.get("bar")
        if bar is not None and bar not in set(BarKind):
            raise InvalidValue(field="bar", rule="known_value")
        found[Ground(ground)] = Consequence(
            reverse=body["reverse"],
            bar=BarKind(bar) if bar is not None else None,
            days=_bounded(body, "days", 1, DAYS_MAX) if bar is not None else 0,
        )
    return found


def _bounded(body: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = points.whole(body.get(name), field=name)
    if not low <= value <= high:
        raise InvalidValue(field=name, rule=f"between_{low}_and_{high}")
    return value


DEFAULT_VISITS: dict[str, Any] = {
    "late_grace_minutes": 10,
    "no_show_minutes": 60,
    "missing_minutes": 240,
    "nobody_home_minutes": 0,
    "notice_minutes": 720,
    "at_once_minutes": 480,
    "coordinator_minutes": 720,
    "pairs_a_day": 3,
    "backfill_days": 14,
    "backfills_a_month": 2,
    "complaint_days": 30,
    "appeal_days": 15,
    "consequences": {"false_record": {"reverse": True, "bar": "backfill", "days": 365}},
}
"""What a new community starts with: the rules above that it is likeliest to change, spelt out."""
