"""The time a plan is made in, and what requests say of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from pointsbank.domain.availability import VolunteerRules
from pointsbank.domain.grid import GridPlan
from pointsbank.domain.pairing.instance import URGENCY_MAX
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import UnitOfWork
from services.care.service import RequestInfo
from services.ledger.policy_book import PolicyBook, policy_book
from services.people import service as people

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wishes:
    """When and by whom a request may be served. A slot is a window: it serves more, and a time is agreed.

    gender: ``female`` or ``male``. building_id: where it is; None: where the elder lives.
    """

    earliest_start: datetime
    latest_start: datetime
    minutes: int
    gender: str | None
    gender_hard: bool
    language: str | None
    same_carer: bool
    carers: int
    building_id: UUID | None


def wishes_of(request: RequestInfo) -> Wishes:
    """Return what a request says of its time and its carer."""
    return Wishes(
        earliest_start=request.earliest_start,
        latest_start=request.latest_start,
        minutes=request.minutes,
        gender=request.gender_wanted,
        gender_hard=request.gender_hard,
        language=request.language_wanted,
        same_carer=request.same_carer,
        carers=request.carers,
        building_id=request.building_id,
    )


@dataclass(frozen=True, slots=True)
class Capped:
    """A local day or week, of which only so much may be served; minutes from the origin."""

    start: int
    end: int
    is_week: bool


def moment_of(origin: datetime, request: RequestInfo, minute: int) -> datetime:
    """Return the moment of a start, within what was asked to the second."""
    return max(request.earliest_start, min(origin + timedelta(minutes=minute), request.latest_start))


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that a plan is made in. origin: minute 0, a local midnight, in UTC; days: those touched."""

    timezone: str
    origin: datetime
    days: tuple[date, ...]
    now: datetime
    grids: GridPlan
    policies: PolicyBook

    @property
    def zone(self) -> ZoneInfo:
        """The community's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def today(self) -> date:
        """The local day it is now."""
        return local_date(self.now, self.timezone)

    @property
    def rules(self) -> VolunteerRules:
        """Today's rules for volunteers."""
        return self.policies.on(self.today).volunteers

    def counted(self, kind: str, minutes: int) -> int:
        """Return how many minutes of a visit count against a volunteer's day and week, by today's rules."""
        return self.policies.on(self.today).counted_minutes(kind, minutes)

    @property
    def weeks(self) -> tuple[date, ...]:
        """The Mondays of the weeks touched."""
        return tuple(sorted({day - timedelta(days=day.weekday()) for day in self.days}))

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return the first moment of the first week touched, and the first after the last."""
        return (
            local_day(self.weeks[0], self.timezone)[0],
            local_day(self.weeks[-1] + timedelta(days=6), self.timezone)[1],
        )

    @property
    def capped(self) -> tuple[Capped, ...]:
        """The days touched, then the weeks."""
        stretches = [(day, DAY, False) for day in self.days]
        stretches += [(monday, timedelta(days=7), True) for monday in self.weeks]
        return tuple(
            Capped(
                self.minute(local_day(first, self.timezone)[0]),
                self.minute(local_day(first + length, self.timezone)[0]),
                is_week,
            )
            for first, length, is_week in stretches
        )

    def minute(self, at: datetime) -> int:
        """Return the whole minutes from the origin to a moment."""
        return (at - self.origin) // timedelta(minutes=1)


def answer_by(frame: Frame, request: RequestInfo) -> datetime:
    """Return until when a volunteer may answer an offer of a request: sooner where it is urgent."""
    minutes = frame.policies.for_kind(request.kind, frame.days[0]).offer_minutes
    if request.urgency == URGENCY_MAX:
        minutes = min(minutes, frame.rules.urgent_offer_minutes)
    return frame.now + timedelta(minutes=minutes)


async def frame_for(uow: UnitOfWork, requests: Sequence[RequestInfo], *, now: datetime) -> Frame:
    """Return the frame in which requests are planned. Raises NotFound."""
    timezone = (await people.community(uow)).timezone
    days: set[date] = set()
    for request in requests:
        wishes = wishes_of(request)
        day = local_date(wishes.earliest_start, timezone)
        last = local_date(wishes.latest_start + timedelta(minutes=wishes.minutes), timezone)
        while day <= last:
            days.add(day)
            day += DAY
    touched = tuple(sorted(days or {local_date(now, timezone)}))
    return Frame(
        timezone=timezone,
        origin=local_day(touched[0], timezone)[0],
        days=touched,
        now=now,
        grids=await people.grid_plan(uow),
        policies=await policy_book(uow),
    )
