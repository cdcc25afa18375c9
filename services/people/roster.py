"""Bringing in a roster of residents: read and judge everything first, then register chunk by chunk."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.refusal import Refusal
from pointsbank.domain.resident import METRES_MAX, Gender, PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.domain.subsidy.payers import Hardship, require_division
from pointsbank.platform.cells import parse_day, parse_phone, parse_yes, plain
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.sheets import Column, ImportCounts, Progress, RefusedRow, Sheet, SheetRow
from services.people import service
from services.people.roster_store import RefusedSpool
from services.people.standing import Standing
from services.people.views import GridInfo, NewBuilding, NewPerson, NewPlace

PEOPLE_CHUNK = 1_000

ROSTER_COLUMNS = (
    Column("name", ("姓名", "name"), required=True),
    Column("phone", ("电话", "phone", "手机", "联系电话", "手机号", "手机号码")),
    Column("gender", ("性别", "gender", "sex")),
    Column("born", ("出生日期", "born", "生日", "出生年月日", "birth date")),
    Column("place", ("小区", "place", "小区名称", "estate")),
    Column("place_kind", ("小区类别", "place_kind")),
    Column("building", ("楼栋", "building", "楼号", "栋")),
    Column("room", ("房号", "room", "门牌", "房间")),
    Column("small_grid", ("小网格", "small_grid", "网格", "grid")),
    Column("east", ("东距", "east", "east_m")),
    Column("north", ("北距", "north", "north_m")),
    Column("roles", ("角色", "roles", "身份", "role")),
    Column("number", ("编号", "number", "会员编号", "member_number")),
    Column("canteen", ("饭堂资格", "canteen", "长者饭堂")),
    Column("household", ("户籍地", "household", "户籍", "户籍区划代码")),
    Column("hardship", ("困难类别", "hardship", "困难类型")),
)
"""A roster. Several roles are parted by commas, semicolons, slashes or spaces. A building that is not
registered yet is registered in its small grid, ``east`` and ``north`` metres from the community's centre
where both are told. Without a ``canteen`` column elders may eat at the canteen. ``household`` is a division
code; it and ``hardship`` count from the day of the import, also for those who are registered already."""

GENDERS = {
    "": Gender.UNKNOWN, "未知": Gender.UNKNOWN, "unknown": Gender.UNKNOWN,
    "女": Gender.FEMALE, "f": Gender.FEMALE, "female": Gender.FEMALE,
    "男": Gender.MALE, "m": Gender.MALE, "male": Gender.MALE,
}  # fmt: skip
ROLE_WORDS: dict[str, Role | None] = {
    "居民": None, "resident": None,
    "长者": Role.ELDER, "老人": Role.ELDER,
    "志愿者": Role.VOLUNTEER, "义工": Role.VOLUNTEER,
    "社工": Role.COORDINATOR, "网格员": Role.COORDINATOR,
    "审计员": Role.AUDITOR,
    "楼栋长": Role.BUILDING_LEADER, "楼长": Role.BUILDING_LEADER,
    "网格长": Role.GRID_LEADER,
    **{role.value: role for role in Role},
}  # fmt: skip
PLACE_KINDS = {
    "小区": PlaceKind.ESTATE, "封闭小区": PlaceKind.ESTATE,
    "开放式楼宇小区": PlaceKind.COMPOUND, "开放式小区": PlaceKind.COMPOUND,
    "自然村": PlaceKind.VILLAGE, "村": PlaceKind.VILLAGE,
    **{kind.value: kind for kind in PlaceKind},
}  # fmt: skip
HARDSHIPS: dict[str, Hardship | None] = {
    "": None, "无": None, "none": None,
    "特困": Hardship.DESTITUTE, "特困人员": Hardship.DESTITUTE, "散居特困人员": Hardship.DESTITUTE,
    "低保": Hardship.MINIMUM_LIVING, "低保对象": Hardship.MINIMUM_LIVING,
    "低收入": Hardship.LOW_INCOME, "低收入对象": Hardship.LOW_INCOME, "低保边缘": Hardship.LOW_INCOME,
    "优抚": Hardship.ENTITLED, "优抚对象": Hardship.ENTITLED,
    "失独": Hardship.BEREAVED, "计划生育特殊家庭": Hardship.BEREAVED,
    **{hardship.value: hardship for hardship in Hardship},
}  # fmt: skip
LEADERS = frozenset({Role.BUILDING_LEADER, Role.GRID_LEADER})
METRES = re.compile(r"-?\d{1,5}")
PARTED = re.compile(r"[,，;；、/\s]+")
FIELDS = {"born_on": "born", "member_number": "number"}
"""What the roster calls the fields that the people room names otherwise."""


@dataclass(frozen=True, slots=True)
class _Resident:
    """A row that was understood. ``grid``: of the building, or a leader's."""

    number: int
    raw: tuple[str, ...]
    name: str
    phone: str | None
    gender: Gender
    born: date | None
    place: str | None
    place_kind: PlaceKind
    building: str | None
    room: str | None
    grid: int | None
    metres: tuple[int, int] | None
    roles: frozenset[Role]
    member_number: str | None
    canteen: bool
    standing: Standing | None
    key: bytes

    def as_person(self, building_id: UUID | None) -> NewPerson:
        return NewPerson(
            name=self.name,
            phone=self.phone,
            gender=self.gender,
            born_on=self.born,
            building_id=building_id,
            room=self.room,
            member_number=self.member_number,
            canteen_eligible=self.canteen,
            roles={role: self.grid if role in LEADERS else None for role in sorted(self.roles)},
            content_key=self.key,
        )


@dataclass(slots=True)
class _Known:
    """What stands registered, and what the rows read so far have said."""

    today: date
    grids: dict[str, int]
    buildings: dict[tuple[str, str], int]
    ids: dict[tuple[str, str], UUID]
    keys: set[bytes] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    phones: set[tuple[str, str]] = field(default_factory=set)


class RosterImport:
    """One roster: :meth:`judge` first, then :meth:`record`; :func:`roster_import` opens it."""

    def __init__(self, database: Database, community_id: int, sheet: Sheet, spool: RefusedSpool) -> None:
        self._database = database
        self._community_id = community_id
        self._sheet = sheet
        self._spool = spool

    async def judge(self, progress: Progress) -> ImportCounts:
        """Say what :meth:`record` would do; write nothing. Raises SheetUnreadable."""
        return await self._go_through("checking", progress, write=False)

    async def record(self, progress: Progress) -> ImportCounts:
        """Register who can be registered, a commit for every chunk; run again, it goes on where it ended.

        Raises InvalidValue if somebody else registered the same at this moment: nothing of the chunk stays.
        """
        return await self._go_through("importing", progress, write=True)

    async def refused(self) -> AsyncIterator[RefusedRow]:
        """Give the refused rows in the order of the file."""
        for row in self._spool.rows():
            yield row

    async def _go_through(self, step: str, progress: Progress, *, write: bool) -> ImportCounts:
        self._spool.clear()
        counts = ImportCounts()
        async with self._database.unit_of_work(self._community_id) as uow:
            known = await _known(uow)
        chunk: list[SheetRow] = []
        for row in self._sheet.rows():
            chunk.append(row)
            if len(chunk) == PEOPLE_CHUNK:
                await self._take(chunk, known, counts, write=write)
                chunk = []
                progress(step, self._sheet.share_done)
        await self._take(chunk, known, counts, write=write)
        progress(step, 1.0)
        return counts

    async def _take(
        self, rows: Sequence[SheetRow], known: _Known, counts: ImportCounts, *, write: bool
    ) -> None:
        if not rows:
            return
        refused: list[RefusedRow] = []
        async with self._database.unit_of_work(self._community_id) as uow:
            residents: list[_Resident] = []
            for row in rows:
                read = _read_row(row, known)
                if isinstance(read, Refusal):
                    refused.append(RefusedRow(row.number, row.raw, read))
                else:
                    residents.append(read)
            fresh, already = await _judge(uow, residents, known, refused)
            if write:
                if fresh:
                    await _register(uow, fresh, known)
                await _note_standings(uow, residents, known.today)
        counts.imported += len(fresh)
        counts.already += already
        counts.refused += len(refused)
        self._spool.add(sorted(refused, key=lambda row: row.number))


@contextmanager
def roster_import(database: Database, community_id: int, sheet: Sheet) -> Iterator[RosterImport]:
    """Open an import of ``sheet`` (found with ``ROSTER_COLUMNS``)."""
    with RefusedSpool() as spool:
        yield RosterImport(database, community_id, sheet, spool)


async def _known(uow: UnitOfWork) -> _Known:
    buildings = await service.buildings(uow)
    return _Known(
        today=await service.local_today(uow),
        grids=_grid_words(await service.small_grids(uow)),
        buildings={(building.place, building.name): building.small_grid for building in buildings},
        ids={(building.place, building.name): building.id for building in buildings},
    )


def _grid_words(grids: Sequence[GridInfo]) -> dict[str, int]:
    """By number, by name, and by the number as people write it."""
    words = {grid.name: grid.number for grid in grids}
    for grid in grids:
        for form in ("{}", "{}号", "{}号网格", "{}号小网格", "第{}网格", "第{}小网格", "{}网格", "{}小网格"):
            words[form.format(grid.number)] = grid.number
    return words


async def _judge(
    uow: UnitOfWork, residents: Sequence[_Resident], known: _Known, refused: list[RefusedRow]
) -> tuple[list[_Resident], int]:
    """Part residents into those to register and those who are there (counted); add the rest to refused."""
    in_bank = await service.known_content_keys(uow, [resident.key for resident in residents])
    numbers, phones = set(known.numbers), set(known.phones)
    for person in await service.people_named(
        uow,
        member_numbers=[r.member_number for r in residents if r.member_number is not None],
        names=sorted({resident.name for resident in residents}),
    ):
        if person.member_number is not None:
            numbers.add(person.member_number)
        if person.phone is not None:
            phones.add((person.name, parse_phone(person.phone) or person.phone))
    fresh: list[_Resident] = []
    already = 0
    for resident in residents:
        if resident.key in in_bank or resident.key in known.keys:
            already += 1
            continue
        housed: _Resident | Refusal
        if resident.member_number in numbers:
            housed = Refusal("number", "number_taken")
        elif resident.phone is not None and (resident.name, resident.phone) in phones:
            housed = Refusal("phone", "known_otherwise")
        else:
            housed = _housed(resident, known)
        if isinstance(housed, Refusal):
            refused.append(RefusedRow(resident.number, resident.raw, housed))
            continue
        fresh.append(housed)
        known.keys.add(resident.key)
        if resident.member_number is not None:
            numbers.add(resident.member_number)
            known.numbers.add(resident.member_number)
        if resident.phone is not None:
            phones.add((resident.name, resident.phone))
            known.phones.add((resident.name, resident.phone))
    return fresh, already


def _housed(resident: _Resident, known: _Known) -> _Resident | Refusal:
    """Return the resident in their building's grid; a building that is new is known from here on."""
    if resident.place is None or resident.building is None:
        return resident
    address = resident.place, resident.building
    grid = known.buildings.get(address, resident.grid)
    if grid is None:
        return Refusal("small_grid", "grid_needed")
    if resident.grid is not None and resident.grid != grid:
        return Refusal("small_grid", "building_in_another_grid", {"grid": str(grid)})
    known.buildings[address] = grid
    return replace(resident, grid=grid)


async def _register(uow: UnitOfWork, residents: Sequence[_Resident], known: _Known) -> None:
    new: dict[tuple[str, str], _Resident] = {}
    for resident in residents:
        if resident.place is not None and resident.building is not None:
            address = resident.place, resident.building
            if address not in known.ids:
                new.setdefault(address, resident)
    if new:
        places = {resident.place: resident for resident in new.values()}
        await service.add_places(uow, [NewPlace(r.place_kind, r.place or "") for r in places.values()])
        ids = await service.add_buildings(
            uow,
            [
                NewBuilding(place, name, r.grid or 0, *(r.metres or (None, None)))
                for (place, name), r in new.items()
            ],
        )
        known.ids.update(zip(new, ids, strict=True))
    await service.add_people(
        uow,
        [
            resident.as_person(
                known.ids[resident.place, resident.building]
                if resident.place is not None and resident.building is not None
                else None
            )
            for resident in residents
        ],
    )


async def _note_standings(uow: UnitOfWork, residents: Sequence[_Resident], today: date) -> None:
    """Note hardship and household of everybody of whom a row tells them and who is registered by now."""
    told = {each.key: each.standing for each in residents if each.standing is not None}
    if told:
        ids = await service.known_content_keys(uow, list(told))
        await service.add_standings_many(
            uow, {ids[key]: standing for key, standing in told.items() if key in ids}, effective_from=today
        )


def _standing(cells: dict[str, str]) -> Standing | Refusal | None:
    """What the row says of hardship and household; None: nothing."""
    word = plain(cells["hardship"]).casefold()
    if word not in HARDSHIPS:
        return Refusal("hardship", "not_a_hardship")
    household = plain(cells["household"]) or None
    if household is None and not word:
        return None
    try:
        return HARDSHIPS[word], require_division(household, field="household") if household else None
    except InvalidValue:
        return Refusal("household", "division_code")


def _read_row(row: SheetRow, known: _Known) -> _Resident | Refusal:
    """Return the row as a resident, or its first fault from left to right."""
    if row.excess:
        return Refusal("", "cells_beyond_header")
    cells = {column.name: row.cells.get(column.name, "") for column in ROSTER_COLUMNS}
    if not cells["name"]:
        return Refusal("name", "missing")
    phone = parse_phone(cells["phone"]) if cells["phone"] else None
    if cells["phone"] and phone is None:
        return Refusal("phone", "phone_number")
    gender = GENDERS.get(plain(cells["gender"]).casefold())
    if gender is None:
        return Refusal("gender", "not_a_gender")
    born = parse_day(cells["born"]) if cells["born"] else None
    if cells["born"] and born is None:
        return Refusal("born", "not_a_date")
    roles = _roles(cells["roles"])
    if isinstance(roles, Refusal):
        return roles
    place = _place_of(cells, roles, known)
    if isinstance(place, Refusal):
        return place
    metres = _metres(cells["east"], cells["north"])
    if isinstance(metres, Refusal):
        return metres
    canteen = parse_yes(cells["canteen"]) if "canteen" in row.cells else Role.ELDER in roles
    if canteen is None:
        return Refusal("canteen", "not_yes_or_no")
    standing = _standing(cells)
    if isinstance(standing, Refusal):
        return standing
    resident = _Resident(
        number=row.number,
        raw=row.raw,
        name=" ".join(cells["name"].split()),
        phone=phone,
        gender=gender,
        born=born,
        place=cells["place"] or None,
        place_kind=place.kind,
        building=cells["building"] or None,
        room=cells["room"] or None,
        grid=place.grid,
        metres=metres,
        roles=roles,
        member_number=plain(cells["number"]) or None,
        canteen=canteen,
        standing=standing,
        key=_content_key(cells, phone, gender, born, roles, canteen=canteen),
    )
    return _unfit(resident, known) or resident


@dataclass(frozen=True, slots=True)
class _Standing:
    kind: PlaceKind
    grid: int | None


def _roles(text: str) -> frozenset[Role] | Refusal:
    words = [word.casefold() for word in PARTED.split(plain(text)) if word]
    for word in words:
        if word not in ROLE_WORDS:
            return Refusal("roles", "unknown_role", {"role": word})
    return frozenset(role for word in words if (role := ROLE_WORDS[word]) is not None)


def _place_of(cells: dict[str, str], roles: frozenset[Role], known: _Known) -> _Standing | Refusal:
    """What the row says of where somebody lives; the grid of a building that has one may be left out."""
    place, building = cells["place"], cells["building"]
    word = "".join(plain(cells["small_grid"]).split())
    grid = known.grids.get(word)
    if word and grid is None:
        return Refusal("small_grid", "unknown_grid", {"grid": word})
    if building and not place:
        return Refusal("place", "place_needed")
    if place and not building:
        return Refusal("building", "building_needed")
    kind_word = plain(cells["place_kind"]).casefold()
    kind = PLACE_KINDS.get(kind_word) if kind_word else None
    if kind_word and kind is None:
        return Refusal("place_kind", "unknown_place_kind")
    if kind is None:
        kind = PlaceKind.VILLAGE if place.endswith("村") else PlaceKind.ESTATE
    if building:
        return _Standing(kind, grid)
    if Role.ELDER in roles:
        return Refusal("building", "elder_without_building")
    if grid is None and roles & LEADERS:
        return Refusal("small_grid", "leader_without_grid")
    if grid is not None and not roles & LEADERS:
        return Refusal("building", "building_needed")
    return _Standing(kind, grid)


def _metres(east: str, north: str) -> tuple[int, int] | Refusal | None:
    told: list[int] = []
    for column, text in (("east", plain(east)), ("north", plain(north))):
        if text and not METRES.fullmatch(text):
            return Refusal(column, "not_metres")
        told += [int(text)] if text else []
        if told and abs(told[-1]) > METRES_MAX:
            return Refusal(column, "not_metres")
    if len(told) == 1:
        return Refusal("north" if east else "east", "both_coordinates")
    return (told[0], told[1]) if told else None


def _unfit(resident: _Resident, known: _Known) -> Refusal | None:
    """Ask the people room what it thinks of the fields."""
    for column, value, longest in (
        ("place", resident.place, service.PLACE_NAME_MAX),
        ("building", resident.building, service.NAME_MAX),
    ):
        if value is not None and len(value) > longest:
            return Refusal(column, f"at_most_{longest}_characters")
    try:
        service.check_person(resident.as_person(None), today=known.today)
    except InvalidValue as error:
        return Refusal(FIELDS.get(error.field, error.field), error.rule)
    return None


def _content_key(
    cells: dict[str, str],
    phone: str | None,
    gender: Gender,
    born: date | None,
    roles: frozenset[Role],
    *,
    canteen: bool,
) -> bytes:
    """Same for the same person with the same details, however the file spells them."""
    content = [
        "roster-1",
        " ".join(cells["name"].split()),
        phone,
        gender,
        born.isoformat() if born else None,
        *(plain(cells[name]) for name in ("place", "building", "room", "number")),
        sorted(roles),
        canteen,
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).digest()
