"""Policy: what service earns, what it is capped at, what points buy. Data, versioned and dated.

A version is a JSON document that :func:`parse_policy` turns into a :class:`Policy`; the decisions are pure
functions of it, so that any entry can be recomputed from the version it cites.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from pointsbank.domain import points
from pointsbank.domain.asked_time import (
    DEFAULT_SLOTS,
    SLOTS_SECTION,
    Slot,
    SlotHours,
    Timing,
    parse_kind_timing,
    parse_slots,
)
from pointsbank.domain.availability import VolunteerRules, parse_volunteer_rules
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.liability import BackingRules, parse_backing
from pointsbank.domain.lots import last_day
from pointsbank.domain.pairing.weights import Weights, parse_weights
from pointsbank.domain.points import Fen, MilliPoints, Minutes
from pointsbank.domain.subsidy.parse import DEFAULT_SUBSIDY, SECTION, parse_subsidy
from pointsbank.domain.subsidy.rules import SubsidyRules
from pointsbank.domain.visit_rules import DEFAULT_VISITS, VISIT_MINUTES_MAX, VisitRules, parse_visit_rules
from pointsbank.domain.waiting import WAITING_SECTION, WaitingRules, parse_waiting

PERMILLE_MAX = 10_000
RATE_MAX = 100 * points.MILLI
EXPIRE_MONTHS_MAX = 60
"""Longest term of points. A member then has at most 61 last days at once, and a gift of all of them is one
entry (``journal.TRANSFERS_MAX``)."""

CODE = re.compile(r"[a-z0-9_.-]{1,60}")
FIELDS = frozenset(
    {
        "milli_points_per_hour",
        "kinds",
        "caps",
        "items",
        "hold_hours",
        "offer_minutes",
        "points_expire_months",
        "gifts",
        "donations",
        "grants",
        "volunteers",
        "pairing",
        "slots",
        "waiting",
        "visits",
        "backing",
        SECTION,
    }
)
CAP_FIELDS = frozenset({"day_minutes", "year_milli_points", "account_milli_points"})
KIND_FIELDS = frozenset({"coefficient_permille", "expected_minutes", "skill", "risk", "carers", "timing"})
CARERS_MAX = 2
ITEM_FIELDS = frozenset({"milli_points", "fen", "daily_limit"})
GIVING_FIELDS = frozenset({"enabled", "min_milli_points", "year_milli_points_max"})


@dataclass(eq=False)
class UnknownServiceKind(DomainError):
    """The policy version has no such kind of service."""

    code = "unknown_service_kind"
    kind: str


@dataclass(eq=False)
class UnknownItem(DomainError):
    """The policy version sells no such item at this partner."""

    code = "unknown_item"
    partner: str
    item: str


class Risk(StrEnum):
    """How much can go wrong in a kind of service."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """One kind of service. coefficient: permille of the base rate; expected: minutes a visit takes.

    skill: what a volunteer must be able to do. carers: how many must come, 1 or 2. timing: how its time is
    asked for first: a window, or a fixed hour that others have set (an appointment).
    """

    code: str
    coefficient_permille: int
    expected_minutes: Minutes
    skill: str | None = None
    risk: Risk = Risk.LOW
    carers: int = 1
    timing: Timing = Timing.WINDOW


@dataclass(frozen=True, slots=True)
class Caps:
    """Most a volunteer earns: minutes a day, milli-points a calendar year, milli-points held at once."""

    day_minutes: Minutes
    year_milli_points: MilliPoints
    account_milli_points: MilliPoints


@dataclass(frozen=True, slots=True)
class Item:
    """Something points buy: ``milli_points`` from the member, ``fen`` from the community to the partner."""

    partner: str
    code: str
    milli_points: MilliPoints
    fen: Fen
    daily_limit: int


@dataclass(frozen=True, slots=True)
class GivingRules:
    """What may be given: gifts and donations of a member, or grants to one.

    min_milli_points: of one. year_milli_points_max: of one member in a calendar year; None: no limit.
    """

    enabled: bool = False
    min_milli_points: MilliPoints = MilliPoints(1)
    year_milli_points_max: MilliPoints | None = None


@dataclass(frozen=True, slots=True)
class EarnedSoFar:
    """What a volunteer has before this visit: minutes credited that day, points that year, balance."""

    day_minutes: Minutes = Minutes(0)
    year_milli_points: MilliPoints = MilliPoints(0)
    account_milli_points: MilliPoints = MilliPoints(0)


@dataclass(frozen=True, slots=True)
class Earning:
    """What a visit earns. ``clipped_*`` is what the caps took away; both parts are recorded."""

    minutes: Minutes
    milli_points: MilliPoints
    clipped_minutes: Minutes = Minutes(0)
    clipped_milli_points: MilliPoints = MilliPoints(0)


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a community's rules."""

    version: int
    effective_from: date
    milli_points_per_hour: int
    kinds: Mapping[str, ServiceKind]
    caps: Caps
    items: Mapping[tuple[str, str], Item]
    hold_hours: int
    offer_minutes: int
    points_expire_months: int | None = None
    gifts: GivingRules = GivingRules()
    donations: GivingRules = GivingRules()
    grants: GivingRules = GivingRules()
    volunteers: VolunteerRules = field(default_factory=VolunteerRules)
    pairing: Weights = field(default_factory=Weights)
    slots: Mapping[Slot, SlotHours] = field(default_factory=lambda: DEFAULT_SLOTS)
    waiting: WaitingRules = field(default_factory=WaitingRules)
    visits: VisitRules = field(default_factory=VisitRules)
    backing: BackingRules = field(default_factory=BackingRules)
    subsidy: SubsidyRules = field(default_factory=SubsidyRules)

    def expires_on(self, received_on: date) -> date | None:
        """Return the last local day of points received on a local day; None: they never expire."""
        return last_day(received_on, self.points_expire_months)

    def kind(self, code: str) -> ServiceKind:
        """Return a kind of service. Raises UnknownServiceKind."""
        if code not in self.kinds:
            raise UnknownServiceKind(kind=code)
        return self.kinds[code]

    def counted_minutes(self, kind: str, minutes: int) -> int:
        """Return how many minutes of a visit count against the most that a volunteer is asked to give.

        A kind that by the policy takes longer than such a day (a night watch of ten hours, most of them
        rest) fills the day on which it begins and no more: counted in full, nobody could ever be asked for
        it. minutes: planned or made. A kind that is no longer known counts in full.
        """
        known = self.kinds.get(kind)
        day = self.volunteers.day_minutes
        return min(minutes, day) if known is not None and known.expected_minutes > day else minutes

    def item(self, partner: str, code: str) -> Item:
        """Return an item a partner sells. Raises UnknownItem."""
        if (partner, code) not in self.items:
            raise UnknownItem(partner=partner, item=code)
        return self.items[partner, code]

    def earning(self, kind: str, minutes: Minutes, so_far: EarnedSoFar) -> Earning:
        """Return what ``minutes`` of ``kind`` earn under the caps.

        minutes: above 0, at most ``VISIT_MINUTES_MAX``. The day cap limits the minutes credited; the year
        and account caps limit the points, the tighter of the two deciding.
        Raises UnknownServiceKind, InvalidValue.
        """
        service_kind = self.kind(kind)
        if not 0 < minutes <= VISIT_MINUTES_MAX:
            raise InvalidValue(field="minutes", rule="visit_length")
        credited = Minutes(max(0, min(minutes, self.caps.day_minutes - so_far.day_minutes)))
        uncapped = self._points(minutes, service_kind)
        room = min(
            self.caps.year_milli_points - so_far.year_milli_points,
            self.caps.account_milli_points - so_far.account_milli_points,
        )
        earned = MilliPoints(max(0, min(self._points(credited, service_kind), room)))
        return Earning(
            minutes=credited,
            milli_points=earned,
            clipped_minutes=Minutes(minutes - credited),
            clipped_milli_points=MilliPoints(uncapped - earned),
        )

    def _points(self, minutes: Minutes, kind: ServiceKind) -> MilliPoints:
        return points.earned_points(
            minutes,
            milli_points_per_hour=self.milli_points_per_hour,
            coefficient_permille=kind.coefficient_permille,
        )


def parse_policy(version: int, effective_from: date, body: Mapping[str, Any]) -> Policy:
    """Return the policy a stored document says.

    What a document of an earlier form does not mention is not promised: points never expire, nothing can be
    given. Raises InvalidValue naming the field that is wrong, or that is not known.
    """
    _only(body, FIELDS)
    caps = _mapping(body, "caps")
    _only(caps, CAP_FIELDS, within="caps")
    return Policy(
        version=version,
        effective_from=effective_from,
        milli_points_per_hour=_bounded(body, "milli_points_per_hour", 1, RATE_MAX),
        kinds=_kinds(_mapping(body, "kinds")),
        caps=Caps(
            day_minutes=Minutes(_bounded(caps, "day_minutes", 1, VISIT_MINUTES_MAX)),
            year_milli_points=MilliPoints(_bounded(caps, "year_milli_points", 1, points.AMOUNT_MAX)),
            account_milli_points=MilliPoints(_bounded(caps, "account_milli_points", 1, points.AMOUNT_MAX)),
        ),
        items=_items(_mapping(body, "items")),
        hold_hours=_bounded(body, "hold_hours", 1, 24 * 31),
        offer_minutes=_bounded(body, "offer_minutes", 1, 7 * 24 * 60),
        points_expire_months=_bounded_or_none(body, "points_expire_months", 1, EXPIRE_MONTHS_MAX),
        gifts=_giving(body, "gifts"),
        donations=_giving(body, "donations"),
        grants=_giving(body, "grants"),
        volunteers=parse_volunteer_rules(_mapping(body, "volunteers") if "volunteers" in body else {}),
        pairing=parse_weights(_mapping(body, "pairing") if "pairing" in body else {}),
        slots=parse_slots(body),
        waiting=parse_waiting(body),
        visits=parse_visit_rules(body.get("visits")),
        backing=parse_backing(body),
        subsidy=parse_subsidy(body.get(SECTION)),
    )


def _kinds(told: Mapping[str, Any]) -> dict[str, ServiceKind]:
    kinds: dict[str, ServiceKind] = {}
    for code in told:
        kind = _mapping(told, code)
        _only(kind, KIND_FIELDS, within=f"kinds.{code}")
        skill = kind.get("skill")
        if skill is not None and not isinstance(skill, str):
            raise InvalidValue(field="skill", rule="text")
        kinds[_code(code, "kinds")] = ServiceKind(
            code=code,
            coefficient_permille=_bounded(kind, "coefficient_permille", 0, PERMILLE_MAX),
            expected_minutes=Minutes(_bounded(kind, "expected_minutes", 1, VISIT_MINUTES_MAX)),
            skill=skill,
            risk=_risk(kind.get("risk", Risk.LOW.value)),
            carers=_bounded(kind, "carers", 1, CARERS_MAX) if "carers" in kind else 1,
            timing=parse_kind_timing(kind.get("timing", Timing.WINDOW.value)),
        )
    return kinds


def _risk(told: object) -> Risk:
    if told not in list(Risk):
        raise InvalidValue(field="risk", rule="known_value")
    return Risk(str(told))


def _items(told: Mapping[str, Any]) -> dict[tuple[str, str], Item]:
    items: dict[tuple[str, str], Item] = {}
    for partner in told:
        sold = _mapping(told, partner)
        for code in sold:
            item = _mapping(sold, code)
            _only(item, ITEM_FIELDS, within=f"items.{partner}.{code}")
            items[_code(partner, "items"), _code(code, "items")] = Item(
                partner=partner,
                code=code,
                milli_points=MilliPoints(_bounded(item, "milli_points", 1, points.AMOUNT_MAX)),
                fen=Fen(_bounded(item, "fen", 0, points.AMOUNT_MAX)),
                daily_limit=_bounded(item, "daily_limit", 1, 1_000),
            )
    return items


def _giving(body: Mapping[str, Any], section: str) -> GivingRules:
    if section not in body:
        return GivingRules()
    rules = _mapping(body, section)
    _only(rules, GIVING_FIELDS, within=section)
    if type(rules.get("enabled")) is not bool:
        raise InvalidValue(field="enabled", rule="true_or_false")
    most = _bounded_or_none(rules, "year_milli_points_max", 1, points.AMOUNT_MAX)
    return GivingRules(
        enabled=rules["enabled"],
        min_milli_points=MilliPoints(_bounded(rules, "min_milli_points", 1, points.AMOUNT_MAX)),
        year_milli_points_max=None if most is None else MilliPoints(most),
    )


def _only(body: Mapping[str, Any], known: frozenset[str], *, within: str = "") -> None:
    """Raise InvalidValue for the first field that is not known: a misspelt rule must never be lost."""
    for name in body:
        if name not in known:
            path = f"{within}.{name}" if within else str(name)
            raise InvalidValue(field=path, rule="unknown_field")


def _code(code: object, field: str) -> str:
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise InvalidValue(field=field, rule="characters")
    return code


def _mapping(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = body.get(field)
    if not isinstance(value, Mapping):
        raise InvalidValue(field=field, rule="object")
    return value


def _bounded(body: Mapping[str, Any], field: str, low: int, high: int) -> int:
    value = points.whole(body.get(field), field=field)
    if not low <= value <= high:
        raise InvalidValue(field=field, rule=f"between_{low}_and_{high}")
    return value


def _bounded_or_none(body: Mapping[str, Any], field: str, low: int, high: int) -> int | None:
    return None if body.get(field) is None else _bounded(body, field, low, high)


def _kind(
    minutes: int, *, permille: int = 1_000, skill: str | None = None, risk: str = "low", carers: int = 1
) -> dict[str, Any]:
    said = {"coefficient_permille": permille, "expected_minutes": minutes, "risk": risk, "carers": carers}
    return said | ({"skill": skill} if skill else {})


DEFAULT_POLICY: dict[str, Any] = {
    "milli_points_per_hour": 1_000,
    "caps": {
        "day_minutes": 8 * 60,
        "year_milli_points": 500_000,
        "account_milli_points": 1_500_000,
    },
    "kinds": {
        "companionship": _kind(60),
        "shopping": _kind(45),
        "meal_delivery": _kind(30),
        "clinic_escort": _kind(150, permille=1_200, skill="escort", risk="medium") | {"timing": "fixed"},
        "haircut": _kind(40, permille=1_200, skill="haircut"),
        "repair": _kind(60, permille=1_200, skill="repair", risk="medium"),
        "cleaning": _kind(90),
        "phone_learning": _kind(60),
        "night_watch": _kind(600, risk="high"),
        "outing": _kind(120, risk="medium", carers=2),
    },
    "items": {
        "canteen": {
            "lunch_set": {"milli_points": 10_000, "fen": 1_200, "daily_limit": 1},
            "dinner_set": {"milli_points": 10_000, "fen": 1_200, "daily_limit": 1},
            "soft_lunch": {"milli_points": 10_000, "fen": 1_200, "daily_limit": 1},
        },
        "station": {
            "water_rest_pack": {"milli_points": 2_000, "fen": 300, "daily_limit": 2},
            "cooling_pack": {"milli_points": 2_000, "fen": 300, "daily_limit": 2},
        },
    },
    "hold_hours": 48,
    "offer_minutes": 12 * 60,
    "points_expire_months": None,
    "gifts": {"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 200_000},
    "donations": {"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": None},
    "grants": {"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 200_000},
    "volunteers": {
        "day_minutes": 8 * 60,
        "week_minutes": 40 * 60,
        "urgent_offer_minutes": 30,
        "proven_skills": [],
        "run_input_days": 90,
    },
    "pairing": {},
    "slots": SLOTS_SECTION,
    "waiting": WAITING_SECTION,
    "visits": DEFAULT_VISITS,
    SECTION: DEFAULT_SUBSIDY,
}
"""What a new community starts with. One hour is one point and an account holds at most 1,500 points
(Guangzhou, Nanjing); a day counts at most eight hours (Guangdong: longer needs a higher confirmer). Points
never expire unless a community decides so (``points_expire_months``: they last to the end of the month that
many months after the service). Gifts are allowed (Beijing, Shanghai); where points may only be donated
(Nanjing's groups), ``gifts.enabled`` is false."""
