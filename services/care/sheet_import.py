"""Bringing in past service from a file: read, judge everything first, then record chunk by chunk."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID
from zoneinfo import ZoneInfo

from pointsbank.domain.refusal import Refusal
from pointsbank.domain.roles import Role
from pointsbank.domain.service_record import RecordSweep
from pointsbank.platform.cells import parse_day, parse_moment, plain
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.sheets import Column, ImportCounts, Progress, RefusedRow, Sheet, SheetRow
from services.care.records import (
    RECORDS_CHUNK,
    OutcomeKind,
    RecordOutcome,
    VisitRecord,
    judge_visits,
    record_visits,
)
from services.care.sheet_store import Stage, StagedRecord, stage
from services.people import service as people
from services.people.naming import UNKNOWN, Mention, PersonFinder

SERVICE_COLUMNS = (
    Column("volunteer", ("志愿者", "volunteer", "志愿者姓名", "志愿者编号", "服务人"), required=True),
    Column("elder", ("长者", "elder", "长者姓名", "长者编号", "老人", "服务对象"), required=True),
    Column("kind", ("服务类型", "kind", "类型", "服务项目", "service"), required=True),
    Column("start", ("开始", "start", "开始时间", "签到", "签到时间"), required=True),
    Column("end", ("结束", "end", "结束时间", "签退", "签退时间"), required=True),
    Column("confirmer", ("确认人", "confirmer", "证明人", "见证人"), required=True),
    Column("date", ("日期", "date", "服务日期")),
    Column("volunteer_phone", ("志愿者电话", "volunteer_phone")),
    Column("elder_phone", ("长者电话", "elder_phone")),
    Column("confirmer_phone", ("确认人电话", "confirmer_phone")),
)
"""A file of service records. Times are local to the community; ``date`` is for files whose start and end
are only times of day. People: by member number, by name and phone, or by a name that is unique."""

KIND_WORDS = {
    "companionship": ("陪伴", "陪伴聊天", "陪聊", "探访", "关怀探访"),
    "shopping": ("代购", "购物", "代买", "代购跑腿", "跑腿"),
    "meal_delivery": ("送餐", "助餐", "送饭"),
    "clinic_escort": ("陪诊", "陪同就医", "就医陪护", "陪医"),
    "haircut": ("理发", "剪发"),
    "repair": ("维修", "小修", "家电维修", "修理"),
    "cleaning": ("保洁", "打扫", "清洁", "家居清洁"),
    "phone_learning": ("手机教学", "教用手机", "智能手机教学", "手机课"),
}
"""What the kinds of the default policy are called; a kind's code is always understood."""

_KIND_OF = {word: code for code, words in KIND_WORDS.items() for word in words}
_PEOPLE = (("volunteer", Role.VOLUNTEER), ("elder", Role.ELDER), ("confirmer", None))


class ServiceImport:
    """One file of service records, opened by :func:`service_import`: :meth:`judge`, then :meth:`record`."""

    def __init__(self, database: Database, community_id: int, sheet: Sheet, staged: Stage) -> None:
        self._database = database
        self._community_id = community_id
        self._sheet = sheet
        self._stage = staged
        self._unread: int = 0  # rows refused as they were read
        self._records: int | None = None

    async def judge(self, progress: Progress) -> ImportCounts:
        """Read the file and say what :meth:`record` would do; write nothing. Raises SheetUnreadable."""
        if self._records is None:
            await self._read(progress)
        sweep = RecordSweep()

        async def judge(uow: UnitOfWork, records: Sequence[VisitRecord]) -> list[RecordOutcome]:
            return await judge_visits(uow, records, sweep)

        return await self._go_through(judge, "checking", progress)

    async def record(self, progress: Progress) -> ImportCounts:
        """Record what can be recorded, a commit for every chunk; run again, it goes on where it ended."""
        return await self._go_through(record_visits, "importing", progress)

    def refused(self) -> AsyncIterator[RefusedRow]:
        """Give the refused rows in the order of the file."""
        return self._stage.refused()

    async def _read(self, progress: Progress) -> None:
        finder = PersonFinder()
        async with self._database.unit_of_work(self._community_id) as uow:
            zone = ZoneInfo((await people.community(uow)).timezone)
        chunk: list[SheetRow] = []
        for row in self._sheet.rows():
            chunk.append(row)
            if len(chunk) == RECORDS_CHUNK:
                await self._put(chunk, finder, zone)
                chunk = []
                progress("reading", self._sheet.share_done)
        await self._put(chunk, finder, zone)
        progress("reading", 1.0)
        self._records = await self._stage.sort()

    async def _put(self, rows: Sequence[SheetRow], finder: PersonFinder, zone: ZoneInfo) -> None:
        if not rows:
            return
        mentions = {row.number: [_mention(row, *who) for who in _PEOPLE] for row in rows}
        async with self._database.unit_of_work(self._community_id) as uow:
            found = await finder.find(uow, [mention for three in mentions.values() for mention in three])
        staged: list[tuple[tuple[str, ...], StagedRecord | RefusedRow]] = []
        for row in rows:
            read = _read_row(row, [found[mention] for mention in mentions[row.number]], zone)
            if isinstance(read, Refusal):
                self._unread += 1
                staged.append((row.raw, RefusedRow(row.number, row.raw, read)))
            else:
                staged.append((row.raw, read))
        await self._stage.add(staged)

    async def _go_through(
        self,
        work: Callable[[UnitOfWork, Sequence[VisitRecord]], Awaitable[list[RecordOutcome]]],
        step: str,
        progress: Progress,
    ) -> ImportCounts:
        counts = ImportCounts(refused=self._unread)
        done, total = 0, self._records or 0
        last: StagedRecord | None = None
        while chunk := await self._stage.after(last, RECORDS_CHUNK):
            records = [_visit_record(staged) for staged in chunk]
            async with self._database.unit_of_work(self._community_id) as uow:
                outcomes = await work(uow, records)
            kinds = [outcome.kind for outcome in outcomes]
            counts.imported += kinds.count(OutcomeKind.RECORDED)
            counts.already += kinds.count(OutcomeKind.ALREADY)
            counts.refused += kinds.count(OutcomeKind.REFUSED)
            await self._stage.refuse(
                [(staged.number, outcome.refusal) for staged, outcome in zip(chunk, outcomes, strict=True)]
            )
            done += len(chunk)
            last = chunk[-1]
            progress(step, done / total)
        progress(step, 1.0)
        return counts


@asynccontextmanager
async def service_import(database: Database, community_id: int, sheet: Sheet) -> AsyncIterator[ServiceImport]:
    """Open an import of ``sheet`` (found with ``SERVICE_COLUMNS``)."""
    async with stage(database) as staged:
        yield ServiceImport(database, community_id, sheet, staged)


def _mention(row: SheetRow, column: str, likely: Role | None) -> Mention:
    return Mention(plain(row.cells[column]), row.cells.get(f"{column}_phone", ""), likely)


def _read_row(row: SheetRow, found: Sequence[UUID | str], zone: ZoneInfo) -> StagedRecord | Refusal:
    """Return the row as a record, or its first fault from left to right."""
    if row.excess:
        return Refusal("", "cells_beyond_header")
    for column in ("volunteer", "elder", "kind", "start", "end", "confirmer"):
        if not row.cells[column]:
            return Refusal(column, "missing")
    for (column, _), person in zip(_PEOPLE, found, strict=True):
        if isinstance(person, str):
            code = f"unknown_{column}" if person == UNKNOWN else person
            return Refusal(column, code)
    kind = plain(row.cells["kind"])
    day = parse_day(row.cells["date"]) if row.cells.get("date") else None
    if row.cells.get("date") and day is None:
        return Refusal("date", "not_a_date")
    started = parse_moment(row.cells["start"], zone, day=day)
    ended = parse_moment(row.cells["end"], zone, day=day)
    if started is None or ended is None:
        return Refusal("start" if started is None else "end", "not_a_time")
    volunteer, elder, confirmer = (person for person in found if isinstance(person, UUID))
    code = _KIND_OF.get(kind, kind.casefold())
    words = (volunteer.hex, elder.hex, confirmer.hex, code, started.isoformat(), ended.isoformat())
    key = hashlib.sha256("\n".join(("service-record-1", *words)).encode()).digest()
    return StagedRecord(row.number, volunteer, elder, confirmer, code, started, ended, key)


def _visit_record(staged: StagedRecord) -> VisitRecord:
    return VisitRecord(
        volunteer_id=staged.volunteer,
        elder_id=staged.elder,
        kind=staged.kind,
        started_at=staged.started,
        ended_at=staged.ended,
        confirmer_id=staged.confirmer,
        content_key=staged.key,
        label=str(staged.number),
    )
