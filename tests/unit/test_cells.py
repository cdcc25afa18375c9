"""Reading what people write into cells."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pointsbank.platform.cells import parse_day, parse_moment, parse_phone, parse_time, parse_yes

ZONE = ZoneInfo("Asia/Shanghai")
NINE = datetime(2024, 3, 1, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["1948-03-01", "1948/3/1", "1948.3.1", "1948年3月1日", "19480301", "１９４８－０３－０１"]
)
def test_a_date_is_read_however_it_is_written(text: str) -> None:
    assert parse_day(text) == date(1948, 3, 1)


@pytest.mark.parametrize("text", ["1948-13-01", "1948-3", "03/01/1948", "昨天", "19481301", "0194-03-01", ""])
def test_what_is_no_date_is_not_guessed(text: str) -> None:
    assert parse_day(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01 09:00",
        "2024-03-01T09:00:00",
        "2024/3/1 9:00",
        "2024年3月1日9时",
        "2024年3月1日 上午9点00分",
        "2024.3.1 9:00 am",
        "2024-03-01T01:00:00Z",
        "2024-03-01 10:00+09:00",
    ],
)
def test_a_moment_is_local_to_the_community_unless_it_says_otherwise(text: str) -> None:
    assert parse_moment(text, ZONE) == NINE


def test_a_time_alone_takes_the_rows_date() -> None:
    assert parse_moment("9:00", ZONE, day=date(2024, 3, 1)) == NINE


def test_midnight_may_be_written_as_the_days_end() -> None:
    assert parse_moment("2024-03-01 24:00", ZONE) == datetime(2024, 3, 1, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["9:00", "2024-03-01", "0001-01-02T00:00Z", "2024-03-01 25:00", "2024-03-01 9:61", "下午"]
)
def test_what_is_no_moment_is_not_guessed(text: str) -> None:
    assert parse_moment(text, ZONE) is None


def test_the_afternoon_is_told_from_the_morning() -> None:
    assert parse_time("下午3点30分") == timedelta(hours=15, minutes=30)
    assert parse_time("12:10 am") == timedelta(minutes=10)
    assert parse_time("下午13:00") is None


@pytest.mark.parametrize(
    "text", ["15400001002", "+86 154-0000-1002", "0086 15400001002", "１５４００００１００２"]
)
def test_a_phone_is_one_number_however_it_is_written(text: str) -> None:
    assert parse_phone(text) == "15400001002"


@pytest.mark.parametrize("text", ["1234", "电话同上", "154-0000-100A", "1" * 20])
def test_what_is_no_phone_is_not_taken(text: str) -> None:
    assert parse_phone(text) is None


def test_yes_and_no_are_understood_and_maybe_is_not() -> None:
    assert [parse_yes(text) for text in ("是", "Y", "√", "否", "", "也许")] == [
        True, True, True, False, False, None,
    ]  # fmt: skip
