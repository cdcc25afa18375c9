"""What people write into cells — dates, times, phones, yes and no — as values. None: not understood."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

PHONE_DIGITS_MAX = 19
YEAR_MIN = 1900
"""No date in a community's files is older; a year below is a slip of the pen."""

_DATE = r"(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})\s*日?"
_COMPACT = r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
_TIME = (
    r"(?P<half>上午|下午|晚上|am|pm)?\s*(?P<hour>\d{1,2})\s*(?:[:时点]\s*)"
    r"(?:(?P<minute>\d{1,2})(?:\s*分|:(?P<second>\d{2})(?:\.0+)?)?)?\s*(?P<after>am|pm)?"
)
DATE = re.compile(_DATE)
COMPACT = re.compile(_COMPACT)
TIME = re.compile(_TIME, re.IGNORECASE)
MOMENT = re.compile(rf"(?:{_DATE})[T\s]*(?:{_TIME})", re.IGNORECASE)
PHONE = re.compile(rf"\+?\d{{5,{PHONE_DIGITS_MAX}}}")
MAINLAND = re.compile(r"(?:\+|00)?86(1\d{10})")
YES = frozenset({"是", "有", "y", "yes", "true", "1", "√", "✓"})
NO = frozenset({"否", "无", "n", "no", "false", "0", "×", ""})


def plain(text: str) -> str:
    """Return ``text`` with full-width digits and signs made plain (NFKC), and stripped."""
    return unicodedata.normalize("NFKC", text).strip()


def parse_day(text: str) -> date | None:
    """Read a date: 1948-03-01, 1948/3/1, 1948.3.1, 1948年3月1日, 19480301."""
    words = plain(text)
    match = DATE.fullmatch(words) or COMPACT.fullmatch(words)
    return _date_of(match) if match else None


def parse_time(text: str) -> timedelta | None:
    """Read a time of day as the span since midnight: 9:00, 09:00:00, 9时30分, 下午3点, 24:00."""
    match = TIME.fullmatch(plain(text))
    return _since_midnight(match) if match else None


def parse_moment(text: str, zone: ZoneInfo, *, day: date | None = None) -> datetime | None:
    """Read an instant, local to ``zone``; return it in UTC.

    day: the date of a cell that holds only a time. A text with an offset of its own keeps it.
    """
    words = plain(text)
    match = MOMENT.fullmatch(words)
    if match:
        written, span = _date_of(match), _since_midnight(match)
    elif day is not None:
        written, span = day, parse_time(words)
    else:
        return _with_offset(words)
    if written is None or span is None:
        return None
    try:
        return (datetime.combine(written, time(), zone) + span).astimezone(UTC)
    except OverflowError:
        return None


def parse_phone(text: str) -> str | None:
    """Return a phone number as digits, without spaces, signs and the prefix of mainland China."""
    digits = re.sub(r"[\s()\-‐–—]", "", plain(text))
    if mainland := MAINLAND.fullmatch(digits):
        return mainland[1]
    return digits if PHONE.fullmatch(digits) else None


def parse_yes(text: str) -> bool | None:
    """Read yes or no: 是, 否, y, n, true, false, 1, 0, √; empty is no."""
    word = plain(text).casefold()
    if word in YES:
        return True
    return False if word in NO else None


def _date_of(match: re.Match[str]) -> date | None:
    try:
        written = date(int(match["year"]), int(match["month"]), int(match["day"]))
        return written if written.year >= YEAR_MIN else None
    except ValueError:
        return None


def _since_midnight(match: re.Match[str]) -> timedelta | None:
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    half = (match["half"] or match["after"] or "").casefold()
    if half and not 1 <= hour <= 12:
        return None
    if half in {"下午", "晚上", "pm"}:
        hour = hour % 12 + 12
    elif half:
        hour %= 12
    if minute > 59 or second > 59 or hour > 24 or (hour == 24 and (minute or second)):
        return None
    return timedelta(hours=hour, minutes=minute, seconds=second)


def _with_offset(words: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(words)
        return at.astimezone(UTC) if at.tzinfo is not None and at.year >= YEAR_MIN else None
    except (ValueError, OverflowError):
        return None
