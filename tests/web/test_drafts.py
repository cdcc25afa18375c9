"""What a draft says: the stretch that is meant, the rule of every week, the same as last time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from api.web.drafts import (
    Draft,
    as_last_time,
    day_of,
    left_of,
    read_draft,
    rule_of,
    weekdays_of,
    weekly,
    when_of,
    wide_windows,
)
from api.web.words import Words
from pointsbank.domain.asked_time import Slot, SlotOn, Timing, Window
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.help_request import AskedThrough, RequestState
from pointsbank.domain.policy import DEFAULT_POLICY, parse_policy
from pointsbank.domain.preferences import GenderWanted
from pointsbank.domain.series import OnHolidays
from pointsbank.domain.waiting import Escalation
from services.care.views import RequestInfo, SeriesInfo

MONDAY = date(2026, 3, 2)
WORDS = Words("zh_CN", timezone="Asia/Shanghai", today=MONDAY)
POLICY = parse_policy(1, date(2026, 1, 1), DEFAULT_POLICY)
SOMEBODY = UUID(int=7)


def local(hour: int, minute: int = 0, *, day: date = MONDAY) -> datetime:
    """Return a moment by the community's clock."""
    return WORDS.moment(day, hour, minute)


def asked(**changed: object) -> RequestInfo:
    """Return a request of last Monday morning."""
    nine = local(9, day=MONDAY - timedelta(days=7)).astimezone(UTC)
    return replace(
        RequestInfo(
            id=SOMEBODY,
            number=1,
            elder_id=SOMEBODY,
            elder_name="测试甲",
            building="1栋",
            building_id=SOMEBODY,
            small_grid=1,
            asked_by=SOMEBODY,
            asked_through=AskedThrough.SELF,
            kind="shopping",
            carers=1,
            timing=Timing.WINDOW,
            slot=None,
            earliest_start=nine,
            latest_start=nine + timedelta(hours=2, minutes=15),
            starts_at=nine,
            ends_at=nine + timedelta(minutes=45),
            urgency=0,
            note=None,
            gender_wanted=None,
            gender_hard=False,
            language_wanted=None,
            same_carer=False,
            state=RequestState.POSTED,
            asked_at=nine,
            escalation=Escalation.NONE,
            series_id=None,
        ),
        **changed,  # type: ignore[arg-type]
    )


def test_a_visit_lies_within_the_stretch_that_is_told() -> None:
    assert when_of("09:00-12:00", MONDAY, 45, WORDS) == Window(local(9), local(11, 15))


def test_a_visit_longer_than_its_stretch_begins_with_it() -> None:
    assert when_of("09:00-10:00", MONDAY, 150, WORDS) == Window(local(9), local(9))


def test_a_part_of_the_day_and_an_hour_are_told_as_such() -> None:
    assert when_of("noon", MONDAY, 45, WORDS) == SlotOn(MONDAY, Slot.NOON)
    assert when_of("9:15", MONDAY, 45, WORDS) == local(9, 15)


@pytest.mark.parametrize("text", ["", "-", "soon", "9", "09:00-", "-12:00", "09:00-25:00", "24:00"])
def test_what_is_no_time_is_asked_for_again(text: str) -> None:
    assert when_of(text, MONDAY, 45, WORDS) is None


@pytest.mark.parametrize("text", ["12:00-09:00", "09:00-09:00"])
def test_a_stretch_that_ends_before_it_begins_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        when_of(text, MONDAY, 45, WORDS)
    assert refused.value.field == "latest_start"


def test_the_widest_stretches_are_the_day_and_its_halves() -> None:
    assert wide_windows(POLICY.slots) == {
        "daytime": "08:00-17:30",
        "forenoon": "08:00-12:00",
        "afternoon": "12:00-17:30",
    }


def test_of_today_only_what_is_left_is_offered() -> None:
    left = left_of(
        wide_windows(POLICY.slots),
        MONDAY,
        POLICY.kind("shopping"),
        policy=POLICY,
        words=WORDS,
        now=local(13),
    )
    assert {name: (first, last) for name, (_, first, last) in left.items()} == {
        "daytime": (local(13), local(16, 45)),
        "afternoon": (local(13), local(16, 45)),
    }


def test_a_form_says_its_time_and_its_days_field_by_field() -> None:
    between = read_draft({"time": "between", "from": "09:00", "to": "11:00", "on_TU": "1", "on_FR": "1"})
    assert (between.time, between.on) == ("09:00-11:00", "TU,FR")
    assert read_draft({"time": "at", "at": "09:15", "from": "09:00"}).time == "09:15"


def test_the_note_stands_in_no_address() -> None:
    draft = Draft(kind="shopping", note="钥匙在门口")
    assert draft.address(day="2026-03-04") == "/elder/ask?kind=shopping&day=2026-03-04"


def test_an_appointment_is_as_urgent_as_its_day_is_near() -> None:
    escort, shopping = POLICY.kind("clinic_escort"), POLICY.kind("shopping")
    days = [MONDAY + timedelta(days=each) for each in range(3)]
    assert [Draft().urgency(escort, day, MONDAY) for day in days] == [3, 2, 0]
    assert [Draft().urgency(shopping, day, MONDAY) for day in days] == [0, 0, 0]
    assert Draft(soon="week").urgency(escort, MONDAY, MONDAY) == 1


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"ends": "w4"}, "FREQ=WEEKLY;BYDAY=TU,FR;UNTIL=20260329"),
        ({"ends": "n10"}, "FREQ=WEEKLY;BYDAY=TU,FR;COUNT=10"),
        ({"ends": "w4", "until": "2026-06-30"}, "FREQ=WEEKLY;BYDAY=TU,FR;UNTIL=20260630"),
    ],
)
def test_every_week_ends_after_weeks_or_times_or_on_a_day(said: dict[str, str], rule: str) -> None:
    assert rule_of(Draft(on="TU,FR", **said), MONDAY) == rule


@pytest.mark.parametrize("said", [{}, {"ends": "w4", "until": "2026-03-01"}, {"until": "some day"}])
def test_every_week_without_an_end_or_with_one_that_is_over_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        rule_of(Draft(on="TU", **said), MONDAY)


def test_what_comes_every_week_keeps_its_stretch_and_can_wait() -> None:
    draft = Draft(kind="shopping", soon="today", on="MO", ends="n5", holidays="keep")
    when = when_of("09:00-12:00", MONDAY, 45, WORDS)
    assert when is not None
    command = weekly(draft, POLICY.kind("shopping"), MONDAY, when, elder_id=SOMEBODY)
    assert (command.first_at, command.window_minutes) == (datetime(2026, 3, 2, 9), 135)  # noqa: DTZ001
    assert (command.slot, command.urgency, command.holidays) == (None, 0, OnHolidays.KEEP)


def test_the_same_again_is_the_next_such_day_of_the_week_after_today() -> None:
    assert as_last_time(asked(), WORDS).day == "2026-03-09"
    assert as_last_time(asked(earliest_start=local(9, day=date(2026, 2, 17))), WORDS).day == "2026-03-03"
    assert as_last_time(asked(earliest_start=local(9, day=date(2026, 3, 5))), WORDS).day == "2026-03-12"


def test_the_same_again_keeps_time_and_wishes() -> None:
    wished = asked(
        gender_wanted=GenderWanted.FEMALE, gender_hard=True, language_wanted="yue", same_carer=True
    )
    draft = as_last_time(wished, WORDS)
    assert (draft.time, draft.who, draft.language, draft.same) == ("09:00-12:00", "only_woman", "yue", "1")
    assert as_last_time(asked(slot=Slot.NOON, timing=Timing.SLOT), WORDS).time == "noon"
    assert as_last_time(asked(timing=Timing.FIXED), WORDS).time == "09:00"


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=WEEKLY;BYDAY=TU,FR;COUNT=10", (1, 4)),
        ("FREQ=WEEKLY;COUNT=10", (0,)),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=10", ()),
        ("FREQ=MONTHLY;BYDAY=1TU;COUNT=10", ()),
    ],
)
def test_only_what_simply_comes_every_week_is_told_by_its_days(rule: str, days: tuple[int, ...]) -> None:
    values = dict.fromkeys(SeriesInfo.__dataclass_fields__)
    values |= {"rule": rule, "first_at": datetime(2026, 3, 2, 9)}  # type: ignore[dict-item]  # noqa: DTZ001
    assert weekdays_of(SeriesInfo(**values)) == days  # type: ignore[arg-type]


def test_a_day_that_is_over_is_no_day() -> None:
    assert day_of("2026-03-01", MONDAY) is None
    assert day_of("2026-03-02", MONDAY) == MONDAY
    assert day_of("31 March", MONDAY) is None
