"""Which days a series names: RFC 5545 rules by python-dateutil, Chinese public holidays by ``holidays``.

All moments here are on the clock on the wall, without a zone: a series at nine is at nine, whatever the
clock is changed to. Days that the State Council has not announced yet are as the law names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import islice

import holidays
from dateutil.rrule import rrule, rrulestr

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.series import A_DAY_MAX, DAYS_MAX, OnHolidays, rule_parts

COUNTRY = "CN"
CYCLE_YEARS = 400
MOMENT = "%Y%m%dT%H%M%S"


def occurrences(
    rule: str,
    first_at: datetime,
    *,
    on_holidays: OnHolidays = OnHolidays.KEEP,
    left_out: Collection[datetime] = frozenset(),
) -> Iterator[datetime]:
    """Yield a series' occurrences in order, none later than ``DAYS_MAX`` days after the first day.

    first_at: DTSTART; unlike in RFC 5545 it is an occurrence only if the rule names it. left_out: EXDATE.
    What COUNT counts includes what holidays and exceptions then leave out (RFC 5545 §3.8.5.1).
    Raises InvalidValue naming ``rule``.
    """
    for at in _named(rule, first_at):
        if at in left_out or (on_holidays is OnHolidays.SKIP and is_holiday(at.date())):
            continue
        yield at


def last_day(rule: str, first_at: datetime) -> date:
    """Return the day of the last occurrence that the rule names, holidays or not.

    Raises InvalidValue naming ``rule``: it names no day, more than ``A_DAY_MAX`` times on one day, or does
    not end within ``DAYS_MAX`` days.
    """
    parts = rule_parts(rule)
    if "UNTIL" not in parts and "COUNT" not in parts:
        raise InvalidValue(field="rule", rule="ends_within_2_years")
    if "UNTIL" in parts and _until(parts["UNTIL"]) > _bound(first_at):
        raise InvalidValue(field="rule", rule="ends_within_2_years")
    days = Counter(at.date() for at in _named(rule, first_at))
    if not days:
        raise InvalidValue(field="rule", rule="names_a_day")
    if max(days.values()) > A_DAY_MAX:
        raise InvalidValue(field="rule", rule=f"at_most_{A_DAY_MAX}_times_a_day")
    if "COUNT" in parts and sum(days.values()) < int(parts["COUNT"]):
        raise InvalidValue(field="rule", rule="ends_within_2_years")
    return max(days)


def is_holiday(day: date) -> bool:
    """Tell whether a day is off by law or by decree; a working day made up for one is not."""
    return day in _calendar(day.year)


@cache
def _calendar(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(COUNTRY, years=year))


def _named(rule: str, first_at: datetime) -> Iterator[datetime]:
    """Yield what the rule names; it is always bounded, for some rules name no day at all."""
    parts = rule_parts(rule)
    until = min(_until(parts["UNTIL"]), _bound(first_at)) if "UNTIL" in parts else _bound(first_at)
    said = {name: value for name, value in parts.items() if name != "COUNT"}
    # A rule that names no day (30 February) is followed to the end of the calendar, however near UNTIL is:
    # so it is followed near that end. After 400 years the calendar is the same to the weekday.
    shift = (date.max.year - DAYS_MAX // 365 - 1 - first_at.year) // CYCLE_YEARS * CYCLE_YEARS
    said["UNTIL"] = _later(until, shift).strftime(MOMENT)
    try:
        told = ";".join(f"{name}={value}" for name, value in said.items())
        found = rrulestr(told, dtstart=_later(first_at, shift))
        assert isinstance(found, rrule), "one rule is no set of rules"
        for at in islice(found, int(parts["COUNT"]) if "COUNT" in parts else None):
            yield _later(at, -shift)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError):
        raise InvalidValue(field="rule", rule="recurrence_rule") from None


def _later(at: datetime, years: int) -> datetime:
    return at.replace(year=at.year + years)


def _until(told: str) -> datetime:
    """Return the last moment that UNTIL leaves; a day includes all of it."""
    try:
        if "T" in told:
            return datetime.strptime(told, MOMENT)  # noqa: DTZ007 - the clock on the wall has no zone
        day = date(int(told[:4]), int(told[4:6]), int(told[6:]))
    except ValueError:
        raise InvalidValue(field="rule", rule="recurrence_rule") from None
    return datetime.combine(day, time.max.replace(microsecond=0))


def _bound(first_at: datetime) -> datetime:
    return datetime.combine(first_at.date() + timedelta(days=DAYS_MAX), time.max.replace(microsecond=0))
