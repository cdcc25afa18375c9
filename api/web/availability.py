"""A volunteer's own page of when, how much, where and what; and the coordinator's list of proofs to see."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from litestar import Response, get, post

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import do_once, read_form, see_other, uuid_of
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.availability import Limits, grids_near
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.free_hours import DAY_MINUTES, ExceptionKind, FreeHour, HoursException
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.matching import service as matching
from services.people import service as people

VOLUNTEERS = may(Role.VOLUNTEER)
HOURS, SKILLS = "/volunteer/hours", "/coordinator/skills"
HOUR = 60


class PartOfDay(NamedTuple):
    """A part of the day in minutes from midnight: what belongs to it, and what a new tick means."""

    begins: int
    ends: int
    free_from: int
    free_to: int


PARTS_OF_DAY = {
    "morning": PartOfDay(0, 720, 480, 720),
    "afternoon": PartOfDay(720, 1080, 720, 1080),
    "evening": PartOfDay(1080, 1440, 1080, 1320),
}


@get(HOURS, opt=VOLUNTEERS, include_in_schema=False)
async def hours(request: SignedIn) -> Response[str]:
    """Show what the volunteer says of themselves."""
    async with visit(request) as (uow, visitor):
        return await show_hours(request, uow, visitor)


async def show_hours(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the page of free hours, exceptions, limits, grids, languages and skills."""
    told = await matching.availability_of(uow, visitor.actor, visitor.person.id)
    free = {
        (each.weekday, name)
        for each in told.hours
        for name, part in PARTS_OF_DAY.items()
        if each.from_minute < part.ends and part.begins < each.to_minute
    }
    return page(
        request,
        visitor,
        "hours.html",
        refused=refused,
        told=told,
        parts_of_day=list(PARTS_OF_DAY),
        free=free,
        kinds=list(ExceptionKind),
        exceptions=[(each, _said(each), _times(each)) for each in told.exceptions],
        day_hours=_as_hours(told.limits.day_minutes),
        week_hours=_as_hours(told.limits.week_minutes),
        grids=await people.small_grids(uow),
        spoken=LANGUAGES,
    )


async def _did(request: SignedIn, work: Any) -> Response[Any]:
    """Do what a form of the page asks; a refusal is told on the page."""
    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_hours(request, uow, visitor, error)


@post(HOURS, opt=VOLUNTEERS, include_in_schema=False)
async def save_hours(request: SignedIn) -> Response[None]:
    """Save the ticked parts of the week; hours that were named more finely within one are kept."""
    ticked = {str(value) for value in (await request.form()).getall("free", [])}
    async with visit(request) as (uow, visitor):
        before = await matching.free_hours_of(uow, visitor.person.id)
        week: list[FreeHour] = []
        for weekday in range(7):
            for name, part in PARTS_OF_DAY.items():
                if f"{weekday}-{name}" in ticked:
                    week += _hours_within(before, weekday, part)
        await matching.set_free_hours(uow, visitor.person.id, week)
    return see_other(HOURS, {"done": "hours_saved"})


def _hours_within(before: list[FreeHour], weekday: int, part: PartOfDay) -> list[FreeHour]:
    kept = [
        FreeHour(weekday, max(each.from_minute, part.begins), min(each.to_minute, part.ends))
        for each in before
        if each.weekday == weekday and each.from_minute < part.ends and part.begins < each.to_minute
    ]
    return kept or [FreeHour(weekday, part.free_from, part.free_to)]


@post("/volunteer/exceptions", opt=VOLUNTEERS, include_in_schema=False)
async def add_exception(request: SignedIn) -> Response[Any]:
    """Note a day, or hours of one, that are not as in other weeks."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        before = await matching.exceptions_of(uow, actor.person_id)
        await matching.set_exceptions(uow, actor.person_id, [*before, _exception(form)])
        return f"{HOURS}?done=hours_saved"

    return await _did(request, work)


@post("/volunteer/exceptions/remove", opt=VOLUNTEERS, include_in_schema=False)
async def remove_exception(request: SignedIn) -> Response[Any]:
    """Take an exception back."""
    which = (await read_form(request)).get("which", "")

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        before = await matching.exceptions_of(uow, actor.person_id)
        kept = [each for each in before if _said(each) != which]
        await matching.set_exceptions(uow, actor.person_id, kept)
        return f"{HOURS}?done=hours_saved"

    return await _did(request, work)


@post("/volunteer/service", opt=VOLUNTEERS, include_in_schema=False)
async def save_service(request: SignedIn) -> Response[Any]:
    """Save how much the volunteer will give, where, and what they speak."""
    form = await read_form(request)
    ticked = await request.form()
    grids = {_grid(str(value)) for value in ticked.getall("grid", [])}
    languages = {str(value) for value in ticked.getall("language", [])}

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        limits = Limits(_minutes(form, "day_hours"), _minutes(form, "week_hours"))
        await matching.set_limits(uow, actor.person_id, limits)
        home = (await people.person(uow, actor.person_id)).small_grid
        near = grids_near(home, await people.grid_plan(uow)) if home is not None else frozenset()
        # Ticking what is ticked anyway names nothing: when somebody moves, so does what is near.
        await matching.set_grids(uow, actor.person_id, [] if grids == near else grids)
        known = (await people.languages_of(uow, [actor.person_id])).get(actor.person_id, frozenset())
        kept = known - set(LANGUAGES)
        await people.set_languages(uow, actor, actor.person_id, languages | kept)
        return f"{HOURS}?done=hours_saved"

    return await _did(request, work)


@post("/volunteer/skills/proof", opt=VOLUNTEERS, include_in_schema=False)
async def prove(request: SignedIn) -> Response[Any]:
    """Note what proves a skill; a coordinator looks at it."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        until = form.get("valid_until", "")
        await matching.prove_skill(
            uow,
            actor,
            actor.person_id,
            form.get("skill", ""),
            proof=form.get("proof", ""),
            valid_until=_day(until, "valid_until") if until else None,
        )
        return f"{HOURS}?done=proof_sent"

    return await _did(request, work)


@get(SKILLS, opt=may(*STAFF), include_in_schema=False)
async def skills(request: SignedIn) -> Response[str]:
    """Show the proofs that nobody has looked at."""
    async with visit(request) as (uow, visitor):
        return await _show_skills(request, uow, visitor)


async def _show_skills(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    waiting = await matching.skills_to_verify(uow, visitor.actor)
    return page(request, visitor, "skills.html", refused=refused, waiting=waiting)


@post("/coordinator/skills/verify", opt=may(*STAFF), include_in_schema=False)
async def verify(request: SignedIn) -> Response[Any]:
    """Say that one has seen a proof, as it was shown."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        volunteer = uuid_of(form.get("volunteer", ""), what="person")
        await matching.verify_skill(uow, actor, volunteer, form.get("skill", ""), proof=form.get("proof", ""))
        return f"{SKILLS}?done=verified"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await _show_skills(request, uow, visitor, error)


def _exception(form: dict[str, str]) -> HoursException:
    """Return the exception a form says: hours that end before they begin end on the next day."""
    day = _day(form.get("day", ""), "day")
    kind = form.get("kind", "")
    if kind not in list(ExceptionKind):
        raise InvalidValue(field="kind", rule="known_value")
    if not form.get("from") and not form.get("to"):
        return HoursException(day, 0, DAY_MINUTES, ExceptionKind(kind))
    start, end = _minute(form.get("from", "")), _minute(form.get("to", ""))
    return HoursException(day, start, end if start < end else end + DAY_MINUTES, ExceptionKind(kind))


def _said(each: HoursException) -> str:
    return f"{each.day.isoformat()} {each.kind} {each.from_minute}"


def _times(each: HoursException) -> str | None:
    """Return an exception's hours as a clock shows them; None: the whole day."""
    if (each.from_minute, each.to_minute) == (0, DAY_MINUTES):
        return None
    minutes = [each.from_minute, each.to_minute % DAY_MINUTES]
    return "–".join(f"{minute // HOUR:02}:{minute % HOUR:02}" for minute in minutes)


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(field=field, rule="day") from None


def _minute(text: str) -> int:
    try:
        told = time.fromisoformat(text)
    except ValueError:
        raise InvalidValue(field="minutes", rule="within_the_day") from None
    return told.hour * HOUR + told.minute


def _minutes(form: dict[str, str], name: str) -> int | None:
    """Return the minutes that so many hours are; None where nothing is said."""
    field = name.replace("hours", "minutes")
    if not form.get(name):
        return None
    try:
        minutes = Decimal(form[name]) * HOUR
    except InvalidOperation:
        raise InvalidValue(field=field, rule="whole_number") from None
    if not minutes.is_finite() or minutes != int(minutes):
        raise InvalidValue(field=field, rule="whole_number")
    return int(minutes)


def _as_hours(minutes: int | None) -> str:
    return "" if minutes is None else f"{Decimal(minutes) / HOUR:.4g}"


def _grid(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise InvalidValue(field="grids", rule="known_grid")
    return int(text)


ROUTES = [
    hours,
    save_hours,
    add_exception,
    remove_exception,
    save_service,
    prove,
    skills,
    verify,
]
