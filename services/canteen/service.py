"""What the canteen does beside taking orders: menus, run sheets, endings at the door, quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid5

from pointsbank.domain.errors import DomainError, InvalidValue, NotFound, WrongState
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.canteen import menu_store, quality_store, sheet_store
from services.canteen.menu_store import Dish, Served
from services.canteen.quality_store import Complaint, DishMonth
from services.canteen.rules import AT_THE_DOOR, Meal, Outcome, Rules, closes_at
from services.canteen.runs import cut_runs
from services.canteen.sheet_store import Run
from services.canteen.tables import TEXT_LENGTH
from services.partnerkit.redemption import Status
from services.partnerkit.service import PartnerService
from services.partnerkit.store import Community, Redemption

RUN_NAMESPACE = UUID("7b0f3f0e-52a1-5c1e-8d0a-3b6f3a9d7c11")
STILL_UNDER_WAY = timedelta(minutes=1)
"""An order that came just in time may not be committed yet; a run that is cut is not cut again."""
WEEK_DAYS = 7
MENU_DAYS_MAX = 31
PHOTO_BYTES_MAX = 400_000
PHOTO_KINDS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"RIFF": "image/webp",
}


@dataclass(eq=False)
class TooEarly(DomainError):
    """Orders of this meal are still taken, so that its runs cannot be cut yet."""

    code = "orders_still_open"
    meal: str


@dataclass(frozen=True, slots=True)
class MealRuns:
    """A meal's runs and what is known of them. planned: whether they have been cut."""

    planned: bool
    runs: list[Run]


class CanteenService:
    """One canteen. partner: its orders."""

    def __init__(self, partner: PartnerService) -> None:
        self.partner = partner

    async def save_dish(self, uow: UnitOfWork, dish: Dish) -> Dish:
        """Write a dish. Raises InvalidValue (``item``: none of the canteen's)."""
        if dish.item not in await menu_store.meals(uow):
            raise InvalidValue(field="item", rule="unknown_item")
        await menu_store.save_dish(uow, dish)
        return dish

    async def save_photo(self, uow: UnitOfWork, dish: str, content: bytes) -> None:
        """Write a dish's photo. Raises NotFound, InvalidValue (``photo``: of another kind, or too large)."""
        if dish not in {each.code for each in await menu_store.all_dishes(uow)}:
            raise NotFound(what="dish")
        kind = next((kind for magic, kind in PHOTO_KINDS.items() if content.startswith(magic)), None)
        if kind is None or len(content) > PHOTO_BYTES_MAX:
            raise InvalidValue(field="photo", rule=f"jpeg_png_or_webp_of_at_most_{PHOTO_BYTES_MAX}_bytes")
        await menu_store.save_photo(uow, dish, kind, content)

    async def set_menu(
        self,
        uow: UnitOfWork,
        day: date,
        meal: Meal,
        point: str,
        *,
        capacity: int,
        portions: Sequence[tuple[str, int]],
    ) -> None:
        """Say what is served at a sitting; see :func:`menu_store.set_menu`. Raises InvalidValue."""
        if point not in await menu_store.serving_points(uow):
            raise InvalidValue(field="point", rule="unknown_point")
        served = await menu_store.meals(uow)
        known = {dish.code: served[dish.item] for dish in await menu_store.all_dishes(uow)}
        for index, (dish, _) in enumerate(portions):
            if known.get(dish) is not meal:
                raise InvalidValue(field=f"dishes[{index}].dish", rule="dish_of_this_meal")
        if len({dish for dish, _ in portions}) != len(portions):
            raise InvalidValue(field="dishes", rule="repeated")
        await menu_store.set_menu(uow, day, meal, point, capacity=capacity, portions=portions)

    async def menu_of(self, uow: UnitOfWork, first: date, last: date) -> list[Served]:
        """Return what is served on days ``first`` to ``last``, both included. Raises InvalidValue."""
        if not 0 <= (last - first).days < MENU_DAYS_MAX:
            raise InvalidValue(field="to", rule=f"expected from to from + {MENU_DAYS_MAX - 1} days")
        return await menu_store.served(uow, first, last)

    async def copy_week(self, uow: UnitOfWork, first: date, to: date) -> int:
        """Copy the week of Monday ``first`` to that of Monday ``to``; sittings with a menu keep theirs.

        Raises InvalidValue. Returns how many lines are new.
        """
        for field, day in (("from", first), ("to", to)):
            if day.weekday() != 0:
                raise InvalidValue(field=field, rule="a_monday")
        if to == first:
            raise InvalidValue(field="to", rule="another_week")
        return await menu_store.copy_days(uow, first, to, days=WEEK_DAYS)

    async def runs(self, uow: UnitOfWork, day: date, meal: Meal) -> MealRuns:
        """Return a meal's runs, cutting them once the time for ordering has passed. Raises NotFound."""
        community = await self.partner.community(uow)
        closes = closes_at(await menu_store.rules(uow), meal, day, community.timezone)
        if uow.clock.now() < closes + STILL_UNDER_WAY:
            return MealRuns(planned=False, runs=[])
        await self._plan(uow, day, meal)
        return MealRuns(planned=True, runs=await sheet_store.runs_of(uow, day, meal))

    async def _plan(self, uow: UnitOfWork, day: date, meal: Meal) -> None:
        if not await sheet_store.begin_plan(uow, day, meal):
            return
        portions = (await menu_store.rules(uow)).run_portions
        cut = cut_runs(await sheet_store.parcels(uow, day, meal), portions=portions)
        said = f"{uow.community_id}:{day}:{meal}"
        ids = [uuid5(RUN_NAMESPACE, f"{said}:{number}") for number in range(1, len(cut) + 1)]
        await sheet_store.add_runs(uow, day, meal, list(zip(ids, cut, strict=True)))

    async def end(
        self, uow: UnitOfWork, redemption_id: UUID, outcome: Outcome, *, dish: str | None = None
    ) -> Redemption:
        """End an accepted order otherwise than as ordered; whether it costs something, the rules say.

        Not at home and refused: closed as handed over when it is to be paid, as cancelled when not.
        Substituted: handed over with another ``dish``. Raises NotFound, WrongState, InvalidValue.
        """
        if outcome is Outcome.COMPLAINED:
            raise InvalidValue(field="outcome", rule="not_home_refused_at_door_or_substituted")
        if (outcome is Outcome.SUBSTITUTED) != (dish is not None):
            raise InvalidValue(field="dish", rule="only_when_substituted")
        if dish is not None and dish not in {each.code for each in await menu_store.all_dishes(uow)}:
            raise InvalidValue(field="dish", rule="unknown_dish")
        held = await self.partner.locked(uow, redemption_id)
        if held.status is not Status.ACCEPTED:
            raise WrongState(what="redemption", state=held.status, action=outcome)
        refunded = (await menu_store.rules(uow)).refunded(outcome)
        if refunded and outcome in AT_THE_DOOR:
            ended = await self.partner.call_off(uow, redemption_id, outcome=outcome)
        else:
            ended = await self.partner.fulfil(uow, redemption_id, outcome=outcome)
            if refunded:
                await self.partner.tell(uow, redemption_id, Status.CANCELLED, outcome=outcome)
        await sheet_store.note_outcome(uow, redemption_id, outcome, refunded=refunded, dish=dish)
        return ended

    async def rate(self, uow: UnitOfWork, redemption_id: UUID, score: int) -> None:
        """Note how a meal was liked: 1 (poor), 2 or 3 (good). Raises NotFound, WrongState."""
        await self._eaten(uow, redemption_id, action="rate")
        await quality_store.rate(uow, redemption_id, score)

    async def complain(self, uow: UnitOfWork, redemption_id: UUID, words: str) -> Complaint:
        """File a complaint, once an order; again it answers the first. Raises NotFound, WrongState."""
        community = await self._eaten(uow, redemption_id, action="complain")
        today = local_date(uow.clock.now(), community.timezone)
        days = (await menu_store.rules(uow)).answer_days
        await quality_store.file(uow, redemption_id, words, answer_by=today + timedelta(days=days))
        return await self.complaint(uow, redemption_id)

    async def complaint(self, uow: UnitOfWork, redemption_id: UUID) -> Complaint:
        """Return the complaint about an order. Raises NotFound."""
        found = await quality_store.complaint(uow, redemption_id)
        if found is None:
            raise NotFound(what="complaint")
        return found

    async def answer(self, uow: UnitOfWork, redemption_id: UUID, words: str, *, upheld: bool) -> Complaint:
        """Answer a complaint, once. Upheld, the rules say whether the meal is given back.

        Raises NotFound, WrongState, InvalidValue.
        """
        said = words.strip()
        if not 0 < len(said) <= TEXT_LENGTH or not said.replace("\n", " ").isprintable():
            raise InvalidValue(field="answer", rule=f"at_most_{TEXT_LENGTH}_characters")
        found = await quality_store.complaint(uow, redemption_id, lock=True)
        if found is None:
            raise NotFound(what="complaint")
        if found.answered_at is not None:
            raise WrongState(what="complaint", state="answered", action="answer")
        await quality_store.answer(uow, redemption_id, said, upheld=upheld)
        if upheld and (await menu_store.rules(uow)).refunded(Outcome.COMPLAINED):
            await self.partner.tell(uow, redemption_id, Status.CANCELLED, outcome=Outcome.COMPLAINED)
        return await self.complaint(uow, redemption_id)

    async def month(self, uow: UnitOfWork, first: date) -> list[DishMonth]:
        """Return the report of the month that begins with ``first``, by dish."""
        later = (first + timedelta(days=31)).replace(day=1)
        return await quality_store.report(uow, first, later - timedelta(days=1))

    async def save_rules(self, uow: UnitOfWork, changed: Rules) -> Rules:
        """Change the community's rules. Raises NotFound."""
        await self.partner.community(uow)
        await menu_store.save_rules(uow, changed)
        return changed

    async def _eaten(self, uow: UnitOfWork, redemption_id: UUID, *, action: str) -> Community:
        community = await self.partner.community(uow)
        held = await self.partner.redemption(uow, redemption_id)
        if held.status is not Status.FULFILLED:
            raise WrongState(what="redemption", state=held.status, action=action)
        return community
