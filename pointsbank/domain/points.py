"""Points and minutes: integers, and the one place where anything is rounded.

A point is kept as 1,000 milli-points, so that a 20-minute errand at 1 point an hour earns 333 milli-points
and not nothing. Rounding is half up, once, at the end of the product; no other module divides points.
"""

from __future__ import annotations

from typing import NewType

from pointsbank.domain.errors import InvalidValue

MilliPoints = NewType("MilliPoints", int)
Minutes = NewType("Minutes", int)
Fen = NewType("Fen", int)

MILLI = 1_000
MINUTES_PER_HOUR = 60
AMOUNT_MAX = 10**15
"""No single amount in any commodity is larger; sums of a thousand such still fit 64 bits."""


def whole(value: object, *, field: str) -> int:
    """Return ``value`` if it is a whole number within ``±AMOUNT_MAX``; refuse bools, floats and NaN.

    Raises InvalidValue.
    """
    if type(value) is not int:
        raise InvalidValue(field=field, rule="whole_number")
    if abs(value) > AMOUNT_MAX:
        raise InvalidValue(field=field, rule="too_large")
    return value


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return ``numerator / denominator`` rounded half away from zero. denominator: above 0."""
    quotient, rest = divmod(abs(numerator), denominator)
    rounded = quotient + (1 if 2 * rest >= denominator else 0)
    return rounded if numerator >= 0 else -rounded


def earned_points(minutes: Minutes, *, milli_points_per_hour: int, coefficient_permille: int) -> MilliPoints:
    """Return what ``minutes`` of service earn, in milli-points.

    minutes × rate ÷ 60 × coefficient ÷ 1000, rounded half up once. At 1,000 milli-points an hour and
    coefficient 1,000, one hour is one point (the rate of Guangzhou and Nanjing).
    """
    product = minutes * milli_points_per_hour * coefficient_permille
    return MilliPoints(divide_half_up(product, MINUTES_PER_HOUR * MILLI))


def points_for_part(milli_points: int, *, part: int, whole: int) -> MilliPoints:
    """Return what ``part`` fen of something are in points, ``whole`` fen of it being ``milli_points``.

    Rounded half up once, at least 1 so that what is ordered is held; all of it where it has no price in fen.
    """
    if whole == 0:
        return MilliPoints(milli_points)
    return MilliPoints(max(1, divide_half_up(milli_points * part, whole)))


def format_points(amount: int) -> str:
    """Return milli-points as points with up to three decimals, trailing zeros dropped: 1500 → ``1.5``."""
    sign = "-" if amount < 0 else ""
    whole_points, milli = divmod(abs(amount), MILLI)
    fraction = f"{milli:03d}".rstrip("0")
    return f"{sign}{whole_points:,}.{fraction}" if fraction else f"{sign}{whole_points:,}"
