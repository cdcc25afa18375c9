"""What of volunteers pairing is told: when they are free and where, what they can do and have done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pointsbank.domain.availability import Limits, Skill, VolunteerRules, grids_near
from pointsbank.domain.free_hours import free_periods
from pointsbank.domain.pairing.instance import Cap, Promise, Spot, Stretch, Volunteer
from pointsbank.domain.resident import Gender
from pointsbank.domain.visit_rules import BarKind
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import UnitOfWork
from services.care import pairing as care_pairing
from services.care import service as care
from services.care.pairing import Commitment, ServiceSoFar
from services.matching import told_store
from services.matching.frame import DAY, Capped, Frame
from services.matching.told_store import Expected, Said
from services.people import service as people
from services.people.service import HomeInfo

LATELY = timedelta(days=28)
"""The service that counts as load: of four weeks."""


@dataclass(frozen=True, slots=True)
class Told:
    """Volunteers as pairing knows them, and what of theirs may move.

    kept: by request that may move, the start at which each of them is expected.
    """

    volunteers: tuple[Volunteer, ...]
    kept: Mapping[UUID, Mapping[str, int]]


async def told_of(
    uow: UnitOfWork, frame: Frame, homes: Sequence[HomeInfo], *, movable: Collection[UUID] = ()
) -> Told:
    """Return what pairing is told of those of these people who are not barred.

    movable: requests whose unanswered offers may move; all others keep their volunteers busy.
    """
    barred = await care.barred(uow, [home.id for home in homes], BarKind.SERVICE)
    able = [home for home in homes if home.id not in barred]
    ids = [home.id for home in able]
    planned = set(movable)
    waiting: dict[UUID, list[Expected]] = defaultdict(list)
    kept: dict[UUID, dict[str, int]] = defaultdict(dict)
    for offer in await told_store.expected(uow, ids, frame.now):
        if offer["help_request_id"] in planned:
            kept[offer["help_request_id"]][str(offer["volunteer_id"])] = frame.minute(offer["starts_at"])
        else:
            waiting[offer["volunteer_id"]].append(offer)
    commitments: dict[UUID, list[Commitment]] = defaultdict(list)
    first, last = frame.span
    for each in await care_pairing.commitments(uow, ids, first - DAY, last + DAY):
        commitments[each.volunteer_id].append(each)
    known = _Known(
        said=await told_store.said(uow, ids, frame.days[0] - DAY, frame.days[-1]),
        languages=await people.languages_of(uow, ids),
        commitments=commitments,
        waiting=waiting,
        service=await care_pairing.service_so_far(uow, ids, frame.now - LATELY),
        reliability=await care.reliability(uow, ids, frame.policies.on(frame.today).visits),
        rules=frame.rules,
    )
    spans = frame.capped
    near = {grid: grids_near(grid, frame.grids) for grid in {home.small_grid for home in able}}
    return Told(tuple(_volunteer(frame, home, known, spans, near) for home in able), kept)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of volunteers, by volunteer."""

    said: Said
    languages: Mapping[UUID, frozenset[str]]
    commitments: Mapping[UUID, Sequence[Commitment]]
    waiting: Mapping[UUID, Sequence[Expected]]
    service: Mapping[UUID, ServiceSoFar]
    reliability: Mapping[UUID, int]
    rules: VolunteerRules


def _volunteer(
    frame: Frame,
    person: HomeInfo,
    known: _Known,
    spans: Sequence[Capped],
    near: Mapping[int, frozenset[int]],
) -> Volunteer:
    home = Spot(person.small_grid, person.east_m, person.north_m)
    service = known.service.get(person.id, ServiceSoFar())
    said = known.said
    periods = free_periods(
        said.hours.get(person.id, ()), frame.days, frame.timezone, said.exceptions.get(person.id, ())
    )
    commitments, waiting = known.commitments.get(person.id, ()), known.waiting.get(person.id, ())
    return Volunteer(
        id=str(person.id),
        home=home,
        grids=frozenset(said.grids.get(person.id, ())) or near[person.small_grid],
        free=tuple(Stretch(frame.minute(period.start), frame.minute(period.end)) for period in periods),
        busy=_busy(frame, home, commitments, waiting),
        caps=_caps(
            frame,
            spans,
            said.limits.get(person.id, Limits()).under(known.rules),
            commitments,
            waiting,
        ),
        skills=_skills(frame, said.skills.get(person.id, ()), known.rules),
        gender=None if person.gender is Gender.UNKNOWN else person.gender.value,
        languages=known.languages.get(person.id, frozenset()),
        recent=service.minutes,
        visits=service.visits,
        reliability=known.reliability.get(person.id, 1_000),
    )


def _skills(frame: Frame, skills: Sequence[Skill], rules: VolunteerRules) -> dict[str, int | None]:
    """Return the skills that count on the first day, each with the minute at which its last day ends."""
    return {
        skill.code: None
        if skill.valid_until is None
        else frame.minute(local_day(skill.valid_until, frame.timezone)[1])
        for skill in skills
        if skill.counts(rules, frame.days[0])
    }


def _busy(
    frame: Frame, home: Spot, commitments: Sequence[Commitment], waiting: Sequence[Expected]
) -> tuple[Promise, ...]:
    visits = [
        Promise(
            frame.minute(each.start),
            frame.minute(each.end),
            home if each.small_grid is None else Spot(each.small_grid, each.east_m, each.north_m),
        )
        for each in commitments
        if each.stands
    ]
    offers = [
        Promise(
            frame.minute(each["starts_at"]),
            frame.minute(each["ends_at"]),
            Spot(each["small_grid"], each["east_m"], each["north_m"]),
        )
        for each in waiting
    ]
    return tuple(sorted((*visits, *offers), key=lambda promise: (promise.start, promise.end)))


def _caps(
    frame: Frame,
    spans: Sequence[Capped],
    most: tuple[int, int],
    commitments: Sequence[Commitment],
    waiting: Sequence[Expected],
) -> tuple[Cap, ...]:
    """Return what may still be added to each day and week touched: all but what is served or promised.

    most: minutes a day and a week.
    """
    promised = [(each.start, each.kind, each.minutes) for each in commitments]
    promised += [
        (each["starts_at"], each["kind"], (each["ends_at"] - each["starts_at"]) // timedelta(minutes=1))
        for each in waiting
    ]
    given = [(frame.minute(start), frame.counted(kind, minutes)) for start, kind, minutes in promised]
    caps = []
    for span in spans:
        used = sum(minutes for at, minutes in given if span.start <= at < span.end)
        caps.append(Cap(span.start, span.end, max(0, most[span.is_week] - used)))
    return tuple(caps)
