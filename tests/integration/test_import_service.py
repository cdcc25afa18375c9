"""Bringing in past service: visits, minutes and points, and everything that is refused by name."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pointsbank.domain.accounts import available
from pointsbank.domain.accounts import service as service_account
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import records_store
from services.care.records import OutcomeKind, VisitRecord, record_visits
from services.ledger import service as ledger
from services.people import service as people
from tests.imports import SAMPLES, SERVICE_HEADER, Imported, import_roster, import_service, write_csv
from tests.worlds import World, small_world

NINE = datetime(2025, 3, 1, 1, tzinfo=UTC)


@pytest.fixture
async def world(database: Database) -> World:
    """A community with two elders (T001, T002), two volunteers (T003, T004), a coordinator (T005)…"""
    return await small_world(database)


def row(start: str, end: str, *, volunteer: str = "T003", **others: str) -> Sequence[str]:
    """A row of a service file; times of day are on 1 March 2025."""
    start, end = (text if len(text) > 5 else f"2025-03-01 {text}" for text in (start, end))
    elder, kind = others.get("elder", "T001"), others.get("kind", "陪伴")
    return volunteer, elder, kind, start, end, others.get("confirmer", "T005")


async def bring_in(database: Database, tmp_path: Path, rows: Sequence[Sequence[str]], **how: Any) -> Imported:
    """Import those rows."""
    return await import_service(database, write_csv(tmp_path / "served.csv", SERVICE_HEADER, rows), **how)


async def fetch(database: Database, query: str) -> list[Any]:
    """Rows of the bank."""
    async with database.unit_of_work(1) as uow:
        return list(await (await uow.connection()).fetch(query))


async def stands(database: Database, world: World) -> list[tuple[int, int]]:
    """(minutes, milli-points) of both volunteers, the books being balanced."""
    async with database.unit_of_work(1) as uow:
        assert (await ledger.trial_balance(uow)).balanced
        return [
            (
                await ledger.balance(uow, service_account(who.ledger_ref)),
                await ledger.balance(uow, available(who.ledger_ref)),
            )
            for who in (world.volunteer, world.second_volunteer)
        ]


@pytest.mark.parametrize("name", ["service.csv", "service-gb18030.csv", "service.xlsx"])
async def test_the_sample_records_become_visits_minutes_and_points(
    world: World, database: Database, name: str
) -> None:
    await import_roster(database, SAMPLES / "roster.csv")
    imported = await import_service(database, SAMPLES / name)
    assert (imported.judged.imported, imported.done.imported, imported.refused) == (5, 5, [])
    (sums,) = await fetch(
        database,
        "SELECT count(*), sum(minutes) AS minutes, sum(credited_minutes) AS credited,"
        " count(entry_number) AS entries, min(strength) AS strength, min(confirmation_method) AS method"
        " FROM bank.visits",
    )
    assert tuple(sums.values()) == (5, 385, 385, 5, 1, "record")
    (points,) = await fetch(
        database,
        "SELECT sum(l.amount)::bigint AS points FROM bank.journal_lines l"
        " JOIN bank.accounts a ON a.community_id = l.community_id AND a.number = l.debit"
        " WHERE a.kind = 'member_available'",
    )
    # 90 + 165 × 1.2 + 40 × 1.2 + 30 + 60 minutes at a point an hour
    assert points["points"] == 1_500 + 3_300 + 800 + 500 + 1_000
    assert await stands(database, world) == [(0, 0), (0, 0)]


async def test_the_same_records_in_another_order_are_already_there(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [row(f"{hour:02}:00", f"{hour:02}:40") for hour in range(8, 18)]
    first = await bring_in(database, tmp_path, rows)
    random.Random(3).shuffle(rows)
    again = await bring_in(database, tmp_path, rows)
    assert (first.done.imported, again.done.imported, again.done.already) == (10, 0, 10)
    assert again.judged.already == 10
    assert await stands(database, world) == [(400, 6_670), (0, 0)]  # ten times 40 minutes: 667 milli-points


async def test_one_record_written_in_three_ways_is_recorded_once(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [
        row("09:00", "10:00"),
        ("测试丙", "测试甲 1540000-0001", "companionship", "2025/3/1 9:00", "2025年3月1日10时", "测试戊"),
        ("测试丙（15400000003）", "测试甲", "探访", "2025-03-01T09:00:00", "2025-03-01 10:00 ", "T005"),
    ]
    imported = await bring_in(database, tmp_path, rows)
    assert (imported.judged.imported, imported.judged.already, imported.refused) == (1, 2, [])
    assert (imported.done.imported, imported.done.already) == (1, 2)


TOMORROW = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
REFUSED: list[tuple[Sequence[str], str, str]] = [
    (row("09:00", "09:00"), "end", "end_before_start"),
    (row("09:00", "08:00"), "end", "end_before_start"),
    (row("2025-03-01 09:00:00", "2025-03-01 09:00:59"), "end", "under_a_minute"),
    (row("2025-03-01 09:00", "2025-03-03 09:00"), "end", "over_24_hours"),
    (row("09:00", "17:01"), "end", "above_day_cap"),
    (row(f"{TOMORROW} 09:00", f"{TOMORROW} 10:00"), "end", "in_the_future"),
    (row("2019-12-31 09:00", "2019-12-31 10:00"), "end", "no_policy_that_day"),
    (row("09:00", "10:00", elder="T003"), "elder", "own_elder"),
    (row("09:00", "10:00", confirmer="T003"), "confirmer", "confirmed_by_the_paid"),
    (row("09:00", "10:00", volunteer="T005", confirmer="T006"), "volunteer", "not_a_volunteer"),
    (row("09:00", "10:00", volunteer="T999"), "volunteer", "unknown_volunteer"),
    (row("09:00", "10:00", elder="测试某"), "elder", "unknown_elder"),
    (row("09:00", "10:00", elder="测试甲 15400009999"), "elder", "unknown_elder"),
    (row("09:00", "10:00", confirmer="某人"), "confirmer", "unknown_confirmer"),
    (row("09:00", "10:00", confirmer=""), "confirmer", "missing"),
    (row("09:00", "10:00", kind="唱歌"), "kind", "unknown_kind"),
    (row("yesterday", "10:00"), "start", "not_a_time"),
    (row("09:00", "sometime"), "end", "not_a_time"),
    ((*row("09:00", "10:00"), "beyond"), "", "cells_beyond_header"),
]


async def test_wrong_records_are_refused_by_column_and_rule_and_their_neighbours_are_taken(
    world: World, database: Database, tmp_path: Path
) -> None:
    wrong = [rows for rows, _, _ in REFUSED]
    rows = [row("2025-02-27 09:00", "2025-02-27 10:00"), *wrong, row("2025-02-28 09:00", "2025-02-28 10:00")]
    imported = await bring_in(database, tmp_path, rows)
    assert [(r.number, r.refusal.field, r.refusal.code) for r in imported.refused] == [
        (number, column, code) for number, (_, column, code) in enumerate(REFUSED, start=3)
    ]
    assert imported.judged == imported.done
    assert await stands(database, world) == [(120, 2_000), (0, 0)]


async def test_overlapping_records_of_one_volunteer_are_refused_by_row_and_another_volunteers_are_not(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [
        row("10:30", "11:30", elder="T002"),
        row("09:00", "11:00"),
        row("11:30", "12:00"),
        row("09:00", "11:00", volunteer="T004"),
    ]
    imported = await bring_in(database, tmp_path, rows)
    (refused,) = imported.refused
    assert (refused.number, refused.refusal.code, refused.refusal.facts) == (2, "overlaps_row", {"row": "3"})
    assert imported.done.imported == 3


async def test_a_record_that_overlaps_a_visit_of_the_bank_is_refused_with_its_time(
    world: World, database: Database, tmp_path: Path
) -> None:
    await bring_in(database, tmp_path, [row("09:00", "11:00")])
    again = await bring_in(database, tmp_path, [row("10:59", "11:30"), row("11:00", "11:30", elder="T002")])
    (refused,) = again.refused
    assert (refused.number, refused.refusal.code) == (2, "overlaps_visit")
    assert refused.refusal.facts == {"from": "2025-03-01 09:00", "to": "2025-03-01 11:00"}
    assert again.done.imported == 1


async def test_the_days_cap_counts_what_is_in_the_bank_and_in_the_file(
    world: World, database: Database, tmp_path: Path
) -> None:
    await bring_in(database, tmp_path, [row("06:00", "11:00")])
    rows = [row("12:00", "15:01"), row("16:00", "19:00"), row("20:00", "20:01")]
    again = await bring_in(database, tmp_path, rows)
    assert again.codes == {2: "above_day_cap", 4: "above_day_cap"}
    assert again.refused[0].refusal.facts == {"minutes": "481", "cap": "480"}
    assert again.judged == again.done


async def test_a_visit_counts_for_the_local_day_on_which_it_ends(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [
        row("2025-03-01 16:00", "2025-03-01 23:59"),
        row("2025-03-01 23:59", "2025-03-02 01:00"),
        row("2025-03-02 01:00", "2025-03-02 08:00"),
    ]
    imported = await bring_in(database, tmp_path, rows)
    assert imported.codes == {4: "above_day_cap"}
    again = await bring_in(database, tmp_path, [row("2025-03-02 09:00", "2025-03-02 16:00")])
    assert again.codes == {2: "above_day_cap"}


async def test_a_visit_that_ends_at_midnight_counts_for_the_day_that_begins(
    world: World, database: Database, tmp_path: Path
) -> None:
    await bring_in(database, tmp_path, [row("2025-03-01 20:00", "2025-03-01 24:00")])
    again = await bring_in(
        database,
        tmp_path,
        [row("2025-03-02 09:00", "2025-03-02 14:00"), row("2025-03-01 09:00", "2025-03-01 17:00")],
    )
    assert again.codes == {2: "above_day_cap"}


async def test_the_refused_rows_can_be_mended_and_imported_as_they_are(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [row("09:00", "10:00"), row("11:00", "10:00"), row("12:00", "13:00", elder="测试谁")]
    mended = tmp_path / "served.csv.refused.csv"
    await bring_in(database, tmp_path, rows, refused_to=mended)
    text = mended.read_text("utf-8-sig")
    assert text.splitlines()[1].endswith(",3,结束,end_before_start")
    mended.write_text(
        text.replace("2025-03-01 11:00", "2025-03-01 10:00").replace("10:00,T005", "10:30,T005")
    )
    again = await import_service(database, mended)
    assert (again.done.imported, again.codes) == (1, {3: "unknown_elder"})


async def test_a_dry_run_says_what_the_import_does_and_writes_nothing(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [row("09:00", "10:00"), row("09:30", "10:30"), row("11:00", "12:00"), row("11:00", "12:00")]
    dry = await bring_in(database, tmp_path, rows, write=False)
    assert (
        await fetch(database, "SELECT id FROM bank.visits UNION ALL SELECT id FROM bank.journal_lines") == []
    )
    wet = await bring_in(database, tmp_path, rows)
    assert dry.judged == wet.done
    assert (wet.done.imported, wet.done.already, wet.done.refused) == (2, 1, 1)


async def test_chunks_however_small_judge_and_record_the_same(
    world: World, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(11)
    rows = []
    for _ in range(300):
        start = datetime(2025, 3, 1, 6) + timedelta(minutes=10 * draw.randrange(1200))  # noqa: DTZ001 - as written
        end = start + timedelta(minutes=10 * draw.randrange(1, 30))
        rows.append(
            row(
                f"{start}",
                f"{end}",
                volunteer=draw.choice(["T003", "T004"]),
                elder=draw.choice(["T001", "T002"]),
            )
        )
    rows += rows[:60]
    whole = await bring_in(database, tmp_path, rows, write=False)
    monkeypatch.setattr("services.care.sheet_import.RECORDS_CHUNK", 7)
    cut = await bring_in(database, tmp_path, rows, write=False)
    assert [(r.number, r.refusal) for r in cut.refused] == [(r.number, r.refusal) for r in whole.refused]
    assert cut.judged == whole.judged
    assert whole.judged.already > 10
    assert {"overlaps_row", "above_day_cap"} <= set(whole.codes.values())
    wet = await bring_in(database, tmp_path, rows)
    assert (wet.judged, wet.done) == (whole.judged, whole.judged)
    assert wet.codes == whole.codes
    (minutes, _), (other, _) = await stands(database, world)
    (sums,) = await fetch(
        database, "SELECT count(*) AS visits, sum(minutes)::bigint AS minutes FROM bank.visits"
    )
    assert (sums["visits"], sums["minutes"]) == (wet.done.imported, minutes + other)


async def test_a_crash_between_chunks_leaves_visits_and_entries_together_and_the_next_run_goes_on(
    world: World, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(f"{hour:02}:00", f"{hour:02}:40") for hour in range(8, 18)]
    monkeypatch.setattr("services.care.sheet_import.RECORDS_CHUNK", 4)
    real, calls = records_store.insert_confirmed, 0

    async def break_off(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionResetError
        await real(*arguments)

    monkeypatch.setattr(records_store, "insert_confirmed", break_off)
    with pytest.raises(ConnectionResetError):
        await bring_in(database, tmp_path, rows)
    assert await stands(database, world) == [(160, 2_668), (0, 0)]
    again = await bring_in(database, tmp_path, rows)
    assert (again.done.imported, again.done.already) == (6, 4)
    assert await stands(database, world) == [(400, 6_670), (0, 0)]


async def test_the_same_file_imported_twice_at_once_pays_once(
    world: World, database: Database, tmp_path: Path
) -> None:
    rows = [row(f"{hour:02}:00", f"{hour:02}:40") for hour in range(8, 18)]
    path = write_csv(tmp_path / "served.csv", SERVICE_HEADER, rows)
    both = await asyncio.gather(import_service(database, path), import_service(database, path))
    assert sum(one.done.imported for one in both) == 10
    assert await stands(database, world) == [(400, 6_670), (0, 0)]


def record(world: World, *, hours: float = 0, minutes: int = 60, **others: Any) -> VisitRecord:
    """A record of the first volunteer, ``hours`` after nine."""
    start = NINE + timedelta(hours=hours)
    made = VisitRecord(
        volunteer_id=world.volunteer.id,
        elder_id=world.elder.id,
        kind="companionship",
        started_at=start,
        ended_at=start + timedelta(minutes=minutes),
        confirmer_id=world.elder.id,
        content_key=sha256(f"{hours}/{minutes}/{others}".encode()).digest(),
    )
    return replace(made, **others)


async def test_outcomes_stand_in_the_order_of_the_records_while_caps_go_by_time(
    world: World, database: Database
) -> None:
    body = DEFAULT_POLICY | {"caps": DEFAULT_POLICY["caps"] | {"year_milli_points": 1_500}}
    now, database.clock = database.clock, FixedClock(NINE)
    async with database.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=await people.local_today(uow),
            body=body,
            proposed_by=world.coordinator.ledger_ref,
            approved_by=world.auditor.ledger_ref,
        )
    database.clock = now
    records = [
        record(world, hours=4),
        record(world, hours=2),
        record(world, hours=2.5),
        record(world, hours=0),
        record(world, hours=0, method=ConfirmationMethod.ELDER),
    ]
    async with database.unit_of_work(1) as uow:
        outcomes = await record_visits(uow, records[:4])
    assert [outcome.kind for outcome in outcomes] == ["recorded", "recorded", "refused", "recorded"]
    rows = await fetch(
        database,
        "SELECT id, credited_minutes, clipped_milli_points, policy_version FROM bank.visits"
        " ORDER BY checked_in_at",
    )
    assert [tuple(row.values())[1:] for row in rows] == [(60, 0, 2), (60, 500, 2), (60, 1_000, 2)]
    assert [outcomes[place].visit_id for place in (3, 1, 0)] == [row["id"] for row in rows]
    assert (await stands(database, world))[0] == (180, 1_500)


async def test_a_record_says_how_it_was_confirmed_and_a_repetition_gives_the_first_visit(
    world: World, database: Database
) -> None:
    first = record(world, method=ConfirmationMethod.ELDER, confirmed_at=NINE + timedelta(hours=3))
    async with database.unit_of_work(1) as uow:
        (recorded, repeated) = await record_visits(uow, [first, first])
    async with database.unit_of_work(1) as uow:
        (later,) = await record_visits(uow, [first])
    assert recorded.kind is OutcomeKind.RECORDED
    assert repeated.kind is later.kind is OutcomeKind.ALREADY
    assert recorded.visit_id == repeated.visit_id == later.visit_id
    (stored,) = await fetch(database, "SELECT confirmation_method, strength, confirmed_at FROM bank.visits")
    assert tuple(stored.values()) == ("elder", 4, NINE + timedelta(hours=3))


async def test_records_of_people_the_community_does_not_know_are_refused(
    world: World, database: Database
) -> None:
    nobody = world.elder.ledger_ref
    records = [
        record(world, volunteer_id=nobody),
        record(world, hours=1, elder_id=nobody),
        record(world, hours=2, confirmer_id=nobody),
    ]
    async with database.unit_of_work(1) as uow:
        outcomes = await record_visits(uow, records)
    assert [(o.refusal.field, o.refusal.code) for o in outcomes if o.refusal] == [
        ("volunteer", "unknown_person"),
        ("elder", "unknown_person"),
        ("confirmer", "unknown_person"),
    ]
