"""What a canteen decides for itself in one community: its hours, its runs, who pays for a meal not eaten.

A pure part: no I/O. The rules of a community are a document that staff may change; what it does not mention
is as in ``DEFAULT_RULES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

Clock = Annotated[str, Meta(pattern=r"\A([01][0-9]|2[0-3]):[0-5][0-9]\Z")]


class Meal(StrEnum):
    """When a dish is served."""

    LUNCH = "lunch"
    DINNER = "dinner"


class Tag(StrEnum):
    """Whom a dish suits."""

    LOW_SALT = "low_salt"
    SOFT = "soft"
    DIABETIC = "diabetic"


class Allergen(StrEnum):
    """What a dish contains that some must not eat (the eight groups of GB 7718-2011, 4.4.3.1)."""

    GLUTEN = "gluten"
    CRUSTACEAN = "crustacean"
    FISH = "fish"
    EGG = "egg"
    PEANUT = "peanut"
    SOY = "soy"
    MILK = "milk"
    NUT = "nut"


class Diet(StrEnum):
    """What the kitchen should mind for one order. A code, never a diagnosis in words."""

    LOW_SALT = "low_salt"
    SOFT = "soft"
    DIABETIC = "diabetic"
    MINCED = "minced"
    NO_PORK = "no_pork"
    SMALL_RICE = "small_rice"


class Mode(StrEnum):
    """Where a meal is eaten."""

    DINE_IN = "dine_in"
    DELIVERY = "delivery"


class Outcome(StrEnum):
    """How an accepted order ended, beyond being handed over as ordered, and what came after."""

    NOT_HOME = "not_home"
    REFUSED = "refused_at_door"
    SUBSTITUTED = "substituted"
    COMPLAINED = "complained"


AT_THE_DOOR = (Outcome.NOT_HOME, Outcome.REFUSED)
"""Outcomes of an order that nobody took."""


class MealHours(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One meal's hours on the community's clock.

    days_before, cut_off: what is ordered ahead is ordered until ``cut_off`` that many days before. A set
    bought on the day without a dish being chosen is sold while it lasts.
    """

    days_before: Annotated[int, Meta(ge=0, le=7)]
    cut_off: Clock
    served_from: Clock
    served_until: Clock


class Refunds(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether the meal costs nothing when it ended so."""

    not_home: bool = False
    refused_at_door: bool = False
    substituted: bool = False
    complained: bool = True


class Rules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A community's rules.

    run_portions: what one volunteer carries. run_minutes: how long a run takes. answer_days: within how many
    days a complaint is answered.
    """

    lunch: MealHours = MealHours(days_before=0, cut_off="09:30", served_from="11:30", served_until="13:00")
    dinner: MealHours = MealHours(days_before=0, cut_off="15:00", served_from="17:00", served_until="18:30")
    run_portions: Annotated[int, Meta(ge=1, le=100)] = 12
    run_minutes: Annotated[int, Meta(ge=5, le=240)] = 45
    answer_days: Annotated[int, Meta(ge=1, le=30)] = 3
    refunds: Refunds = Refunds()

    def hours(self, meal: Meal) -> MealHours:
        """Return the hours of a meal."""
        return self.lunch if meal is Meal.LUNCH else self.dinner

    def refunded(self, outcome: Outcome) -> bool:
        """Return whether an order that ended with ``outcome`` costs nothing."""
        return bool(getattr(self.refunds, outcome.value))


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class MealDetails:
    """What an order says beside the set it buys.

    point: serving point. dish: of the day's menu. diet: a remark by its code. big_grid, small_grid, building,
    walk: where it is brought, in labels that mean nothing to the canteen but their order; walk: position on
    the walk through the small grid. shares: who pays, a JSON object of FEN by payer, its keys in order.
    """

    point: str | None = None
    dish: str | None = None
    diet: str | None = None
    big_grid: int | None = None
    small_grid: int | None = None
    building: str | None = None
    walk: int | None = None
    shares: str | None = None


def sum_of(shares: str) -> int:
    """Return the FEN that an order's ``shares`` sum to."""
    return sum(msgspec.json.decode(shares, type=dict[str, int]).values())


def moment(day: date, clock: str, timezone: str) -> datetime:
    """Return the moment (UTC) of a local clock time ("HH:MM") on a local day."""
    return datetime.combine(day, time.fromisoformat(clock), ZoneInfo(timezone)).astimezone(UTC)


def closes_at(rules: Rules, meal: Meal, day: date, timezone: str) -> datetime:
    """Return until when (exclusive) meals of a local day may be ordered ahead."""
    hours = rules.hours(meal)
    return moment(day - timedelta(days=hours.days_before), hours.cut_off, timezone)
