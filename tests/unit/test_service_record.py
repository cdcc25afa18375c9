"""Records of past service, taken alone and beside each other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from pointsbank.domain.points import Minutes
from pointsbank.domain.refusal import Refusal
from pointsbank.domain.service_record import RecordSweep, ServedPeriod, fault_of

ONE, OTHER, ELDER, CONFIRMER = (UUID(int=number) for number in range(1, 5))
NOON = datetime(2025, 3, 1, 4, tzinfo=UTC)
DAY = date(2025, 3, 1)
CAP = Minutes(480)


def period(start: int, end: int, *, volunteer: UUID = ONE, **others: UUID) -> ServedPeriod:
    """A record from ``start`` to ``end``, minutes after noon."""
    return ServedPeriod(
        volunteer,
        others.get("elder", ELDER),
        others.get("confirmer", CONFIRMER),
        NOON + timedelta(minutes=start),
        NOON + timedelta(minutes=end),
    )


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (period(0, 60), None),
        (period(0, 0), "end_before_start"),
        (period(0, -1), "end_before_start"),
        (period(0, 1441), "over_24_hours"),
        (period(0, 60, elder=ONE), "own_elder"),
        (period(0, 60, confirmer=ONE), "confirmed_by_the_paid"),
        (period(0, 60, confirmer=ELDER), None),
    ],
)
def test_a_record_alone_is_sound_or_its_fault_is_named(record: ServedPeriod, code: str | None) -> None:
    fault = fault_of(record, now=NOON + timedelta(days=9))
    assert (fault and fault.code) == code


def test_a_record_that_ends_later_than_now_lies_in_the_future() -> None:
    fault = fault_of(period(0, 60), now=NOON + timedelta(minutes=59))
    assert fault == Refusal("end", "in_the_future")


def test_less_than_a_minute_is_no_service() -> None:
    record = ServedPeriod(ONE, ELDER, CONFIRMER, NOON, NOON + timedelta(seconds=59))
    assert fault_of(record, now=NOON + timedelta(days=1)) == Refusal("end", "under_a_minute")


def take(sweep: RecordSweep, record: ServedPeriod, *, day: date = DAY, bank: int = 0) -> Refusal | None:
    """Take a record, labelled by its start."""
    label = str((record.started_at - NOON) // timedelta(minutes=1))
    return sweep.take(record, day, key=b"", label=label, bank_minutes=bank, day_cap=CAP)


def test_an_overlap_names_the_row_that_came_first() -> None:
    sweep = RecordSweep()
    assert take(sweep, period(0, 60)) is None
    assert take(sweep, period(59, 120)) == Refusal("start", "overlaps_row", {"row": "0"})


def test_back_to_back_is_no_overlap() -> None:
    sweep = RecordSweep()
    assert [take(sweep, period(0, 60)), take(sweep, period(60, 120))] == [None, None]


def test_a_refused_record_takes_nobodys_time() -> None:
    sweep = RecordSweep()
    take(sweep, period(0, 60))
    assert take(sweep, period(30, 120)) is not None
    assert take(sweep, period(90, 150)) is None


def test_another_volunteer_is_free_at_the_same_time() -> None:
    sweep = RecordSweep()
    assert take(sweep, period(0, 480)) is None
    assert take(sweep, period(0, 480, volunteer=OTHER)) is None


def test_the_days_cap_counts_the_bank_and_the_file() -> None:
    sweep = RecordSweep()
    assert take(sweep, period(0, 200), bank=180) is None
    refused = take(sweep, period(200, 301), bank=180)
    assert refused == Refusal("end", "above_day_cap", {"minutes": "481", "cap": "480"})
    assert take(sweep, period(301, 401), bank=180) is None
    assert take(sweep, period(1440, 1900), day=DAY + timedelta(days=1)) is None
