"""The auditor's page: six questions to a period, a sample to draw, and one member's account over a period."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post

from api.auth import may
from api.dependencies import SignedIn
from api.http.books import ACCOUNTS, AHEAD_MAX, StatementOf
from api.http.moments import require_day
from api.web import worksheet
from api.web.forms import read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.errors import DomainError, InvalidValue, NotFound
from pointsbank.domain.points import MINUTES_PER_HOUR
from pointsbank.domain.roles import READERS
from pointsbank.domain.sampling import SAMPLE_MAX, SEED_LENGTH_MAX
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import UnitOfWork
from services.audit import service as audit
from services.audit.views import Period
from services.ledger import service as ledger
from services.people import service as people
from services.people.views import PersonInfo

AUDIT, ACCOUNT = "/books/audit", "/books/account"
DAYS_BEFORE = 30
SHOWN, SHOWN_ALONE = 5, 50
LINES_SHOWN = 500
SAMPLE_SIZE = 30
QUESTIONS = ("self_acted", "reversals", "long_days", "rings", "night", "weak")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks: days, both included; thresholds; which question alone, and from where on."""

    first: date
    last: date
    hours: int | None
    points: int
    only: str
    after: int

    @property
    def limit(self) -> int:
        """How many rows of an answer are shown."""
        return SHOWN_ALONE if self.only else SHOWN


def _asked(query: Any, today: date) -> Asked:
    """Return what the address asks for. Raises InvalidValue."""
    last = _day(query.get("to", ""), today, field="until")
    only = query.get("only", "")
    return Asked(
        first=_day(query.get("from", ""), last - timedelta(days=DAYS_BEFORE - 1), field="since"),
        last=last,
        hours=_whole(query.get("hours", ""), None, 0, 24, field="threshold_hours"),
        points=_whole(query.get("points", ""), audit.ROUND_POINTS, 1, 10_000, field="multiple_points") or 1,
        only=only if only in QUESTIONS else "",
        after=_whole(query.get("after", ""), 0, 0, 2**53, field="after") or 0,
    )


def _day(text: str, default: date, *, field: str) -> date:
    if not text:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(field=field, rule="day") from None
    require_day(field, day)
    return day


def _whole(text: str, default: int | None, low: int, high: int, *, field: str) -> int | None:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 17 and low <= int(text) <= high):
        raise InvalidValue(field=field, rule=f"between_{low}_and_{high}")
    return int(text)


@get(AUDIT, opt=may(*READERS), include_in_schema=False)
async def questions(request: SignedIn) -> Response[str]:
    """Show the answers to six questions about a period, and the form that draws a sample."""
    async with visit(request) as (uow, visitor):
        today = visitor.words.today
        try:
            asked = _asked(request.query_params, today)
            period = await audit.period_of_days(uow, asked.first, asked.last)
            found = await _answers(uow, period, asked)
        except InvalidValue as refused:
            asked = _asked({}, today)
            period = await audit.period_of_days(uow, asked.first, asked.last)
            found = await _answers(uow, period, asked)
            return await _show(request, uow, visitor, asked, period, found, refused)
        return await _show(request, uow, visitor, asked, period, found)


async def _answers(uow: UnitOfWork, period: Period, asked: Asked) -> dict[str, Any]:
    """Return the answer to every question, or to the one that is asked alone."""
    found: dict[str, Any] = {}
    after, limit = asked.after, asked.limit
    if asked.only in ("", "self_acted"):
        found["self_kinds"] = await audit.self_acted(uow, period)
        found["self_acted"] = await audit.self_entries(uow, period, after=after, limit=limit)
    if asked.only in ("", "reversals"):
        found["reversal_groups"] = await audit.reversal_groups(uow, period)
        found["reversals"] = await audit.reversals(uow, period, after=after, limit=limit)
    if asked.only in ("", "long_days"):
        over = None if asked.hours is None else asked.hours * MINUTES_PER_HOUR
        found["long_days"] = await audit.long_days(uow, period, over_minutes=over, after=after, limit=limit)
    if asked.only in ("", "rings"):
        found["rings"] = await audit.rings(uow, period)
    if asked.only in ("", "night"):
        found["night"] = await audit.round_at_night(
            uow, period, multiple_points=asked.points, after=after, limit=limit
        )
    if asked.only in ("", "weak"):
        found["grids"] = await audit.confirmations(uow, period)
        found["weak"] = await audit.weak_confirmers(uow, period, after=after, limit=limit)
    return found


async def _show(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    asked: Asked,
    period: Period,
    found: dict[str, Any],
    refused: DomainError | None = None,
) -> Response[str]:
    cap = await audit.day_cap_minutes(uow)
    rings = found["rings"].rings[asked.after : asked.after + asked.limit] if "rings" in found else ()
    if "rings" in found:
        through = asked.after + asked.limit
        found["next_rings"] = through if len(found["rings"].rings) > through else None
    return page(
        request,
        visitor,
        "audit.html",
        refused=refused,
        asked=asked,
        period=period,
        over=cap if asked.hours is None else asked.hours * MINUTES_PER_HOUR,
        found=found,
        ring_rows=rings,
        total=_by_grid(found.get("grids", ())),
        grid_names={grid.number: grid.name for grid in await people.small_grids(uow)},
        called=await _called(uow, _refs(found, rings)),
        reversals_max=audit.REVERSALS_MAX,
        sample_size=SAMPLE_SIZE,
        sample_max=SAMPLE_MAX,
        seed_max=SEED_LENGTH_MAX,
    )


def _by_grid(lines: Iterable[Any]) -> dict[int | None, int]:
    """Return how many visits were confirmed in each grid, for the shares."""
    totals: dict[int | None, int] = {}
    for line in lines:
        totals[line.small_grid] = totals.get(line.small_grid, 0) + line.visits
    return totals


def _refs(found: dict[str, Any], rings: Iterable[Any]) -> set[UUID]:
    """Return the pseudonyms of everybody the page will name."""
    refs: set[UUID] = {member for ring in rings for member in ring.members}
    for name in ("self_acted", "reversals", "night"):
        for each in found[name].items if name in found else ():
            refs |= {each.actor_ref, each.subject_ref}
    refs |= {each.actor_ref for each in found["reversal_groups"].groups} if "reversals" in found else set()
    refs |= {each.volunteer_ref for each in found["long_days"].items} if "long_days" in found else set()
    refs |= {each.confirmer_ref for each in found["weak"].items} if "weak" in found else set()
    return refs


async def _called(uow: UnitOfWork, refs: set[UUID]) -> dict[UUID, str]:
    """Return what to call each member: name and member number."""
    found = await people.people_by_ledger_ref(uow, sorted(refs))
    return {ref: _call(found[ref]) if ref in found else ref.hex[:8] for ref in refs}


def _call(person: PersonInfo) -> str:
    return f"{person.name} {person.member_number}" if person.member_number else person.name


@get(f"{AUDIT}/worksheet", opt=may(*READERS), include_in_schema=False)
async def draw(request: SignedIn) -> Response[Any]:
    """Draw a sample and give its worksheet as a file; what cannot be drawn is told on the page."""
    query = request.query_params
    async with visit(request) as (uow, visitor):
        try:
            asked = _asked(query, visitor.words.today)
            period = await _sampled(uow, asked, query.get("entries", ""))
            size = _whole(query.get("size", ""), SAMPLE_SIZE, 1, SAMPLE_MAX, field="size") or SAMPLE_SIZE
            sample = await audit.sample(uow, period, seed=query.get("seed", "").strip(), size=size)
        except InvalidValue as refused:
            asked = _asked({}, visitor.words.today)
            period = await audit.period_of_days(uow, asked.first, asked.last)
            found = await _answers(uow, period, asked)
            return await _show(request, uow, visitor, asked, period, found, refused)
        with_names = query.get("names") == "1"
        sheet = worksheet.Worksheet(
            sample=sample,
            community=visitor.community.name,
            code=visitor.community.code,
            called=await audit.named(uow, sample, visitor.actor)
            if with_names
            else await audit.numbered(uow, sample),
            by=_call(visitor.person),
            at=uow.clock.now(),
            with_names=with_names,
        )
    name = _name(asked, period, by_entries=bool(query.get("entries", "").strip()))
    if query.get("form") == "csv":
        return _file(worksheet.as_csv(sheet, visitor.words), "text/csv", f"{name}.csv")
    return _file(worksheet.as_xlsx(sheet, visitor.words), XLSX, f"{name}.xlsx")


async def _sampled(uow: UnitOfWork, asked: Asked, entries: str) -> Period:
    """Return the period to draw from: the entries that are named, else the days. Raises InvalidValue."""
    if entries.strip():
        return await audit.period_of_entries(uow, *audit.entry_range(entries))
    return await audit.period_of_days(uow, asked.first, asked.last)


def _name(asked: Asked, period: Period, *, by_entries: bool) -> str:
    """Name a worksheet by its days and the entries to draw it again from: a table has no front page."""
    days = "" if by_entries else f"-{asked.first}-{asked.last}"
    return f"worksheet{days}-entries-{period.after + 1}-{period.through}"


def _file(content: bytes, media_type: str, name: str) -> Response[bytes]:
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@get(ACCOUNT, opt=may(*READERS), include_in_schema=False)
async def account_form(request: SignedIn) -> Response[str]:
    """Ask whose account is to be seen, over which days."""
    async with visit(request) as (_, visitor):
        last = visitor.words.today
        draft = {"from": (last - timedelta(days=DAYS_BEFORE - 1)).isoformat(), "to": last.isoformat()}
        return page(request, visitor, "account.html", draft=draft, accounts=list(StatementOf), book=None)


@post(ACCOUNT, opt=may(*READERS), status_code=200, include_in_schema=False)
async def account(request: SignedIn) -> Response[str]:
    """Show a member's account: opening, lines, closing, and what it held as known then and as known today.

    By POST, so that no member's number or name stands in an address or a log.
    """
    form = await read_form(request)
    async with visit(request) as (uow, visitor):
        facts: dict[str, Any] = {"draft": form, "accounts": list(StatementOf), "book": None}
        try:
            facts |= await _account(uow, visitor, form)
        except (InvalidValue, NotFound) as refused:
            return page(request, visitor, "account.html", refused=refused, **facts)
        return page(request, visitor, "account.html", **facts)


async def _account(uow: UnitOfWork, visitor: Visitor, form: dict[str, str]) -> dict[str, Any]:
    """Return what the account page shows; the closing balance is what was known then.

    Raises InvalidValue, NotFound.
    """
    today, zone = visitor.words.today, visitor.community.timezone
    first, last = (_day(form.get(name, ""), today, field=field) for name, field in DAYS)
    if last > today:
        raise InvalidValue(field="until", rule="not_in_the_future")
    chosen = form.get("of", "")
    of = StatementOf(chosen) if chosen in list(StatementOf) else StatementOf.POINTS
    person = await _person(uow, form.get("member", ""))
    code = ACCOUNTS[of](person.ledger_ref)
    start, end = local_day(first, zone)[0], local_day(last, zone)[1]
    end = min(end, uow.clock.now() + AHEAD_MAX)
    return {
        "book": await ledger.statement(uow, code, start, end, limit=LINES_SHOWN),
        "known_now": await ledger.balance_as_happened(uow, code, end),
        "whose": _call(person),
        "of": of,
        "first": first,
        "last": last,
    }


DAYS = (("from", "since"), ("to", "until"))


async def _person(uow: UnitOfWork, text: str) -> PersonInfo:
    """Return the one member of that number or exact name. Raises InvalidValue, NotFound."""
    if not text:
        raise InvalidValue(field="member", rule="not_blank")
    found = await people.people_named(uow, member_numbers=[text]) or await people.people_named(
        uow, names=[text]
    )
    if not found:
        raise NotFound(what="person")
    if len(found) > 1:
        raise InvalidValue(field="member", rule="one_person")
    return found[0]


ROUTES = [questions, draw, account_form, account]
