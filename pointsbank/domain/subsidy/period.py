"""Months and quarters of local days, as claims name them: ``2026-11``, ``2026-Q4``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.subsidy.rules import ClaimPeriod

MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
QUARTER = re.compile(r"(20[0-9]{2})-Q([1-4])")


@dataclass(frozen=True, slots=True)
class Span:
    """A month or a quarter: local days from ``first`` to ``last``, both included."""

    code: str
    first: date
    last: date


def parse_span(code: str) -> Span:
    """Return the month or quarter that ``code`` names. Raises InvalidValue naming ``period``."""
    if found := MONTH.fullmatch(code):
        return _span(code, int(found[1]), int(found[2]), 1)
    if found := QUARTER.fullmatch(code):
        return _span(code, int(found[1]), 3 * int(found[2]) - 2, 3)
    raise InvalidValue(field="period", rule="month_or_quarter")


def span_of(day: date, period: ClaimPeriod) -> Span:
    """Return the month or quarter a day lies in."""
    if period is ClaimPeriod.MONTH:
        return parse_span(f"{day:%Y-%m}")
    return parse_span(f"{day.year}-Q{(day.month + 2) // 3}")


def _span(code: str, year: int, month: int, months: int) -> Span:
    after = month + months
    end = date(year + 1, 1, 1) if after > 12 else date(year, after, 1)
    return Span(code, date(year, month, 1), end - timedelta(days=1))
