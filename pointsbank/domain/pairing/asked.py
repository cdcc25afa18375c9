"""Requests and volunteers read from a document; what it may leave out is told in ``pairing.form``."""

from __future__ import annotations

from dataclasses import dataclass

from pointsbank.domain.asked_time import DEFAULT_SLOTS
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import GridPlan
from pointsbank.domain.pairing.fields import (
    NUMBER_MAX,
    Fields,
    by_name,
    count,
    flag,
    items,
    name,
    number,
    text,
    within,
)
from pointsbank.domain.pairing.instance import (
    STARTS_MAX,
    Cap,
    Promise,
    Request,
    Spot,
    Stretch,
    Volunteer,
)
from pointsbank.domain.pairing.moments import DAY, Clock

STEP = 15
SLOTS = {slot.value: (hours.from_minute, hours.to_minute) for slot, hours in DEFAULT_SLOTS.items()}
"""Parts of a day, in minutes from midnight."""


@dataclass(frozen=True, slots=True)
class Places:
    """Reads where something is. plan: the grids there are."""

    plan: GridPlan

    def grid(self, value: object, path: str) -> int:
        """Read the number of a grid that there is."""
        if number(value, path) not in self.plan.small_grids:
            raise InvalidValue(field=path, rule="known_grid")
        return number(value, path)

    def spot(self, told: object, path: str) -> Spot:
        """Read a spot that is an object of its own."""
        given = Fields(told, path)
        found = self.flat(given)
        given.end()
        return found

    def of(self, given: Fields, field: str) -> Spot:
        """Read a spot that is the field ``field``, or told by the fields beside it."""
        return given.take(field, self.spot) if given.has(field) else self.flat(given)

    def flat(self, given: Fields) -> Spot:
        """Read a spot from ``grid``, ``east`` and ``north``; the grid may be left out where there is one."""
        only = next(iter(self.plan.small_grids)) if len(self.plan.small_grids) == 1 else None
        grid = given.take("grid", self.grid) if only is None else given.take("grid", self.grid, only)
        east, north = given.take("east", number, None), given.take("north", number, None)
        with within(given.path):
            return Spot(grid, east, north)


def read_request(told: object, path: str, clock: Clock, places: Places) -> Request:
    """Return a request. Raises InvalidValue."""
    given = Fields(told, path)
    minutes = given.take("minutes", number)
    starts, least = _starts(given, clock)
    with within(path):
        request = Request(
            id=given.take("id", name),
            elder=given.take("elder", text, ""),
            spot=places.of(given, "spot"),
            minutes=minutes,
            starts=starts,
            preferred=given.take("preferred", clock.read, starts[0] if starts else 0),
            blocks=given.take("blocks", number, max(minutes, least)),
            urgency=given.take("urgency", number, 0),
            waited=given.take("waited", number, 0),
            carers=given.take("carers", number, 1),
            kind=given.take("kind", text, ""),
            skills=frozenset(given.take("skills", items(name), ())),
            gender=given.take("gender", text, None),
            gender_hard=given.take("gender_hard", flag, False),
            language=given.take("language", text, None),
            same_carer=given.take("same_carer", flag, False),
            excluded=frozenset(given.take("excluded", items(text), ())),
            known=given.take("known", by_name(count), {}),
            promised=given.take("promised", by_name(clock.read), {}),
            counts=given.take("counts", number, None),
        )
    given.end()
    return request


def _starts(given: Fields, clock: Clock) -> tuple[tuple[int, ...], int]:
    """Return when a visit may begin, and the least it blocks."""
    if given.has("starts"):
        return tuple(sorted(set(given.take("starts", items(clock.read))))), 0
    if given.has("earliest") or given.has("latest"):
        return _window(given, clock), 0
    if given.has("slot"):
        return _slot(given, clock)
    return (given.take("start", clock.read),), 0


def _window(given: Fields, clock: Clock) -> tuple[int, ...]:
    earliest, latest = given.take("earliest", clock.read), given.take("latest", clock.read)
    step = given.take("step", number, STEP)
    if latest < earliest:
        raise InvalidValue(field=given.at("latest"), rule="after_start")
    if step < 1:
        raise InvalidValue(field=given.at("step"), rule="above_zero")
    if (latest - earliest) // step >= STARTS_MAX:
        raise InvalidValue(field=given.at("latest"), rule=f"1_to_{STARTS_MAX}_ascending")
    return tuple(range(earliest, latest + 1, step))


def _slot(given: Fields, clock: Clock) -> tuple[tuple[int, ...], int]:
    slot = given.take("slot", text)
    if slot not in SLOTS:
        raise InvalidValue(field=given.at("slot"), rule="known_value")
    midnight = given.take("day", clock.read, 0) // DAY * DAY
    begin, end = SLOTS[slot]
    return (midnight + begin,), end - begin


def read_volunteer(told: object, path: str, clock: Clock, places: Places) -> Volunteer:
    """Return a volunteer. Raises InvalidValue."""
    given = Fields(told, path)
    times = _Times(clock, places)
    grids = given.take("grids", items(places.grid), None)
    with within(path):
        volunteer = Volunteer(
            id=given.take("id", name),
            home=places.of(given, "home"),
            grids=frozenset(places.plan.small_grids if grids is None else grids),
            free=_joined(given.take("free", items(times.stretch))),
            busy=given.take("busy", items(times.promise), ()),
            caps=given.take("caps", items(times.cap), ()),
            skills=given.take("skills", times.skills, {}),
            gender=given.take("gender", text, None),
            languages=frozenset(given.take("languages", items(name), ())),
            recent=given.take("recent", count, 0),
            visits=given.take("visits", count, 0),
            reliability=given.take("reliability", number, 1_000),
        )
    given.end()
    return volunteer


@dataclass(frozen=True, slots=True)
class _Times:
    """Reads what has a beginning and an end."""

    clock: Clock
    places: Places

    def stretch(self, told: object, path: str) -> Stretch:
        """Read ``{"start": …, "end": …}`` or a pair of moments."""
        if isinstance(told, list):
            if len(told) != 2:
                raise InvalidValue(field=path, rule="two_numbers")
            told = {"start": told[0], "end": told[1]}
        given = Fields(told, path)
        start, end = given.take("start", self.clock.read), given.take("end", self.clock.read)
        given.end()
        with within(path):
            return Stretch(start, end)

    def promise(self, told: object, path: str) -> Promise:
        """Read a visit that stands."""
        given = Fields(told, path)
        start, end = given.take("start", self.clock.read), given.take("end", self.clock.read)
        spot = self.places.of(given, "spot")
        given.end()
        if end <= start:
            raise InvalidValue(field=given.at("end"), rule="after_start")
        return Promise(start, end, spot)

    def cap(self, told: object, path: str) -> Cap:
        """Read a cap; without ``start`` or ``end`` it has none."""
        given = Fields(told, path)
        cap = Cap(
            start=given.take("start", self.clock.read, -NUMBER_MAX),
            end=given.take("end", self.clock.read, NUMBER_MAX),
            minutes=given.take("minutes", number),
        )
        given.end()
        return cap

    def skills(self, told: object, path: str) -> dict[str, int | None]:
        """Read a list of skills, or by skill until when its proof holds."""
        if isinstance(told, list):
            return dict.fromkeys(items(name)(told, path))
        return by_name(self._until)(told, path)

    def _until(self, told: object, path: str) -> int | None:
        return None if told is None else self.clock.read_last(told, path)


def _joined(free: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """Return stretches in order, those that touch or overlap as one."""
    found: list[Stretch] = []
    for each in sorted(free, key=lambda stretch: stretch.start):
        if found and each.start <= found[-1].end:
            found[-1] = Stretch(found[-1].start, max(found[-1].end, each.end))
        else:
            found.append(each)
    return tuple(found)
