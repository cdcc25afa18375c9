"""Records of service already rendered: what one must be, and how records of one volunteer stand together.

Records are judged in order of volunteer and start; a record that was refused takes no time of anybody, so
it never makes a later one overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from pointsbank.domain.points import Minutes
from pointsbank.domain.refusal import Refusal
from pointsbank.domain.visit_rules import VISIT_MINUTES_MAX


@dataclass(frozen=True, slots=True)
class ServedPeriod:
    """Who served whom, when, and who says so. The instants are aware."""

    volunteer: UUID
    elder: UUID
    confirmer: UUID
    started_at: datetime
    ended_at: datetime

    @property
    def minutes(self) -> Minutes:
        """Whole minutes from start to end; a begun minute does not count."""
        return Minutes((self.ended_at - self.started_at) // timedelta(minutes=1))


def fault_of(period: ServedPeriod, *, now: datetime) -> Refusal | None:
    """Return what is wrong with a record taken alone, or None."""
    if period.ended_at <= period.started_at:
        return Refusal("end", "end_before_start")
    if period.minutes < 1:
        return Refusal("end", "under_a_minute")
    if period.minutes > VISIT_MINUTES_MAX:
        return Refusal("end", "over_24_hours")
    if period.ended_at > now:
        return Refusal("end", "in_the_future")
    if period.volunteer == period.elder:
        return Refusal("elder", "own_elder")
    if period.volunteer == period.confirmer:
        return Refusal("confirmer", "confirmed_by_the_paid")
    return None


@dataclass(slots=True)
class RecordSweep:
    """What the accepted records of one volunteer have taken so far, in order of start.

    A sweep goes through records ordered by volunteer and start; it keeps one volunteer's last end and last
    day, however many records there are. ``last_key``: the content key of the last record accepted.
    """

    _volunteer: UUID | None = None
    _end: datetime | None = None
    _label: str = ""
    _day: date | None = None
    _day_minutes: int = 0
    last_key: bytes = b""

    def take(
        self,
        period: ServedPeriod,
        day: date,
        *,
        key: bytes,
        label: str,
        bank_minutes: int,
        day_cap: Minutes,
    ) -> Refusal | None:
        """Accept a record, or return why it cannot stand beside those accepted before it.

        day: the local day on which it ended. key: its content key. label: the name to give it should a
        later one overlap. bank_minutes: what is credited to the volunteer that day already. day_cap: most
        minutes a day.
        """
        if period.volunteer != self._volunteer:
            self._volunteer, self._end, self._day = period.volunteer, None, None
        if self._end is not None and period.started_at < self._end:
            return Refusal("start", "overlaps_row", {"row": self._label})
        before = self._day_minutes if day == self._day else 0
        if bank_minutes + before + period.minutes > day_cap:
            total = bank_minutes + before + period.minutes
            return Refusal("end", "above_day_cap", {"minutes": str(total), "cap": str(day_cap)})
        self._end, self._label = period.ended_at, label
        self._day, self._day_minutes = day, before + period.minutes
        self.last_key = key
        return None
