"""Help that is asked for again and again: a recurrence rule (RFC 5545 §3.3.10) over the clock on the wall.

What a rule may say is bounded here; which days it names is reckoned by who has a calendar.
"""

from __future__ import annotations

import re
from enum import StrEnum

from pointsbank.domain.errors import InvalidValue

RULE_LENGTH_MAX = 200
DAYS_MAX = 731
"""Days from the first occurrence to the last: two years, one of them a leap year."""

A_DAY_MAX = 3
AHEAD_DAYS = 14
"""How many days ahead the requests of a series are made."""

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
