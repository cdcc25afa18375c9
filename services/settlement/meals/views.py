"""What meals tell others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.meals import Diet, Meal, Mode


@dataclass(frozen=True, slots=True)
class MealOrderInfo:
    """How the meal of a redemption is wanted. big_grid … walk: where it is brought, None when eaten there."""

    redemption_id: UUID
    mode: Mode
    dish: str | None
    point: str | None
    diet: Diet | None
    big_grid: int | None
    small_grid: int | None
    building: str | None
    walk: int | None


@dataclass(frozen=True, slots=True)
class DishInfo:
    """A dish on a day's menu. left: how many can still be ordered."""

    day: date
    meal: Meal
    point: str
    point_name: str
    dish: str
    name: str
    item: str
    tags: tuple[str, ...]
    allergens: tuple[str, ...]
    left: int


@dataclass(frozen=True, slots=True)
class FeedbackInfo:
    """How a meal was liked: score 1 (poor) to 3 (good), and a complaint with its answer and deadline."""

    redemption_id: UUID
    score: int | None
    complaint: str | None
    complained_at: datetime | None
    answer_by: date | None
    answer: str | None
    upheld: bool | None


@dataclass(frozen=True, slots=True)
class StandingMealInfo:
    """One day of a standing order: ordered, not yet possible (``problem``: why), or skipped (neither)."""

    business_date: date
    redemption_id: UUID | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class StandingInfo:
    """A standing order. weekdays: 0 for Monday; meals: its days that were looked at, the latest first."""

    id: UUID
    member_id: UUID
    asked_by: UUID
    item: str
    mode: Mode
    diet: Diet | None
    weekdays: tuple[int, ...]
    first: date
    until: date
    asked_at: datetime
    ended_at: datetime | None
    meals: tuple[StandingMealInfo, ...] = ()
