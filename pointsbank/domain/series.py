"""Help that is asked for again and again: a recurrence rule (RFC 5545 §3.3.10) over the clock on the wall.

What a rule may say is bounded here; which days it names is reckoned by who has a calendar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.asked_time import SlotHours
from pointsbank.domain.errors import DomainError, InvalidValue

RULE_LENGTH_MAX = 200
DAYS_MAX = 731
"""Days from the first occurrence to the last: two years, one of them a leap year."""

A_DAY_MAX = 3
AHEAD_DAYS = 14
"""How many days ahead the requests of a series are made."""

RETRY_EVERY = timedelta(hours=6)
"""How long an occurrence that could not be made is left before it is tried again: so at most
``4 * AHEAD_DAYS + 1`` times, for what has come is not tried any more."""

TOO_LATE = "too_late"
"""Why an occurrence got no request that nobody tried to make before its day had passed."""

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
"""Nothing more often than a day: hours within the day are named by BYHOUR and BYMINUTE."""

PARTS = frozenset(
    {
        "FREQ",
        "INTERVAL",
        "COUNT",
        "UNTIL",
        "BYDAY",
        "BYMONTHDAY",
        "BYMONTH",
        "BYSETPOS",
        "BYHOUR",
        "BYMINUTE",
        "WKST",
    }
)
NUMBER = re.compile(r"[1-9][0-9]{0,3}")
DAY_OR_MOMENT = re.compile(r"[0-9]{8}(T[0-9]{6})?")


@dataclass(eq=False)
class DuplicateSeries(DomainError):
    """The elder has asked for this kind again and again already, at times that meet these.

    series: which asked first. occurrence: the first moment of both, on the clock on the wall; None: they are
    told in the same words.
    """

    code = "duplicate_series"
    series: UUID | None
    occurrence: datetime | None


class OnHolidays(StrEnum):
    """What a series does on a public holiday. A working day made up for one is no holiday."""

    SKIP = "skip"
    KEEP = "keep"


def rule_parts(rule: str) -> dict[str, str]:
    """Return the parts of a recurrence rule by name: only what is allowed, each once, in capitals.

    UNTIL is a local day or moment (RFC 5545: as DTSTART, which is local). Raises InvalidValue naming
    ``rule``.
    """
    if not rule or len(rule) > RULE_LENGTH_MAX:
        raise InvalidValue(field="rule", rule=f"1_to_{RULE_LENGTH_MAX}_characters")
    parts: dict[str, str] = {}
    for part in rule.upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in PARTS or name in parts:
            raise InvalidValue(field="rule", rule="recurrence_rule")
        parts[name] = value
    if parts.get("FREQ") not in FREQUENCIES:
        raise InvalidValue(field="rule", rule="daily_or_less_often")
    for name in ("INTERVAL", "COUNT"):
        if name in parts and not NUMBER.fullmatch(parts[name]):
            raise InvalidValue(field="rule", rule="recurrence_rule")
    if "UNTIL" in parts and ("COUNT" in parts or not DAY_OR_MOMENT.fullmatch(parts["UNTIL"])):
        raise InvalidValue(field="rule", rule="recurrence_rule")
    return parts


Span = tuple[datetime, datetime]
"""From when to when one occurrence may keep somebody, on the clock on the wall; the end excluded."""


def spans(
    occurrences: Iterable[datetime], minutes: int, *, window_minutes: int, slot: SlotHours | None
) -> Iterator[Span]:
    """Yield for each occurrence, in their order, the time that a visit of ``minutes`` may lie in.

    slot: if it is asked for in a slot: a visit ends in it, unless it is longer.
    """
    long = timedelta(minutes=minutes + window_minutes)
    if slot is not None:
        long = timedelta(minutes=max(minutes, slot.to_minute - slot.from_minute))
    for at in occurrences:
        yield at, at + long


def first_shared(ours: Iterable[Span], theirs: Iterable[Span]) -> datetime | None:
    """Return the first moment of both, or None. Each in order, and each of its spans equally long."""
    one, other = iter(ours), iter(theirs)
    mine, yours = next(one, None), next(other, None)
    while mine is not None and yours is not None:
        if mine[0] < yours[1] and yours[0] < mine[1]:
            return max(mine[0], yours[0])
        if mine[1] <= yours[1]:
            mine = next(one, None)
        else:
            yours = next(other, None)
    return None


def require_apart(ours: Iterable[Span]) -> None:
    """Check that a series does not ask for two visits at once. Raises InvalidValue naming ``rule``."""
    until: datetime | None = None
    for start, end in ours:
        if until is not None and start < until:
            raise InvalidValue(field="rule", rule="overlaps_itself")
        until = end
