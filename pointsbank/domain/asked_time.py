"""When help is wanted: a moment, a slot of a local day, or a window in which it may begin.

Elders are asked for a slot rather than a minute: a visit that may begin anywhere in it can be fitted to a
neighbour who is free, and more requests are served than by any cleverer pairing of fixed hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.help_request import AHEAD_MAX, require_minutes

DAY_MINUTES = 24 * 60
WINDOW_MAX = timedelta(hours=24)
SLOT_FIELDS = frozenset({"from_minute", "to_minute"})


class Timing(StrEnum):
    """How a request says when."""

    FIXED = "fixed"
    SLOT = "slot"
    WINDOW = "window"


class Slot(StrEnum):
    """A part of a local day."""

    MORNING = "morning"
    NOON = "noon"
    AFTERNOON = "afternoon"
    EVENING = "evening"


@dataclass(frozen=True, slots=True)
class SlotHours:
    """When a slot lies: minutes from local midnight, the end excluded."""

    from_minute: int
    to_minute: int


DEFAULT_SLOTS: Mapping[Slot, SlotHours] = MappingProxyType(
    {
        Slot.MORNING: SlotHours(8 * 60, 11 * 60 + 30),
        Slot.NOON: SlotHours(11 * 60 + 30, 14 * 60),
        Slot.AFTERNOON: SlotHours(14 * 60, 17 * 60 + 30),
        Slot.EVENING: SlotHours(17 * 60 + 30, 21 * 60),
    }
)
SLOTS_SECTION: dict[str, dict[str, int]] = {
    slot.value: {"from_minute": hours.from_minute, "to_minute": hours.to_minute}
    for slot, hours in DEFAULT_SLOTS.items()
}
"""The default as a policy document says it."""


@dataclass(frozen=True, slots=True)
class SlotOn:
    """A slot of one local day, as asked for."""

    day: date
    slot: Slot


@dataclass(frozen=True, slots=True)
class Window:
    """The first and the last moment at which help may begin, as asked for; aware, both included."""

    earliest_start: datetime
    latest_start: datetime


When = datetime | SlotOn | Window
"""How help is asked for; a moment is a fixed start."""


@dataclass(frozen=True, slots=True)
class AskedTime:
    """When a visit of ``minutes`` may begin: from ``earliest_start`` to ``latest_start``, both included.

    The two are equal when the start is fixed. Moments are aware, in UTC.
    """

    timing: Timing
    slot: Slot | None
    earliest_start: datetime
    latest_start: datetime
    minutes: int

    @property
    def latest_end(self) -> datetime:
        """When the visit is over at the latest."""
        return self.latest_start + timedelta(minutes=self.minutes)

    def overlaps(self, other: AskedTime) -> bool:
        """Tell whether visits at the two times could share a moment."""
        return self.earliest_start < other.latest_end and other.earliest_start < self.latest_end


def asked_time(
    when: When, minutes: int, *, slots: Mapping[Slot, SlotHours], timezone: str, now: datetime
) -> AskedTime:
    """Return when a visit of ``minutes`` may begin.

    A visit in a slot also ends in it; one that is longer than the slot begins with it. Of a slot or window
    that has begun, what is left counts. Raises InvalidValue naming ``starts_at``, ``latest_start``,
    ``slot`` or ``minutes``: nothing is asked for the past, beyond 60 days, for less than 10 minutes or more
    than 12 hours, or in a window of more than 24 hours.
    """
    require_minutes(minutes)
    if isinstance(when, SlotOn):
        return _in_slot(when, minutes, slots[when.slot], timezone, now)
    if isinstance(when, Window):
        return _in_window(when, minutes, now)
    at = _near(when, "starts_at", now)
    if at < now:
        raise InvalidValue(field="starts_at", rule="in_the_future")
    return AskedTime(Timing.FIXED, None, at, at, minutes)


def at_minute(day: date, minute: int, timezone: str) -> datetime:
    """Return the moment at which the clock on the wall shows ``minute`` minutes after midnight, in UTC."""
    days, rest = divmod(minute, DAY_MINUTES)
    wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), ZoneInfo(timezone))
    return wall.astimezone(UTC)


def _in_slot(when: SlotOn, minutes: int, hours: SlotHours, timezone: str, now: datetime) -> AskedTime:
    today = now.astimezone(ZoneInfo(timezone)).date()
    if when.day < today:
        raise InvalidValue(field="slot", rule="in_the_future")
    if when.day > today + AHEAD_MAX:
        raise InvalidValue(field="starts_at", rule="within_60_days")
    begins = at_minute(when.day, hours.from_minute, timezone)
    ends = at_minute(when.day, hours.to_minute, timezone)
    last = max(begins, ends - timedelta(minutes=minutes))
    if last < now:
        raise InvalidValue(field="slot", rule="in_the_future")
    return AskedTime(Timing.SLOT, when.slot, max(begins, now), last, minutes)


def _in_window(when: Window, minutes: int, now: datetime) -> AskedTime:
    first = _near(when.earliest_start, "starts_at", now)
    last = _near(when.latest_start, "latest_start", now)
    if last < first:
        raise InvalidValue(field="latest_start", rule="not_before_the_earliest")
    if last - first > WINDOW_MAX:
        raise InvalidValue(field="latest_start", rule="within_24_hours")
    if last < now:
        raise InvalidValue(field="latest_start", rule="in_the_future")
    return AskedTime(Timing.WINDOW, None, max(first, now), last, minutes)


def _near(at: datetime, field: str, now: datetime) -> datetime:
    if at.tzinfo is None:
        raise InvalidValue(field=field, rule="timezone")
    if at > now + AHEAD_MAX:
        raise InvalidValue(field=field, rule="within_60_days")
    return at.astimezone(UTC)


def parse_kind_timing(told: object) -> Timing:
    """Return how the time of a kind is asked for first: a window, or a fixed hour. Raises InvalidValue."""
    if told not in (Timing.WINDOW.value, Timing.FIXED.value):
        raise InvalidValue(field="timing", rule="known_value")
    return Timing(str(told))


def parse_slots(body: Mapping[str, Any]) -> Mapping[Slot, SlotHours]:
    """Return the slots a policy document says; the default when it does not mention them.

    Raises InvalidValue naming the field that is wrong, missing or not known.
    """
    told = body.get("slots", SLOTS_SECTION)
    if not isinstance(told, Mapping):
        raise InvalidValue(field="slots", rule="object")
    for name in told:
        if name not in SLOTS_SECTION:
            raise InvalidValue(field=f"slots.{name}", rule="unknown_field")
    return MappingProxyType({slot: _hours(told.get(slot.value), slot) for slot in Slot})


def _hours(told: object, slot: Slot) -> SlotHours:
    if not isinstance(told, Mapping):
        raise InvalidValue(field=f"slots.{slot.value}", rule="object")
    for name in told:
        if name not in SLOT_FIELDS:
            raise InvalidValue(field=f"slots.{slot.value}.{name}", rule="unknown_field")
    start, end = (points.whole(told.get(name), field=name) for name in ("from_minute", "to_minute"))
    if not 0 <= start < end <= DAY_MINUTES:
        raise InvalidValue(field=f"slots.{slot.value}", rule="within_the_day")
    return SlotHours(start, end)
