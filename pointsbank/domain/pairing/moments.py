"""Moments in an instance's document: minutes since its origin, or local times as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.pairing.fields import number, text

DAY = 24 * 60
TIME_OF_DAY = re.compile(r"(\d{1,2}):([0-5]\d)")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
NO_ORIGIN = "1970-01-01T00:00:00-00:00"
"""The origin of a document that names no day. An offset of −00:00 is not known (RFC 3339, section 4.3)."""


class Clock:
    """Reads moments against an origin."""

    def __init__(self, origin: str, path: str = "origin") -> None:
        """origin: RFC 3339, or a local date with or without a time. Raises InvalidValue."""
        self.origin = origin
        self._start = moment(origin, path)

    def read(self, value: object, path: str) -> int:
        """Read minutes: a whole number, ``09:00`` (of the first day; up to 48:00) or a local date-time.

        A date-time with an offset is told against the origin's, one without is local to it.
        """
        if not isinstance(value, str):
            return number(value, path)
        match = TIME_OF_DAY.fullmatch(value.strip())
        if match:
            return int(match[1]) * 60 + int(match[2])
        found = moment(value, path)
        if found.tzinfo is None or self._start.tzinfo is None:
            found, start = found.replace(tzinfo=None), self._start.replace(tzinfo=None)
        else:
            start = self._start
        minutes, rest = divmod(found - start, timedelta(minutes=1))
        if rest:
            raise InvalidValue(field=path, rule="whole_minutes")
        return number(minutes, path)

    def read_last(self, value: object, path: str) -> int:
        """Read minutes until which something holds: a bare date holds to its end."""
        whole_day = isinstance(value, str) and DATE.fullmatch(value.strip())
        return self.read(value, path) + (DAY if whole_day else 0)


def moment(value: object, path: str) -> datetime:
    """Read a date or a date-time. Raises InvalidValue."""
    try:
        return datetime.fromisoformat(text(value, path).strip())
    except ValueError:
        raise InvalidValue(field=path, rule="local_moment") from None


def first_day(documents: Iterable[object]) -> str | None:
    """Return the midnight that begins the earliest day named anywhere in documents; None if none is."""
    days = [told[:10] for document in documents for told in _texts(document) if DATE.match(told)]
    return f"{min(days)}T00:00:00-00:00" if days else None


TIMED = frozenset({"start", "starts", "earliest", "day", "free"})
"""Fields whose days may begin a document's time."""


def _texts(document: object) -> Iterable[str]:
    if not isinstance(document, Mapping):
        return
    for name in TIMED & document.keys():
        waiting = [document[name]]
        while waiting:
            each = waiting.pop()
            if isinstance(each, str):
                yield each.strip()
            elif isinstance(each, list):
                waiting += each
            elif isinstance(each, dict):
                waiting += each.values()
