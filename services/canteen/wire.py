"""What goes over the canteen's own wire, in strict shapes. Nothing here names a person or a door."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field

from services.canteen.menu_store import ONE_POINT, Served
from services.canteen.quality_store import Complaint
from services.canteen.rules import Allergen, Diet, Meal, MealDetails, Outcome, Rules, Tag
from services.canteen.service import MealRuns
from services.canteen.sheet_store import TO_COOK, Run
from services.canteen.tables import LABEL_LENGTH, TEXT_LENGTH
from services.partnerkit.wire import Amount, Asked, Code, Name, OfCommunity, read_json

PORTIONS_MAX = 10_000
SHARES_MAX = 12

Portions = Annotated[int, Meta(ge=0, le=PORTIONS_MAX)]
Number = Annotated[int, Meta(ge=0, le=100_000)]
Label = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f]+\Z", max_length=LABEL_LENGTH)]
Words = Annotated[str, Meta(pattern=r"\A[^\x00-\x09\x0b-\x1f]+\Z", max_length=TEXT_LENGTH)]
Payer = Annotated[str, Meta(pattern=r"\A[a-z_]+\Z", max_length=20)]


class Place(Asked, frozen=True, kw_only=True):
    """Where a meal is brought: labels to sort and to print, no person and no door."""

    big_grid: Number
    small_grid: Number
    building: Label
    walk: Number


class OrderDetails(Asked, frozen=True, kw_only=True):
    """``details`` of an order. shares: who pays, whole FEN by payer, which sum to the order's ``fen``."""

    point: Code | None = None
    dish: Code | None = None
    diet: Diet | None = None
    place: Place | None = None
    shares: Annotated[dict[Payer, Amount], Meta(max_length=SHARES_MAX)] | None = None

    def told(self) -> MealDetails:
        """Return the details it tells of."""
        place: dict[str, Any] = msgspec.structs.asdict(self.place) if self.place else {}
        return MealDetails(
            point=self.point or ONE_POINT,
            dish=self.dish,
            diet=self.diet.value if self.diet else None,
            shares=json.dumps(self.shares, sort_keys=True, separators=(",", ":")) if self.shares else None,
            **place,
        )


def read_details(body: bytes) -> MealDetails:
    """Read an order's own part. Raises InvalidValue."""
    return read_json(body, OrderDetails).told()


class SaveDish(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /dishes/{code}``. item: the set the dish is sold as."""

    name: Name
    item: Code
    allergens: tuple[Allergen, ...] = ()
    tags: tuple[Tag, ...] = ()
    retired: bool = False


class SavePoint(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /points/{code}``."""

    name: Name


class DishPortions(Asked, frozen=True, kw_only=True):
    """How many of a dish."""

    dish: Code
    capacity: Portions


class SetMenu(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /menus/{day}/{meal}``: the whole sitting; a dish that is not named is served no more."""

    point: Code = ONE_POINT
    capacity: Portions
    dishes: Annotated[list[DishPortions], Meta(max_length=50)]


class CopyWeek(OfCommunity, frozen=True, kw_only=True):
    """Body of ``POST /menus/copy``: two Mondays."""

    first: date = field(name="from")
    to: date


class OfMenu(OfCommunity, frozen=True, kw_only=True):
    """Query of ``GET /menus``: days, both included."""

    first: date = field(name="from")
    last: date = field(name="to")


class OfMeal(OfCommunity, frozen=True, kw_only=True):
    """Query about one meal. point: None for all of them."""

    meal: Meal
    point: Code | None = None


class SaveRules(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /rules``."""

    rules: Rules


class End(OfCommunity, frozen=True, kw_only=True):
    """Body of ``POST /redemptions/{redemption_id}/end``. dish: what was given instead, if substituted."""

    outcome: Outcome
    dish: Code | None = None


class Rate(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /redemptions/{redemption_id}/rating``: 1 poor, 2, 3 good."""

    score: Annotated[int, Meta(ge=1, le=3)]


class Complain(OfCommunity, frozen=True, kw_only=True):
    """Body of ``PUT /redemptions/{redemption_id}/complaint``."""

    words: Words


class DishAnswer(Struct, frozen=True):
    """A dish on a day's menu. left: of it or of the sitting's seats; photo: a path here."""

    date: date
    meal: Meal
    point: str
    point_name: str
    dish: str
    name: str
    item: str
    tags: tuple[Tag, ...]
    allergens: tuple[Allergen, ...]
    capacity: int
    left: int
    photo: str | None

    @classmethod
    def of(cls, served: Served, community_id: int, points: dict[str, str]) -> DishAnswer:
        """Return the answer for a dish that is served."""
        dish = served.dish
        return cls(
            served.business_date,
            served.meal,
            served.point,
            points[served.point],
            dish.code,
            dish.name,
            dish.item,
            dish.tags,
            dish.allergens,
            served.capacity,
            max(0, served.orderable),
            f"/photos/{community_id}/{dish.code}" if served.photo else None,
        )


class StopAnswer(Struct, frozen=True):
    """One order of a run, in walking order. carried: not cancelled meanwhile."""

    redemption_id: UUID
    small_grid: int
    building: str
    voucher: str
    quantity: int
    dish: str
    diet: str | None
    carried: bool


class RunAnswer(Struct, frozen=True):
    """A run: what one volunteer carries from a point within ``minutes`` from ``starts_at``."""

    run_id: UUID
    number: int
    point: str
    big_grid: int
    portions: int
    starts_at: datetime
    minutes: int
    stops: list[StopAnswer]


class RunsAnswer(Struct, frozen=True):
    """A meal's runs. planned: false while orders are still taken."""

    date: date
    meal: Meal
    planned: bool
    runs: list[RunAnswer]


class ComplaintAnswer(Struct, frozen=True):
    """A complaint. answer_by: last day for the answer; answer, upheld: null until then."""

    redemption_id: UUID
    filed_at: datetime
    answer_by: date
    answer: str | None
    upheld: bool | None
    answered_at: datetime | None

    @classmethod
    def of(cls, found: Complaint) -> ComplaintAnswer:
        """Return the answer for a complaint."""
        told = asdict(found)
        del told["words"]
        return cls(**told)


def runs_answer(day: date, meal: Meal, found: MealRuns, rules: Rules, starts_at: datetime) -> RunsAnswer:
    """Return the answer for a meal's runs."""

    def run_answer(run: Run) -> RunAnswer:
        stops = [
            StopAnswer(
                stop.parcel.redemption_id,
                stop.parcel.small_grid,
                stop.parcel.building,
                stop.parcel.voucher,
                stop.parcel.quantity,
                stop.dish or stop.item,
                stop.diet,
                stop.status in TO_COOK or stop.outcome is not None,
            )
            for stop in run.stops
        ]
        return RunAnswer(
            run.run_id,
            run.number,
            run.point,
            run.stops[0].parcel.big_grid,
            run.portions,
            starts_at,
            rules.run_minutes,
            stops,
        )

    return RunsAnswer(day, meal, found.planned, [run_answer(run) for run in found.runs])
