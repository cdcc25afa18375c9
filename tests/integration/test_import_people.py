"""Bringing in a roster: people, roles, buildings and grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pointsbank.domain.roles import Role
from pointsbank.domain.subsidy.payers import Hardship
from pointsbank.platform.database import Database
from services.founding import found_community
from services.people import service as people
from services.people import store
from services.people.views import PersonInfo
from tests.imports import SAMPLES, import_roster, write_csv

HEADER = ("姓名", "电话", "小区", "楼栋", "小网格", "角色", "编号")


@pytest.fixture
async def community(database: Database) -> Database:
    """A community without people."""
    await found_community(database, community_id=1, code="test", name="测试社区")
    return database


async def everybody(database: Database) -> dict[str, PersonInfo]:
    """Everybody in the bank by name."""
    async with database.unit_of_work(1) as uow:
        connection = await uow.connection()
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM bank.people")]
        return {person.name: person for person in (await people.people_by_id(uow, ids)).values()}


@pytest.mark.parametrize("name", ["roster.csv", "roster-gb18030.csv", "roster.xlsx"])
async def test_the_sample_roster_registers_five_people_with_buildings_and_roles(
    community: Database, name: str
) -> None:
    imported = await import_roster(community, SAMPLES / name)
    assert (imported.judged.imported, imported.done.imported, imported.refused) == (5, 5, [])
    found = await everybody(community)
    leader = found["测试卯"]
    assert (leader.place, leader.building, leader.small_grid) == ("样例村", "甲巷3号", 6)
    assert leader.roles == {Role.VOLUNTEER: None, Role.BUILDING_LEADER: 6}
    elder = found["测试丑"]
    assert (elder.phone, elder.member_number, elder.room) == ("15400001002", "R002", "502")
    assert (str(elder.born_on), elder.canteen_eligible) == ("1951-07-09", True)
    assert not found["测试寅"].canteen_eligible


async def test_the_same_roster_in_another_format_is_already_there(community: Database) -> None:
    await import_roster(community, SAMPLES / "roster.csv")
    again = await import_roster(community, SAMPLES / "roster.xlsx")
    assert (again.done.imported, again.done.already, again.done.refused) == (0, 5, 0)
    assert len(await everybody(community)) == 5


async def test_household_and_hardship_come_with_a_roster_and_count_from_that_day(
    community: Database, tmp_path: Path
) -> None:
    header = ("姓名", "编号", "户籍地", "困难类别")
    rows = [("测试甲", "R1", "440703003", "低保"), ("测试乙", "R2", "", ""), ("测试丙", "R3", "蓬江区", "")]
    imported = await import_roster(community, write_csv(tmp_path / "a.csv", header, rows))
    assert [(row.number, row.refusal.code) for row in imported.refused] == [(4, "division_code")]
    later = [("测试甲", "R1", "440703003", "无"), ("测试乙", "R2", "440703", "")]
    again = await import_roster(community, write_csv(tmp_path / "b.csv", header, later))
    assert (again.done.imported, again.done.already) == (0, 2)
    found = await everybody(community)
    async with community.unit_of_work(1) as uow:
        standings = await people.standings_of(uow, [person.id for person in found.values()])
    assert [
        [(each.household, each.hardship) for each in standings[found[name].id]]
        for name in ("测试甲", "测试乙")
    ] == [[("440703003", None), ("440703003", Hardship.MINIMUM_LIVING)], [("440703", None)]]


async def test_a_dry_run_writes_nothing(community: Database) -> None:
    imported = await import_roster(community, SAMPLES / "roster.csv", write=False)
    assert imported.judged.imported == 5
    assert await everybody(community) == {}
    async with community.unit_of_work(1) as uow:
        assert await people.buildings(uow) == []


REFUSED: list[tuple[Sequence[str], str, str]] = [
    (("", "", "", "", "", "", "N1"), "name", "missing"),
    (("测" * 61, "", "", "", "", "", ""), "name", "at_most_60_characters"),
    (("测试甲", "12a", "", "", "", "", ""), "phone", "phone_number"),
    (("测试甲", "", "", "1栋", "1", "", ""), "place", "place_needed"),
    (("测试甲", "", "样例小区", "", "", "", ""), "building", "building_needed"),
    (("测试甲", "", "样例小区", "9栋", "", "", ""), "small_grid", "grid_needed"),
    (("测试甲", "", "样例小区", "9栋", "17", "", ""), "small_grid", "unknown_grid"),
    (("测试甲", "", "样例小区", "1栋", "2", "", ""), "small_grid", "building_in_another_grid"),
    (("测试甲", "", "", "", "", "长者", ""), "building", "elder_without_building"),
    (("测试甲", "", "", "", "", "网格长", ""), "small_grid", "leader_without_grid"),
    (("测试甲", "", "", "", "", "长者,国王", ""), "roles", "unknown_role"),
    (("测试甲", "", "", "", "", "", "R001"), "number", "number_taken"),
    (("测试子", "15400001001", "", "", "", "", ""), "phone", "known_otherwise"),
    (("测试甲", "", "", "", "", "", "", "多"), "", "cells_beyond_header"),
]


async def test_wrong_rows_are_refused_by_column_and_rule_and_their_neighbour_is_taken(
    community: Database, tmp_path: Path
) -> None:
    await import_roster(community, SAMPLES / "roster.csv")
    rows = [row for row, _, _ in REFUSED]
    path = write_csv(tmp_path / "list.csv", HEADER, [*rows, ("测试戌", "", "", "", "", "", "")])
    imported = await import_roster(community, path)
    assert [(r.number, r.refusal.field, r.refusal.code) for r in imported.refused] == [
        (number, column, code) for number, (_, column, code) in enumerate(REFUSED, start=2)
    ]
    assert imported.judged == imported.done
    assert "测试戌" in await everybody(community)


async def test_a_new_building_stands_where_the_roster_says_or_is_refused(
    community: Database, tmp_path: Path
) -> None:
    header = ("姓名", "小区", "楼栋", "小网格", "东距", "北距")
    rows = [
        ("测试甲", "样例小区", "7栋", "1", "120", "-35"),
        ("测试乙", "样例小区", "8栋", "1", "120", ""),
        ("测试丙", "样例小区", "8栋", "1", "", "-35"),
        ("测试丁", "样例小区", "8栋", "1", "1.5", "0"),
        ("测试戊", "样例小区", "8栋", "1", "0", "50001"),
    ]
    imported = await import_roster(community, write_csv(tmp_path / "list.csv", header, rows))
    assert [(row.refusal.field, row.refusal.code) for row in imported.refused] == [
        ("north", "both_coordinates"),
        ("east", "both_coordinates"),
        ("east", "not_metres"),
        ("north", "not_metres"),
    ]
    async with community.unit_of_work(1) as uow:
        (building,) = await people.buildings(uow)
    assert (building.east_m, building.north_m) == (120, -35)


async def test_two_rows_with_one_number_are_told_apart_before_anything_is_written(
    community: Database, tmp_path: Path
) -> None:
    rows = [("测试甲", "", "", "", "", "", "N1"), ("测试乙", "", "", "", "", "", "N1")]
    imported = await import_roster(community, write_csv(tmp_path / "list.csv", HEADER, rows), write=False)
    assert imported.codes == {3: "number_taken"}


async def test_the_same_row_twice_registers_one_person(community: Database, tmp_path: Path) -> None:
    rows = [("测试甲", "123456", "", "", "", "志愿者", "")] * 2
    imported = await import_roster(community, write_csv(tmp_path / "list.csv", HEADER, rows))
    assert (imported.done.imported, imported.done.already) == (1, 1)


async def test_a_new_building_in_two_grids_is_refused_the_second_time(
    community: Database, tmp_path: Path
) -> None:
    rows = [
        ("测试甲", "", "样例小区", "8栋", "1", "", ""),
        ("测试乙", "", "样例小区", "8栋", "2", "", ""),
        ("测试丙", "", "样例小区", "8栋", "", "", ""),
    ]
    imported = await import_roster(community, write_csv(tmp_path / "list.csv", HEADER, rows))
    assert imported.codes == {3: "building_in_another_grid"}
    assert (await everybody(community))["测试丙"].small_grid == 1


async def test_rows_over_several_chunks_are_all_registered_once(
    community: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.people.roster.PEOPLE_CHUNK", 3)
    rows = [(f"测试{n}", str(123456 + n), "样例小区", f"{n % 4}栋", "1", "长者", f"N{n}") for n in range(10)]
    path = write_csv(tmp_path / "list.csv", HEADER, rows)
    assert (await import_roster(community, path)).done.imported == 10
    path = write_csv(tmp_path / "list.csv", HEADER, [*reversed(rows), ("测试新", "", "", "", "", "", "")])
    again = await import_roster(community, path)
    assert (again.done.imported, again.done.already) == (1, 10)


async def test_a_crash_between_chunks_leaves_whole_chunks_and_the_next_run_goes_on(
    community: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.people.roster.PEOPLE_CHUNK", 4)
    rows = [(f"测试{n}", "", "", "", "", "", f"N{n}") for n in range(10)]
    path = write_csv(tmp_path / "list.csv", HEADER, rows)
    calls = 0
    real = store.add_people

    async def break_off(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        added = await real(*arguments)  # type: ignore[arg-type]
        if calls == 2:
            raise ConnectionResetError
        return added

    monkeypatch.setattr(store, "add_people", break_off)
    with pytest.raises(ConnectionResetError):
        await import_roster(community, path)
    assert len(await everybody(community)) == 4
    again = await import_roster(community, path)
    assert (again.done.imported, again.done.already) == (6, 4)
