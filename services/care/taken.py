"""What the bank already knows of the time of a chunk's volunteers."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from pointsbank.domain.service_record import ServedPeriod
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.care import records_store as store
from services.care.records_store import AttendedVisit
from services.ledger import service as ledger

NO_END = datetime.max.replace(tzinfo=UTC)
DAY = timedelta(days=1)


class Taken:
    """Answers for many records from one reading of the bank.

    credited: minutes by volunteer and local day on which the visits ended, without what was taken back.
    """

    def __init__(self, visits: Sequence[AttendedVisit], timezone: str) -> None:
        """visits: ordered by volunteer and check-in."""
        self.credited: dict[tuple[UUID, date], int] = defaultdict(int)
        self._starts: dict[UUID, list[datetime]] = defaultdict(list)
        self._longest: dict[UUID, list[AttendedVisit]] = defaultdict(list)  # of those up to here, ends last
        for visit in visits:
            longest = self._longest[visit.volunteer_id]
            self._starts[visit.volunteer_id].append(visit.checked_in_at)
            longest.append(max(longest[-1], visit, key=_end) if longest else visit)
            if visit.checked_out_at is not None:
                day = local_date(visit.checked_out_at, timezone)
                self.credited[visit.volunteer_id, day] += visit.credited_minutes

    def across(self, period: ServedPeriod) -> AttendedVisit | None:
        """Return a visit of the volunteer that overlaps ``period``, or None."""
        before_its_end = bisect_left(self._starts[period.volunteer], period.ended_at)
        if not before_its_end:
            return None
        visit = self._longest[period.volunteer][before_its_end - 1]
        return visit if _end(visit) > period.started_at else None


def _end(visit: AttendedVisit) -> datetime:
    return visit.checked_out_at or NO_END


async def taken(uow: UnitOfWork, periods: Sequence[ServedPeriod], timezone: str) -> Taken:
    """Read what the bank knows around ``periods``: the days on which they lie, and what reaches into them."""
    if not periods:
        return Taken([], timezone)
    volunteers = sorted({period.volunteer for period in periods})
    start = min(period.started_at for period in periods) - DAY
    end = max(period.ended_at for period in periods) + DAY
    visits = await store.attended(uow, volunteers, start, end)
    back = await ledger.minutes_taken_back(uow, [each.entry_number for each in visits if each.entry_number])
    return Taken(
        [
            replace(each, credited_minutes=each.credited_minutes - back[each.entry_number][1])
            if each.entry_number in back
            else each
            for each in visits
        ],
        timezone,
    )
