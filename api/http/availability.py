"""What volunteers say of themselves, and what they can take of their own accord."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict, StringConstraints

from api.auth import may
from api.dependencies import SignedIn, change, read
from api.http.visits import VisitAnswer
from api.http.wire import Asked, Day, Told, WholeNumber, text
from pointsbank.domain import availability as rules
from pointsbank.domain.availability import Limits
from pointsbank.domain.free_hours import ExceptionKind, FreeHour, HoursException
from pointsbank.domain.language import LANGUAGE, LANGUAGE_LENGTH_MAX
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.matching import service as matching
from services.matching.views import AvailabilityInfo
from services.people import service as people

VOLUNTEERS = (Role.VOLUNTEER, *STAFF)
GRID_MAX = 10_000

VolunteerId = Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")]
Minute = Annotated[int, WholeNumber(0, 2 * 24 * 60)]
SkillCode = Annotated[str, text(rules.SKILL_LENGTH_MAX)]
Language = Annotated[str, StringConstraints(pattern=f"^{LANGUAGE.pattern}$", max_length=LANGUAGE_LENGTH_MAX)]


class WeeklyHours(Asked):
    """A weekly stretch; Monday is weekday 0, minutes count from local midnight."""

    weekday: Annotated[int, WholeNumber(0, 6)]
    from_minute: Minute
    to_minute: Minute


class DayException(Asked):
    """A stretch of one local day that is not as in other weeks; it may reach past midnight.

    ``away``: taken from the weekly hours. ``free``: added, also to a day that is else away.
    """

    day: Day
    kind: ExceptionKind
    from_minute: Minute = 0
    to_minute: Minute = 24 * 60


class OwnLimits(Asked):
    """The most minutes a day and a week (from Monday); null: as the policy says, which they only lower."""

    day_minutes: Annotated[int, WholeNumber(1, rules.DAY_MINUTES_MAX)] | None = None
    week_minutes: Annotated[int, WholeNumber(1, rules.WEEK_MINUTES_MAX)] | None = None


class SayAvailability(Asked):
    """What is said takes the place of what was said of it before; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "hours": [{"weekday": 0, "from_minute": 540, "to_minute": 720}],
                    "exceptions": [{"day": "2026-12-24", "kind": "away"}],
                    "limits": {"day_minutes": 180, "week_minutes": 600},
                    "grids": [1, 2],
                    "languages": ["yue", "cmn"],
                }
            ]
        }
    )
    volunteer_id: UUID | None = None
    hours: list[WeeklyHours] | None = None
    exceptions: list[DayException] | None = None
    limits: OwnLimits | None = None
    grids: list[Annotated[int, WholeNumber(1, GRID_MAX)]] | None = None
    languages: list[Language] | None = None
    skills: list[SkillCode] | None = None


class SayLanguages(Asked):
    """The languages a person speaks, by code: ``yue``, ``cmn``, ``hak``, ``nan``, ``yue-x-taishan`` …"""

    model_config = ConfigDict(json_schema_extra={"examples": [{"languages": ["yue", "yue-x-taishan"]}]})
    languages: list[Language]


class SkillProof(Asked):
    """What proves a skill, and the last local day on which it holds."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"proof": "低压电工证 T4407", "valid_until": "2028-05-31"}]}
    )
    volunteer_id: UUID | None = None
    proof: Annotated[str, text(rules.PROOF_LENGTH_MAX)]
    valid_until: Day | None = None


class VerifySkill(Asked):
    """Whose proof was looked at. ``proof``: as it was shown; one changed meanwhile is not verified."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"volunteer_id": "00000000-0000-4000-8000-000000000003", "proof": "低压电工证 T4407"}
            ]
        }
    )
    volunteer_id: UUID
    proof: Annotated[str, text(rules.PROOF_LENGTH_MAX)]


class TakeRequest(Asked):
    """Who takes it: yourself unless named (a coordinator, for a volunteer on the telephone)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})
    volunteer_id: UUID | None = None


class WeeklyHoursAnswer(Told):
    """A weekly stretch."""

    weekday: int
    from_minute: int
    to_minute: int


class DayExceptionAnswer(Told):
    """A stretch of one local day that is not as in other weeks."""

    day: date
    kind: ExceptionKind
    from_minute: int
    to_minute: int


class SkillAnswer(Told):
    """A skill. ``counts``: it may be relied upon today; ``needs_proof``: only once it is verified."""

    code: str
    proof: str | None
    verified_by: UUID | None
    verified_at: datetime | None
    valid_until: date | None
    needs_proof: bool
    counts: bool


class LimitsAnswer(Told):
    """The most minutes as wished; null: none of their own."""

    day_minutes: int | None
    week_minutes: int | None


class AvailabilityAnswer(Told):
    """What a volunteer says of themselves.

    ``day_minutes``, ``week_minutes``: what counts; ``grids``: as named; ``serves``: what counts.
    """

    volunteer_id: UUID
    hours: list[WeeklyHoursAnswer]
    exceptions: list[DayExceptionAnswer]
    limits: LimitsAnswer
    day_minutes: int
    week_minutes: int
    grids: list[int]
    serves: list[int]
    languages: list[str]
    skills: list[SkillAnswer]


class LanguagesAnswer(Told):
    """The languages a person speaks."""

    person_id: UUID
    languages: list[str]


class SkillToVerifyAnswer(Told):
    """A proof that nobody has looked at yet."""

    volunteer_id: UUID
    name: str
    skill: str
    proof: str
    valid_until: date | None


class SkillToVerifyPage(Told):
    """The proofs that wait for a coordinator."""

    items: list[SkillToVerifyAnswer]


class VerifiedAnswer(Told):
    """A skill whose proof was verified."""

    volunteer_id: UUID
    skill: str
    verified: Literal[True] = True


class TakeableAnswer(Told):
    """An open request the caller could take. Whose it is stays unsaid until it is taken."""

    request_id: UUID
    number: int
    kind: str
    building: str
    small_grid: int
    urgency: int
    starts_at: datetime
    ends_at: datetime
    distance: int


class TakeablePage(Told):
    """What the caller could take, what suits best first."""

    items: list[TakeableAnswer]


class CandidateAnswer(Told):
    """A volunteer who could take a request. ``terms``: what their ``value`` is made of."""

    volunteer_id: UUID
    name: str
    starts_at: datetime
    distance: int
    value: int
    terms: dict[str, int]


class CandidatePage(Told):
    """The candidates for one request, best first."""

    items: list[CandidateAnswer]


def availability_answer(info: AvailabilityInfo) -> AvailabilityAnswer:
    """Return what a volunteer says as answered."""
    return AvailabilityAnswer(
        volunteer_id=info.volunteer_id,
        hours=[WeeklyHoursAnswer.of(each) for each in info.hours],
        exceptions=[DayExceptionAnswer.of(each) for each in info.exceptions],
        limits=LimitsAnswer.of(info.limits),
        day_minutes=info.day_minutes,
        week_minutes=info.week_minutes,
        grids=list(info.grids),
        serves=list(info.serves),
        languages=list(info.languages),
        skills=[
            SkillAnswer(
                code=each.skill.code,
                proof=each.skill.proof,
                verified_by=each.skill.verified_by,
                verified_at=each.skill.verified_at,
                valid_until=each.skill.valid_until,
                needs_proof=each.needs_proof,
                counts=each.counts,
            )
            for each in info.skills
        ],
    )


@get("/availability", opt=may(*VOLUNTEERS), operation_id="get_availability")
async def availability(request: SignedIn, volunteer_id: VolunteerId = None) -> AvailabilityAnswer:
    """Return what a volunteer says of themselves."""

    async def work(uow: UnitOfWork, actor: Actor) -> AvailabilityAnswer:
        whose = volunteer_id or actor.person_id
        return availability_answer(await matching.availability_of(uow, actor, whose))

    return await read(request, work)


@post("/availability", opt=may(*VOLUNTEERS), operation_id="say_availability", status_code=200)
async def say(request: SignedIn, data: JSONBody[SayAvailability]) -> Response[AvailabilityAnswer]:
    """Say when, how much and where one is free; a coordinator may note it for a volunteer."""

    async def work(uow: UnitOfWork, actor: Actor) -> AvailabilityAnswer:
        whose = data.volunteer_id or actor.person_id
        actor.require_self_or(whose, *STAFF, action="say_availability")
        if data.hours is not None:
            week = [FreeHour(each.weekday, each.from_minute, each.to_minute) for each in data.hours]
            await matching.set_free_hours(uow, whose, week)
        if data.exceptions is not None:
            days = [
                HoursException(each.day, each.from_minute, each.to_minute, each.kind)
                for each in data.exceptions
            ]
            await matching.set_exceptions(uow, whose, days)
        if data.limits is not None:
            await matching.set_limits(uow, whose, Limits(data.limits.day_minutes, data.limits.week_minutes))
        if data.grids is not None:
            await matching.set_grids(uow, whose, data.grids)
        if data.languages is not None:
            await people.set_languages(uow, actor, whose, data.languages)
        if data.skills is not None:
            await matching.set_skills(uow, whose, data.skills)
        return availability_answer(await matching.availability_of(uow, actor, whose))

    return await change(request, work)


@post(
    "/people/{person_id:uuid}/languages",
    opt=may(Role.ELDER, *VOLUNTEERS),
    operation_id="set_languages",
    status_code=200,
)
async def languages(
    request: SignedIn, person_id: FromPath[UUID], data: JSONBody[SayLanguages]
) -> Response[LanguagesAnswer]:
    """Say which languages a person speaks: their own, or an elder's by a coordinator."""

    async def work(uow: UnitOfWork, actor: Actor) -> LanguagesAnswer:
        await people.set_languages(uow, actor, person_id, data.languages)
        return LanguagesAnswer(person_id=person_id, languages=sorted(set(data.languages)))

    return await change(request, work)


@post("/skills/{skill:str}/proof", opt=may(*VOLUNTEERS), operation_id="prove_skill", status_code=200)
async def prove(
    request: SignedIn, skill: FromPath[str], data: JSONBody[SkillProof]
) -> Response[AvailabilityAnswer]:
    """Say what proves a skill; it waits to be verified."""

    async def work(uow: UnitOfWork, actor: Actor) -> AvailabilityAnswer:
        whose = data.volunteer_id or actor.person_id
        await matching.prove_skill(uow, actor, whose, skill, proof=data.proof, valid_until=data.valid_until)
        return availability_answer(await matching.availability_of(uow, actor, whose))

    return await change(request, work)


@get("/skills/to-verify", opt=may(*STAFF), operation_id="list_skills_to_verify")
async def to_verify(request: SignedIn) -> SkillToVerifyPage:
    """List the proofs that nobody has looked at yet."""

    async def work(uow: UnitOfWork, actor: Actor) -> SkillToVerifyPage:
        found = await matching.skills_to_verify(uow, actor)
        return SkillToVerifyPage(items=[SkillToVerifyAnswer.of(each) for each in found])

    return await read(request, work)


@post("/skills/{skill:str}/verify", opt=may(*STAFF), operation_id="verify_skill", status_code=200)
async def verify(
    request: SignedIn, skill: FromPath[str], data: JSONBody[VerifySkill]
) -> Response[VerifiedAnswer]:
    """Say that one has seen the proof of a skill."""

    async def work(uow: UnitOfWork, actor: Actor) -> VerifiedAnswer:
        await matching.verify_skill(uow, actor, data.volunteer_id, skill, proof=data.proof)
        return VerifiedAnswer(volunteer_id=data.volunteer_id, skill=skill)

    return await change(request, work)


@get("/takeable-requests", opt=may(Role.VOLUNTEER), operation_id="list_takeable_requests")
async def takeable(request: SignedIn) -> TakeablePage:
    """List the open requests that the caller could take."""

    async def work(uow: UnitOfWork, actor: Actor) -> TakeablePage:
        return TakeablePage(
            items=[
                TakeableAnswer(
                    request_id=each.request.id,
                    number=each.request.number,
                    kind=each.request.kind,
                    building=each.request.building,
                    small_grid=each.request.small_grid,
                    urgency=each.request.urgency,
                    starts_at=each.starts_at,
                    ends_at=each.ends_at,
                    distance=each.distance,
                )
                for each in await matching.takeable(uow, actor.person_id)
            ]
        )

    return await read(request, work)


@post(
    "/help-requests/{request_id:uuid}/take",
    opt=may(*VOLUNTEERS),
    operation_id="take_help_request",
    status_code=200,
)
async def take(
    request: SignedIn, request_id: FromPath[UUID], data: JSONBody[TakeRequest]
) -> Response[VisitAnswer]:
    """Take an open request: the visit is planned. Of several who try, one succeeds."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await matching.take(uow, actor, request_id, volunteer_id=data.volunteer_id))

    return await change(request, work)


@get("/help-requests/{request_id:uuid}/candidates", opt=may(*STAFF), operation_id="list_candidates")
async def candidates(request: SignedIn, request_id: FromPath[UUID]) -> CandidatePage:
    """List who could take a request now, best first."""

    async def work(uow: UnitOfWork, _actor: Actor) -> CandidatePage:
        return CandidatePage(
            items=[
                CandidateAnswer(
                    volunteer_id=each.volunteer_id,
                    name=each.name,
                    starts_at=each.start,
                    distance=each.distance,
                    value=each.value,
                    terms={str(term): points for term, points in each.terms.items()},
                )
                for each in await matching.candidates_for(uow, request_id)
            ]
        )

    return await read(request, work)


router = Router(
    "/",
    route_handlers=[
        availability,
        say,
        languages,
        prove,
        to_verify,
        verify,
        takeable,
        take,
        candidates,
    ],
    tags=["availability"],
)
